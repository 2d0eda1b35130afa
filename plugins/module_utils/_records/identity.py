"""Whose record it is: of one root, in one checkpoint directory, on one machine.

What is recorded names paths. So a record that was copied is about the original, and is refused: going back by it would
change that. One that was moved goes on under its new name, once nothing is half done.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ForeignRecord

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change, Installation
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Identity, Spec


def here(root: str, checkpoints: str) -> Identity:
    """The identity of a record on this machine.

    :param root: where SAGE is installed, absolute.
    :param checkpoints: the checkpoint directory, absolute.
    """
    return {
        "machine": host.machine(),
        "root": os.path.normpath(root),
        "checkpoints": os.path.normpath(checkpoints),
    }


def moved(recorded: Identity, current: Identity) -> bool:
    """Whether the record was moved to where it is now; False where it is where it was.

    :param recorded: whose record it says it is.
    :param current: M(here), of where it was found.
    :raises ForeignRecord: it is another root's or another machine's.
    """
    if recorded["machine"] and current["machine"] and recorded["machine"] != current["machine"]:
        raise _foreign(
            recorded,
            current,
            "on another machine (its machine id differs)",
            "If machines share this directory, give each a sage_checkpoint_dir of its own. If it is a copy",
        )
    shared = _same(recorded["checkpoints"], current["checkpoints"])
    if not _same(recorded["root"], current["root"]):
        if shared and os.path.lexists(recorded["root"]):
            raise ForeignRecord(
                f"The record in {current['checkpoints']} belongs to {recorded['root']}, not to {current['root']}.",
                untouched="everything.",
                advice=f"Give {current['root']} a record of its own: leave sage_checkpoint_dir empty, or name another "
                "directory.",
                recorded=recorded,
                shared=True,
            )
        if os.path.lexists(recorded["root"]):
            raise _foreign(recorded, current, "which still exists", "If it is a copy")
        return True
    if not shared and os.path.lexists(recorded["checkpoints"]):
        raise _foreign(recorded, current, "which still exists", "If it is a copy")
    return not shared


def new_root(began_as: Identity, current: Identity) -> str:
    """What to say when an installation began under another name of the root; empty when it did not.

    :param began_as: of that installation.
    :param current: M(here).
    """
    if not began_as["root"] or _same(began_as["root"], current["root"]):
        return ""
    return f"the root was moved from {began_as['root']} to {current['root']}"


def elsewhere(changes: t.Sequence[Change], current: Identity) -> set[str]:
    """The rollback points that cannot be put back here: what they hold lay in the root when that was another place.

    :param current: M(here).
    """
    roots = {point["root"] for change in changes for point in change.points}
    others = {root for root in roots if new_root({**current, "root": root}, current)}
    return {
        point["point"]
        for change in changes
        for point in change.points
        if point["root"] in others and any(_lies_below(path, point["root"]) for path in _paths(point["specs"]))
    }


def _paths(specs: t.Iterable[Spec]) -> t.Iterator[str]:
    """Where resources lie; packages of the system lie nowhere."""
    for spec in specs:
        yield from [spec["path"]] if spec.get("path") else spec.get("paths") or ()


def _lies_below(path: str, root: str) -> bool:
    return f"{os.path.normpath(path)}/".startswith(f"{os.path.normpath(root)}/")


def _same(path: str, other: str) -> bool:
    """Whether two paths are one place, under whatever name."""
    try:
        return path == other or os.path.samefile(path, other)
    except OSError:
        return False


def _foreign(recorded: Identity, current: Identity, problem: str, condition: str) -> ForeignRecord:
    return ForeignRecord(
        f"The record in {current['checkpoints']} is that of {recorded['root']} in {recorded['checkpoints']}, "
        f"{problem}.",
        untouched="everything.",
        advice=f"{condition}, forget its history with intellistream.sage.sage_checkpoint state=absent "
        f"root={current['root']} checkpoint_dir={current['checkpoints']} and install again; the original keeps "
        "its own.",
        recorded=recorded,
        shared=False,
    )


def refuse_half_done(installation: Installation, current: Identity, by_script: bool) -> None:
    """Refuse to go on under a new name where something is half done: what was captured names the old paths.

    :param installation: the current one.
    :param by_script: C(rollback.sh) has run, and that is not recorded yet.
    :raises ForeignRecord: something is.
    """
    unfinished = installation.unfinished and (
        (installation.all_or_nothing and bool(installation.active_points))
        or installation.fired is not None
        or any(phase.status == "started" for phase in installation.phases.values())
    )
    pending = installation.undoing or installation.rollback_pending or installation.status == "prepared"
    if not (unfinished or pending or by_script):
        return
    before = installation.identity
    was, is_now = (before["root"], current["root"])
    if was == is_now:
        was, is_now = (before["checkpoints"], current["checkpoints"])
    raise ForeignRecord(
        f"The record in {current['checkpoints']} was moved here from {before['checkpoints']} while installation "
        f"{installation.install_id} was not finished.",
        untouched="everything.",
        advice=f"Move {is_now} back to {was}, run there again until it has ended, then move it.",
        recorded=before,
        shared=False,
        half_done=True,
    )
