"""What is gone or hurt of a rollback point, made again from other places where the same content is."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary, SageError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import layers

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer, Resource
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point


def mend(state: PrivateDir, point: Point, others: t.Iterable[Point], apply: bool) -> bool:
    """Make again what is gone or hurt of a point, as far as that can be done.

    :param others: points that may have the same content.
    :param apply: do it; else only say whether it could be done.
    :returns: whether all of it is well then, as far as this looks.
    """
    if point.get("archive"):
        return False
    with contextlib.ExitStack() as stack:
        try:
            captures = layers(state, point, stack, after=point.get("after") or ())
            elsewhere = [other for other in others if other["point"] != point["point"]]
            is_well = True
            for layer in captures:
                resource = registry.make_if_carried(layer.spec)
                if resource is not None and _is_damaged(resource, layer):
                    is_well = resource.mend(layer, lambda: _sources(state, elsewhere), apply) and is_well
            return is_well
        except NeedsLibrary:
            raise
        except (OSError, SageError):
            # What is missing is told already.
            return False


def _is_damaged(resource: Resource, layer: Layer) -> bool:
    try:
        return bool(resource.lost(layer, True))
    except StoreError:
        return True


def _sources(state: PrivateDir, points: t.Iterable[Point]) -> t.Iterator[PrivateDir]:
    """The farm, and the contents of these points; each is open until the next one is asked for."""
    with contextlib.suppress(FileNotFoundError), contents.farm_dir(state) as farm:
        yield farm
    for point in points:
        for number in range(len(point["resources"])):
            with contextlib.ExitStack() as stack:
                try:
                    directory = contents.point_dir(state, point["install_id"], point["point"])
                    content = stack.enter_context(contents.content_dir(stack.enter_context(directory), number))
                except (OSError, SageError):
                    continue
                yield content
