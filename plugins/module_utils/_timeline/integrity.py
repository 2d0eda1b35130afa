"""Whether what was captured can still be used: the other half of a promise that there is a way back.

Looking is cheap: everything has to be there, manifests and lists as they were recorded, and each file in its size. A
thorough look reads each file, as an undo does before it begins.
"""

from __future__ import annotations

import os
import stat
import typing as t
from contextlib import ExitStack

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName, NotCarried
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import point as footprint_point
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, TakenResource
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DamagedPoint, Progress

# Lines about one resource; who removed a directory does not want a thousand.
_MANY = 5
# Kinds whose captures are trees look at these by it.
CARRIES = (footprint_point,)
_INTACT: ByName[t.Callable[[PrivateDir, Point], bool]] = ByName("_storage.archive:intact")


def promised(changes: t.Iterable[Change]) -> list[Point]:
    """Rollback points of these changes that can be undone as far as the ledger knows, oldest first.

    One that a rollback captured, and that has not ended yet, is left out: what it holds may not be there yet.
    """
    changes = list(changes)
    begun = {change.undoing.get("redo") for change in changes if change.undoing is not None}
    points = [point for change in changes for point in change.active_points]
    usable = [point for point in points if not point.get("pruned") and point["point"] not in begun]
    return sorted(usable, key=lambda point: point["seq"])


def damaged(state: PrivateDir | None, points: t.Iterable[Point], thorough: bool = False) -> list[DamagedPoint]:
    """Those of these points whose content is gone or hurt, with what is."""
    reports: list[DamagedPoint] = []
    for point in points:
        problems = damage(state, point, thorough) if state is not None else []
        if problems:
            reports.append({"point": point["point"], "problems": problems})
    return reports


def retract(progress: Progress, points: t.Iterable[DamagedPoint]) -> None:
    """Promise no rollback of an installation whose captures are among these."""
    if progress and any(point["point"].rpartition(".")[0] == progress["install_id"] for point in points):
        progress["can_rollback"] = False


def damage(state: PrivateDir, point: Point, thorough: bool = False) -> list[str]:
    """What is gone or hurt of the content of one rollback point; empty when it can be used.

    :param thorough: read all of it.
    """
    path = os.path.join(contents.path_of(state), point["install_id"], point["point"])
    try:
        try:
            directory = contents.point_dir(state, point["install_id"], point["point"])
        except FileNotFoundError:
            return _archive(state, point, thorough) if point.get("archive") else [f"{path} is gone"]
        problems: list[str] = []
        with directory:
            for number, resource in enumerate(point["resources"]):
                problems += _guarded(state, directory, number, point, resource, thorough)
        return problems
    except (SageError, OSError) as error:
        return [_told(path, error)]


def _archive(state: PrivateDir, point: Point, thorough: bool) -> list[str]:
    record = point["archive"]
    path = os.path.join(contents.path_of(state), point["install_id"], record["name"])
    with contents.opened(state) as store, store.child(point["install_id"]) as content:
        try:
            size = os.stat(record["name"], dir_fd=content.fd, follow_symlinks=False).st_size
        except FileNotFoundError:
            return [f"{path} is gone"]
    if size != record["bytes"]:
        return [f"{path} has {size} bytes, not {record['bytes']}"]
    if thorough and not _INTACT.load()(state, point):
        return [f"{path} is not what was recorded: it has another hash"]
    return []


def _guarded(
    state: PrivateDir, directory: PrivateDir, number: int, point: Point, resource: TakenResource, thorough: bool
) -> list[str]:
    path = os.path.join(directory.path, str(number))
    try:
        problems = list(_resource(state, directory, number, point, resource, thorough))
    except FileNotFoundError:
        return [f"{path} is gone"]
    except (SageError, OSError) as error:
        return [_told(path, error)]
    more = len(problems) - _MANY
    return [*problems[:_MANY], *([f"{more} more files in {path} are gone or changed"] if more > 0 else [])]


def _told(path: str, error: Exception) -> str:
    return error.what.rstrip(".") if isinstance(error, SageError) else f"{path}: {error}"


def _resource(
    state: PrivateDir, directory: PrivateDir, number: int, point: Point, resource: TakenResource, thorough: bool
) -> t.Iterator[str]:
    manifest = contents.read_manifest(directory, resource)
    captured = contents.items(directory, number, manifest)
    with captured, contents.content_dir(directory, number) as content, ExitStack() as stack:
        # What is here has no kind of this name: names are all that can be looked at.
        kind = registry.find(str(resource["kind"]))
        if kind is None:
            return
        with Tree.of(content) as store:
            look = _problem if thorough else _difference
            for path, file in kind.stored(captured):
                problem = look(store, path, file)
                if problem:
                    yield problem
        spec = point["specs"][number]
        try:
            made = registry.make_if_carried(spec)
            layer = Layer(
                spec,
                manifest,
                where=content,
                items=captured,
                after=registry.facts_of(spec, point.get("after") or ()),
                farm=contents.farm_of(state, point["point"], manifest, stack),
            )
            yield from made.lost(layer, thorough) if made is not None else ()
        except (NotCarried, NeedsLibrary):
            return


def _difference(store: Tree, path: str, file: Item) -> str:
    info = store.lstat(path)
    if info is None:
        return f"{store.name(path)} is gone"
    if not stat.S_ISREG(info.st_mode):
        return f"{store.name(path)} is no regular file any more"
    return f"{store.name(path)} has {info.st_size} bytes, not {file.size}" if info.st_size != file.size else ""


def _problem(store: Tree, path: str, file: Item) -> str:
    problem = _difference(store, path, file)
    if not problem:
        try:
            content_item.verify(store, path, file)
        except SageError as error:
            problem = error.what.rstrip(".")
    return problem
