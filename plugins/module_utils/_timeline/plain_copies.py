"""Plain copies for people in C(backups/): what was there before an installation; a rollback uses the store."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import TakenResource

BACKUPS = "backups"
# The copy that a capture gives; None when it has nothing to tell.
Content = t.Callable[[Layer], "bytes | None"]


def write(state: PrivateDir, install_id: str, point: PrivateDir, resources: t.Sequence[TakenResource]) -> None:
    """Write what a rollback point tells of the time before an installation; its first point that does decides.

    :param resources: those of a C(captured) event.
    """
    with state.child(BACKUPS, create=True) as backups:
        for number, resource in enumerate(resources):
            copy = registry.kind_of(resource).plain_copy
            name = copy.name.format(install_id) if copy is not None else ""
            if copy is None or backups.read(name) is not None:
                continue
            content_of: ByName[Content] = ByName(copy.content)
            manifest = store.read_manifest(point, resource)
            with store.items(point, number, manifest) as reader, store.content_dir(point, number) as content_directory:
                content = content_of.load()(Layer({}, manifest, where=content_directory, items=reader))
            if content is not None:
                backups.write(name, content)
