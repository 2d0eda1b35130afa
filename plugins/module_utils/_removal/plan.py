"""What removing SAGE from a host takes away, and what stays. Nothing is changed by looking."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    ForeignRecord,
    InputError,
    LedgerBroken,
    NotEnded,
    SageError,
    StateError,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._content import whole
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.waiting import Waiting, waiting
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_owned
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import (
    IGNORE,
    IGNORED,
    MARK,
    STATE_DIR,
    open_private,
)
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import places
from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import OthersThing, Part, RecordedCapture
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
from ansible_collections.intellistream.sage.plugins.module_utils._records.record import Record
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import refuse_undecided
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_removal, registry
from ansible_collections.intellistream.sage.plugins.module_utils._removal import strangers
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive, contents

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._hooks.places import HookFile
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import Removal
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Facts, Point, Spec, TakenResource

CARRIES = (carry_removal.parts,)
_UNREADABLE = (
    "So it is not known whether an installation is unfinished, who made a clone, which packages of the system came "
    "with SAGE, and what git repositories keep for captures (refs/sage)."
)
# Left by a removal that was interrupted, see M(whole.take_away).
_ASIDE = re.compile(r"\.(.+)\.sage-removed")
# What an installation puts into directories of its own.
_HOLDS = {
    "tools": re.compile(r"bin(/uvx?w?(\.exe)?|/__pycache__)?|uv|uv-[^/]*\.dist-info|__pycache__"),
    "wheelhouse": re.compile(rf"[^/]*\.(whl|partial|tar\.gz|zip)|{re.escape(MARK)}"),
}
_PYLOCK = 'lock-version = "1.0"\n'
_LOCK_LINE = re.compile(r"\s*|#.*|[A-Za-z0-9][A-Za-z0-9._-]*(\[.*\])? ?(==|@ ).*|\s+--hash=.*")
_LONGEST_LOCK = 64 << 20
_MOST_NAMES = 5


class Plan(t.NamedTuple):
    """What goes, in the order in which it does, and what stays.

    :ivar hook: files of the hook of apt and dnf.
    :ivar mark: of a dead-man's switch that was left armed.
    :ivar waiting: what waits to start the program of a switch.
    :ivar parts: what lies below the root.
    :ivar points: whose captures may hold something outside of the store; none where the record stays.
    :ivar forgets: the record goes, if there is one.
    :ivar around: what was not there before SAGE and goes if nothing else is in it, the deepest first.
    :ivar staying: what stays, with the reason.
    :ivar others: what others have put into what goes.
    :ivar unknown: what cannot be known, a sentence each.
    :ivar alternative: the id to roll back to instead, which can be taken back; empty where there is none.
    :ivar going: all that goes, for people.
    """

    hook: list[HookFile]
    mark: deadman_switch_mark.Mark | None
    waiting: list[Waiting]
    parts: list[Part]
    points: list[Point]
    forgets: bool
    around: list[Part]
    staying: list[Part]
    others: list[OthersThing]
    unknown: list[str]
    alternative: str
    going: list[Part]


class _Known(t.NamedTuple):
    """What the record tells.

    :ivar history: all changes in the order of the ledger; None where that cannot be read.
    :ivar own: it is the record of this root, and not a copy of another's.
    :ivar moved_from: where the root was when the record was written last, if that was elsewhere.
    :ivar unknown: what cannot be known, a sentence each.
    """

    history: list[Change] | None = None
    own: bool = True
    moved_from: str = ""
    unknown: t.Sequence[str] = ()


def look(engine: Engine, state: PrivateDir | None, keep_record: bool) -> Plan:
    """Look at all there is.

    :param state: the checkpoint directory; None where there is none.
    :param keep_record: the record stays.
    :raises StateError: something has to be ended first, or another version wrote the record.
    :raises InputError: only root can remove the hook.
    :raises UnsafePath: somebody else could replace what is going to be removed.
    """
    root = os.path.normpath(engine.root)
    hidden = os.path.join(root, STATE_DIR)
    check_owned(hidden)
    recorded = _read(engine, state)
    of_kinds = _of_kinds(root, _captures(state, recorded, root))
    parts = [part for part in of_kinds if not part.stays and not (part.of_record and keep_record)]
    parts += _ours(hidden, {part.path for part in of_kinds})
    staying = [part for part in of_kinds if part.stays]
    hook = _hook({root, recorded.moved_from or root})
    mark = deadman_switch_mark.read(state)
    record: list[Part] = []
    around: list[Part] = []
    if keep_record:
        staying += [Part(engine.path, "the record", "it is kept, as you said")] if _exists(engine, state) else []
    else:
        record = _record(engine, state, recorded)
        paths = [*(part.path for part in [*parts, *record]), *(file.path for file in hook)]
        removed = {path for part in paths for path in whole.remains(part)}
        if state is not None and not state.was_made():
            removed.discard(engine.path)
        around, held = _around(root, _absent_before(engine, state, root), removed)
        staying += held
    waits = waiting(os.path.join(engine.path, deadman_switch_mark.PROGRAM))
    armed = os.path.join(engine.path, deadman_switch_mark.NAME)
    switch = [Part(armed, "a dead-man's switch that was left armed")] if mark is not None else []
    switch += [Part(str(each), "what waits to start a dead-man's switch") for each in waits]
    hooked = [Part(file.path, "what makes apt or dnf capture, or its program") for file in hook]
    return Plan(
        hook,
        mark,
        waits,
        parts=parts,
        points=[point for change in recorded.history or () for point in change.points]
        if record and recorded.own
        else [],
        forgets=bool(record),
        around=around,
        staying=staying,
        others=[other for part in [*parts, *record] for other in part.others],
        unknown=[*recorded.unknown, *(part.unknown for part in parts if part.unknown)],
        alternative=_alternative(recorded),
        going=[*parts, *hooked, *switch, *record, *around],
    )


def _exists(engine: Engine, state: PrivateDir | None) -> bool:
    """There is a record, or what is left of one; an empty directory is none."""
    return bool(engine.removed()) or (state is not None and (state.is_marked() or bool(state.names())))


def _read(engine: Engine, state: PrivateDir | None) -> _Known:
    """What the record tells; one that is damaged, or is a copy of another's, tells nothing.

    :raises StateError: something has to be ended first, or another version wrote it.
    """
    if state is None:
        return _Known([])
    try:
        record = Record(state, engine.path, engine.root)
        _refuse_what_has_not_ended(record)
        before = record.installation
        moved_from = before.identity["root"] if before is not None and record.moved else ""
        return _Known(record.history(), moved_from=moved_from)
    except ForeignRecord as error:
        if error.details["shared"] or error.details.get("half_done"):
            raise
        return _Known(own=False, unknown=[f"{error.what} What that one has captured stays. {_UNREADABLE}"])
    except (StateError, RecursionError) as error:
        if isinstance(error, StateError) and type(error) not in (StateError, LedgerBroken):
            raise
        reason = error.what if isinstance(error, StateError) else "it is nested too deeply"
        return _Known(unknown=[f"The record cannot be read: {reason.rstrip('.')}. {_UNREADABLE}"])


def _refuse_what_has_not_ended(record: Record) -> None:
    """Removing is not the way out of what is half done: it would be half removed.

    :raises InDoubt: the decision of a fleet run comes first.
    :raises NotEnded: an installation or a rollback is not finished.
    """
    installation = record.installation
    refuse_undecided(installation)
    if record.script_run is not None:
        raise NotEnded(
            f"{record.script_run.told}.",
            untouched="everything.",
            advice="Run rollback_sage.yml, which ends and records it. Then remove SAGE.",
        )
    if record.interrupted or (installation is not None and installation.undoing):
        raise NotEnded(
            "A rollback has begun here and not ended.",
            untouched="everything.",
            advice="Run the same rollback again with rollback_sage.yml, which ends it. Then remove SAGE.",
        )
    if installation is None or not (installation.unfinished or installation.status == "prepared"):
        return
    mark = deadman_switch_mark.read(record.where)
    armed = ", and its dead-man's switch is armed" if mark is not None else ""
    fired = ", and its dead-man's switch has fired" if installation.fired is not None else ""
    raise NotEnded(
        f"Installation {installation.install_id} is not finished{fired or armed}.",
        untouched="everything.",
        advice=f"Roll it back with rollback_sage.yml -e sage_rollback_to={installation.install_id}, or finish it with "
        "install_sage.yml. Then remove SAGE.",
        install_id=installation.install_id,
    )


def _captures(state: PrivateDir | None, recorded: _Known, root: str) -> dict[str, list[RecordedCapture]] | None:
    """Kind → all captures on record, oldest first; None where the record cannot be read."""
    if recorded.history is None:
        return None
    captures: dict[str, list[RecordedCapture]] = {}
    points = [(change, point) for change in recorded.history for point in change.points]
    for change, point in sorted(points, key=lambda pair: pair[1]["seq"]):
        altered = change.origin != "rollback" and not point.get("undone") and not point.get("unchanged")
        for spec, resource in zip(point.get("specs") or [], point.get("resources") or []):
            manifest = functools.partial(_manifest, state, point, resource)
            path = _moved(str(spec.get("path") or ""), point["root"], root)
            today = t.cast("Spec", {**spec, "path": path} if path else spec)
            captures.setdefault(str(spec["kind"]), []).append(RecordedCapture(today, resource, altered, manifest))
    return captures


def _moved(path: str, before: str, root: str) -> str:
    """The same path after its root was moved."""
    if before and (path == before or path.startswith(f"{before}/")):
        return root + path[len(before) :]
    return path


def _manifest(state: PrivateDir | None, point: Point, resource: TakenResource) -> Facts | None:
    if state is None:
        return None
    try:
        data = archive.manifest(state, point, str(resource["manifest"]))
        facts = json.loads(data) if hashlib.sha256(data).hexdigest() == resource["sha256"] else None
    except (SageError, OSError, ValueError, KeyError):
        return None
    return t.cast("Facts", facts) if isinstance(facts, dict) else None


def _of_kinds(root: str, captures: dict[str, list[RecordedCapture]] | None) -> list[Part]:
    """What each kind of resource knows of."""
    parts: list[Part] = []
    for name in registry.KINDS:
        kind = registry.find(name)
        if kind is not None and kind.removal:
            removal: ByName[Removal] = ByName(kind.removal)
            parts += removal.load()(root, None if captures is None else captures.get(name, []))
    return parts


def _ours(hidden: str, named: t.Collection[str]) -> list[Part]:
    """What an installation puts into C(.sage) besides: its tools, wheels, and copies of lock files."""
    try:
        names = sorted(os.listdir(hidden))
    except (FileNotFoundError, NotADirectoryError):
        return []
    parts: list[Part] = []
    for name in names:
        path = os.path.join(hidden, name)
        description = _what(path, name)
        interrupted = _ASIDE.fullmatch(name)
        if interrupted is not None:
            path, description = os.path.join(hidden, interrupted[1]), "what an interrupted removal left"
        if description and path not in named and path not in {part.path for part in parts}:
            parts.append(Part(path, description, others=_others_in(path, name)))
    return parts


def _others_in(directory: str, name: str) -> list[OthersThing]:
    """What in a directory of ours is not as an installation puts there."""
    if name not in _HOLDS or not os.path.isdir(directory):
        return []
    # What is not ours in it is of the directory itself, and where uv is.
    tops = [directory, *([os.path.join(directory, "bin")] if name == "tools" else [])]
    paths = [os.path.join(top, each) for top in tops for each in sorted(os.listdir(top))]
    return [
        OthersThing(path, "a directory" if os.path.isdir(path) and not os.path.islink(path) else "a file")
        for path in paths
        if not _HOLDS[name].fullmatch(os.path.relpath(path, directory))
    ]


def _what(path: str, name: str) -> str:
    """What an installation calls so, if this is it; empty for what is somebody's."""
    if os.path.islink(path):
        return ""
    if name == "tools" and os.path.lexists(os.path.join(path, "bin", "uv")):
        return "uv, which was fetched"
    if name == "wheelhouse":
        return "the wheels that were brought" if _was_made(path) else ""
    if os.path.isdir(path):
        begun = name.startswith("tools.new-")
        return "what an installation built from" if name == "build" else "uv, half fetched" if begun else ""
    return "a copy of a lock file" if _is_lock(path) else ""


def _was_made(path: str) -> bool:
    """Whether the collection made a private directory."""
    try:
        with open_private(path, readonly=True) as directory:
            return directory.was_made()
    except (OSError, UnsafePath):
        return False


def _is_lock(path: str) -> bool:
    """Whether a file is a lock file as installers write them: nobody else keeps one in C(.sage)."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _LONGEST_LOCK:
            return False
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, ValueError):
        return False
    lines = text.splitlines()
    return text.startswith(_PYLOCK) or (any("==" in line for line in lines) and all(map(_LOCK_LINE.fullmatch, lines)))


def _hook(roots: t.Collection[str]) -> list[HookFile]:
    """Files of the hook that are there.

    :param roots: the root, and where it was before it was moved.
    :raises InputError: this is not root.
    """
    files: list[HookFile] = []
    for root in sorted(roots):
        try:
            files += [file for file in places.unused_files(root) if places.differs(file)]
        except InputError:
            continue  # apt could not have started one there.
    if files and os.geteuid() != 0:
        raise InputError(
            f"apt or dnf start the hook of this root ({files[0].path}), which only root can remove.",
            untouched="everything.",
            advice="Use become: true.",
        )
    return files


def _record(engine: Engine, state: PrivateDir | None, recorded: _Known) -> list[Part]:
    """The record, and what it has elsewhere."""
    parts = [Part(path, "what an interrupted removal of the record left") for path in engine.removed()]
    if state is None or not _exists(engine, state):
        return parts
    description = "the record"
    if recorded.history is not None:
        points = [point for change in recorded.history for point in change.active_points if not point.get("pruned")]
        description += f" ({_counted(len(recorded.history), 'change')}, {_counted(len(points), 'rollback point')})"
    parts.append(
        Part(
            engine.path,
            description if state.was_made() else f"{description}; the directory was there before, and stays",
            others=strangers.of_others(state),
        )
    )
    content = contents.path_of(state)
    if recorded.own and content != os.path.join(state.path, contents.STORE) and os.path.lexists(content):
        parts.append(Part(content, "captured content"))
    return parts


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _absent_before(engine: Engine, state: PrivateDir | None, root: str) -> list[str] | None:
    """Paths that were not there before SAGE, the deepest first; None where no mark tells."""
    listed = state.absent_before() if state is not None else None
    for path in engine.removed():
        if not listed:
            try:
                with open_private(path, readonly=True) as directory:
                    listed = directory.absent_before()
            except (OSError, UnsafePath):
                continue
    if not listed:
        return listed
    hidden = next((os.path.dirname(path) for path in listed if os.path.basename(path) == IGNORE), "")
    before = os.path.dirname(hidden)
    if not hidden or before == root:
        return listed
    # The root was moved: what lies above it now was not made for it.
    return [_moved(path, before, root) for path in listed if f"{path}/".startswith(f"{before}/")]


def _around(root: str, absent: list[str] | None, removed: set[str]) -> tuple[list[Part], list[Part]]:
    """What was made around the rest, and what of that stays.

    :param absent: what was not there before; None where that is not recorded.
    :param removed: all that is going to be removed by then.
    """
    hidden = os.path.join(root, STATE_DIR)
    going, staying = [], []
    for path in [*(absent or ()), *(other for other in (hidden, root) if other not in (absent or ()))]:
        if os.path.basename(path) == IGNORE:
            if _content(path) == IGNORED:
                going.append(Part(path, "what keeps git from taking it in"))
                removed.add(path)
            continue
        if os.path.islink(path) or not os.path.isdir(path):
            continue
        others = [name for name in sorted(os.listdir(path)) if os.path.join(path, name) not in removed]
        if path in (absent or ()) and not others:
            going.append(Part(path, "a directory that was made for it"))
            removed.add(path)
        elif others and (path == hidden or path in (absent or ())):
            more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
            holds = ", ".join(others[:_MOST_NAMES])
            staying.append(Part(path, "a directory", f"it holds what is not of SAGE: {holds}{more}"))
        elif not others:
            unknown = "whether it was there before SAGE is not known"
            staying.append(Part(path, "a directory", unknown if absent is None else "it was there before SAGE"))
    return going, staying


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(len(IGNORED) + 1)
    except OSError:
        return b""


def _alternative(recorded: _Known) -> str:
    """The first installation, where all that happened since can be undone."""
    history = recorded.history
    if not history or not isinstance(history[0], Installation) or recorded.moved_from:
        return ""
    points = [point for change in history if change.origin != "rollback" for point in change.active_points]
    possible = any(not point.get("unchanged") for point in points) and not any(point.get("pruned") for point in points)
    return history[0].install_id if possible else ""
