"""Rollback points: capture everything a change is going to replace, before it is changed."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import time
import typing as t
from contextlib import ExitStack, nullcontext
from types import MappingProxyType

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    SageError,
    StorageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.collect import collect
from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import captured_total
from ansible_collections.intellistream.sage.plugins.module_utils._registry import (
    carry_captures,
    registry,
)
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents, store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Observed,
        Point,
        PointCaptured,
        PointSettled,
        Spec,
        TakenResource,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import PointBrief

CARRIES = (carry_captures.parts,)
BACKUPS = "backups"
_OPENED: ByName[t.Callable[[PrivateDir, Point, ExitStack], PrivateDir]] = ByName("_storage.archive:opened")


def capture(
    session: Session,
    specs: t.Sequence[Spec],
    phase: str | None,
    description: str,
    by: str = "",
) -> PointCaptured:
    """Capture resources; the caller records the returned event once, which makes the point exist.

    :param phase: the phase of the current installation that it belongs to; None for a change of its own.
    :param by: V(hand) or V(hook), of a point that no phase and no rollback makes.

    Nothing is recorded here. What was captured is on disk and checked when this returns. In a
    session that writes nothing, the event tells what would be captured.

    :raises InputError: one cannot be captured by what runs here.
    :raises NeedsLibrary: this Python has not what one needs.
    :raises CaptureError: something cannot be captured, or space is short; nothing is left behind.
    """
    install_id, name = next_name(session, phase)
    cleaned: list[Spec] = [registry.recorded(spec) for spec in specs]
    resources = [make(spec) for spec in cleaned]
    for resource in resources:
        # A rollback writes nothing in place.
        resource.watched = bool(phase or by)
    event: PointCaptured = {
        "event": "captured",
        "point": name,
        "phase": phase,
        "description": redact(description),
        "specs": cleaned,
        "resources": [],
    }
    if by:
        event["by"] = by
    if phase is None:
        event["identity"] = session.identity
    if not session.writes or session.where is None:
        event["resources"] = [_predicted(resource) for resource in resources]
        if session.where is not None:
            _check_space(session.where, resources)
        return event
    try:
        _check_space(session.where, resources)
        # What a killed run left of a point that was never recorded.
        store.discard(session.where, install_id, name)
        if phase is None:
            store.discard_after(session.where, session.newest_id, install_id)
        with contents.point_dir(session.where, install_id, name, create=True) as point:
            for number, resource in enumerate(resources):
                event["resources"].append(_take(session.where, point, name, number, resource))
            point.sync()
            if phase is not None or by == HAND:
                _write_plain_copies(session.where, install_id, point, event["resources"])
    except (CaptureError, StorageError):
        _discard(session.where, install_id, name)
        raise
    except (SageError, OSError) as error:
        _discard(session.where, install_id, name)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CaptureError(
                f"There is no room in {contents.path_of(session.where)} for what the change would replace.",
                untouched="everything; the change was not begun.",
                advice="Free space. Or keep the store elsewhere: sage_repackage_dir (the module's option "
                "`repackage_dir`). Then run again.",
            ) from error
        reason = error.what if isinstance(error, SageError) else str(error)
        raise CaptureError(
            f"What the change would replace could not be captured: {reason}",
            untouched="everything; the change was not begun.",
            advice=error.advice if isinstance(error, SageError) else "Mend that, then run again.",
        ) from error
    return event


def _discard(state: PrivateDir, install_id: str, name: str) -> None:
    """Remove what is there of a capture that failed, in the farm as well."""
    store.discard(state, install_id, name)
    try:
        with ExitStack() as stack, contents.farm_dir(state) as farm:
            names = [other for other in contents.unsettled(farm) if other != name]
            points = [contents.point_dir(state, other.rpartition(".")[0], other) for other in names]
            collect(farm, map(stack.enter_context, points))
    except (OSError, SageError):
        # Retention tries again; the next capture can use what is there.
        return


def next_name(session: Session, phase: str | None = None) -> tuple[str, str]:
    """Of the next rollback point: the id of its change, and its name.

    Numbers are never used twice, so no point's content can be taken for another's.
    """
    if phase is None:
        install_id = session.next_id()
        return install_id, f"{install_id}.1"
    installation = session.required()
    return installation.install_id, f"{installation.install_id}.{len(installation.points) + 1}"


def _check_space(state: PrivateDir, resources: t.Sequence[Resource]) -> None:
    device = store.file_system(state)[0]
    needs = [resource.need(device) for resource in resources]
    store.check_space(state, sum(need[0] for need in needs), sum(need[1] for need in needs))


def _predicted(resource: Resource) -> TakenResource:
    files, size = resource.need()
    return {
        "kind": resource.kind,
        "path": resource.path,
        "plan": resource.plan(),
        "changes": resource.planned(),
        "files": files,
        "bytes": size,
    }


def _take(state: PrivateDir, point: PrivateDir, name: str, number: int, resource: Resource) -> TakenResource:
    begun = time.monotonic()
    kind = registry.kind_of({"kind": resource.kind})
    with (
        contents.content_dir(point, number, create=True) as directory,
        store.writer(point, number) as writer,
        contents.farm_dir(state, create=True) if kind.farms else nullcontext() as farm,
    ):
        if farm is not None:
            store.reserve(farm)
            # Before anything relies on it.
            contents.note_unsettled(farm, list(dict.fromkeys([*contents.unsettled(farm), name])))
        facts = resource.capture(directory, writer, farm)
        directory.sync()
        digest = writer.finish()
    # Told to people where nothing is at hand that knows this kind.
    for_people = {} if kind.script else {"no_script": kind.no_script, "by_hand": kind.by_hand(facts)}
    data = store.encode({**facts, **for_people, "kind": resource.kind, "path": resource.path, "items": digest})
    point.write(f"{number}.json", data)
    record: TakenResource = {
        "kind": resource.kind,
        "path": resource.path,
        "manifest": f"{number}.json",
        "sha256": hashlib.sha256(data).hexdigest(),
        "items": digest,
        "files": facts["files"],
        "bytes": facts["bytes"],
        "seconds": round(time.monotonic() - begun, 3),
    }
    if facts.get("farm"):
        record["farm"] = True
    if facts.get("changes"):
        # What a package manager is going to do; told also when the content is gone.
        record["changes"] = facts["changes"]
        record["inexact"] = facts.get("inexact") or []
    # Read back what an undo will read.
    contents.items(point, number, contents.read_manifest(point, record)).close()
    return record


def _write_plain_copies(
    state: PrivateDir, install_id: str, point: PrivateDir, resources: t.Sequence[TakenResource]
) -> None:
    """Copies for people of what was there before a change; its first point that has one decides.

    A rollback uses the store.

    :param resources: those of a C(captured) event.
    """
    with state.child(BACKUPS, create=True) as backups:
        for number, resource in enumerate(resources):
            for copy in registry.kind_of(resource).plain_copies:
                name = copy.name.format(install_id)
                if backups.read(name) is not None:
                    continue
                content_of: ByName[t.Callable[[Layer], bytes | None]] = ByName(copy.content)
                manifest = contents.read_manifest(point, resource)
                reader = contents.items(point, number, manifest)
                with reader, contents.content_dir(point, number) as directory:
                    content = content_of.load()(Layer({}, manifest, where=directory, items=reader))
                if content is not None:
                    backups.write(name, content)


def remove_plain_copies(state: PrivateDir, install_id: str) -> None:
    """Remove the copies of a change whose content is pruned."""
    with state.child(BACKUPS, create=True) as backups:
        for copy in [copy for kind in registry.carried() for copy in kind.plain_copies]:
            backups.remove(copy.name.format(install_id))


def layers(
    state: PrivateDir,
    point: Point,
    stack: ExitStack,
    completed: bool = True,
    after: t.Sequence[Observed] = (),
) -> list[Layer]:
    """The captures of a recorded point, in their order, manifests checked.

    :param completed: the change that followed ran to its end.
    :param after: facts recorded once it had ended, mappings C(spec), C(facts).
    :param stack: closes the directories.
    :raises StoreError: content is gone or was changed.
    """
    try:
        directory = _opened(state, point, stack)
        captures = []
        for number, (spec, resource) in enumerate(zip(point["specs"], point["resources"])):
            manifest = contents.read_manifest(directory, resource)
            captures.append(
                Layer(
                    spec,
                    manifest,
                    where=stack.enter_context(contents.content_dir(directory, number)),
                    items=stack.enter_context(contents.items(directory, number, manifest)),
                    completed=completed,
                    time=dt.datetime.fromisoformat(point["time"]).timestamp(),
                    after=registry.facts_of(spec, after),
                    farm=contents.farm_of(state, point["point"], manifest, stack),
                )
            )
        return captures
    except FileNotFoundError as error:
        path = f"{contents.path_of(state)}/{point['install_id']}/{point['point']}"
        raise StoreError(
            f"The captured content of rollback point {point['point']} is gone.",
            untouched="everything.",
            advice=f"Restore {path} from a copy of the state.",
        ) from error


def _opened(state: PrivateDir, point: Point, stack: ExitStack) -> PrivateDir:
    if not point.get("archive"):
        return stack.enter_context(contents.point_dir(state, point["install_id"], point["point"]))
    return _OPENED.load()(state, point, stack)


def settle(
    state: PrivateDir | None,
    point: Point,
    keys: t.Container[str] | None = None,
    seen: t.Mapping[str, Table] = MappingProxyType({}),
) -> PointSettled | None:
    """What the change after a point left, as an event; None when there is nothing that needs it.

    What an installation leaves in an environment is known from its plan, and git knows its own. What this
    module cannot make, another has settled.

    :param keys: P(registry.key) of the resources that are looked at; None for all.
    :param seen: path → what was found there and below when the change had ended, a moment ago.
    :raises ChangeFailed: the change did not succeed, although nobody said so.
    """
    if state is None:
        return None
    before = {registry.key(observed["spec"]): observed for observed in point.get("after") or ()}
    resources = [registry.make_if_carried(spec) for spec in point["specs"]]
    unchanged = None not in resources
    with ExitStack() as stack:
        try:
            captures = layers(state, point, stack, after=point.get("after") or ())
        except StoreError:
            if any(resource is not None and resource.settles for resource in resources):
                raise
            captures, unchanged = [], False
        for layer, resource in zip(captures, resources):
            key = registry.key(layer.spec)
            if keys is not None and key not in keys:
                unchanged = False
                continue
            if resource is None:
                continue
            try:
                facts = resource.after(layer._replace(seen=seen)) if resource.settles else None
            except OSError as error:
                raise storage_error(layer.where.path, error) from error
            if facts is not None:
                # What came between the change and the next capture is perhaps somebody else's.
                late = {"late": True} if keys is not None else {}
                before[key] = {"spec": layer.spec, "facts": {**facts, **late}}
            unchanged = unchanged and resource.unchanged(layer)
    after = list(before.values())
    if (point.get("after") or [], point.get("unchanged", False)) == (after, unchanged):
        return None
    return {
        "event": "settled",
        "installations": [point["install_id"]],
        "point": point["point"],
        "after": after,
        "unchanged": unchanged,
    }


def brief(point: Point | PointCaptured) -> PointBrief:
    """What a user wants to know of a rollback point."""
    resources = point.get("resources") or []
    return {
        "id": point["point"],
        "description": point.get("description"),
        "phase": point.get("phase"),
        **captured_total([point]),
        "packages": [line for resource in resources for line in changes.listed(resource.get("changes") or [])],
        "inexact": [line for resource in resources for line in resource.get("inexact") or []],
    }
