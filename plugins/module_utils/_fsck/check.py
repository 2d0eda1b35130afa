"""One call of sage_check: look, mend what can be mended without guessing, and look again."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InDoubt,
    Leased,
    StateError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import remove_private
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import farm_check
from ansible_collections.intellistream.sage.plugins.module_utils._fsck import mend
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.findings import NOTED, WRONG
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.look import Looked, look
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import script
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import integrity
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.unsettled import tidy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import CheckResult


def check(engine: Engine, repair: bool, check_mode: bool) -> CheckResult:
    """Check the record of a host, and what it is about.

    :param repair: mend what can be mended without guessing; what was mended is what a second look finds no more.
    :param check_mode: only tell what would be mended.
    :raises Leased: another run is at work, and C(repair) was asked for.
    """
    begun = time.monotonic()
    if repair:
        engine.refuse_others(ends=not check_mode)
    looked = look(engine)
    mendable = [finding for finding in looked.findings if finding.mendable]
    repaired: list[str] = []
    if repair and mendable:
        if check_mode:
            repaired = [finding.text for finding in mendable]
        else:
            _repair(engine)
            before, looked = looked, look(engine)
            remaining = {finding.text for finding in looked.findings}
            repaired = [finding.text for finding in before.findings if finding.text not in remaining]
    return {
        "changed": bool(repaired),
        "msg": _summary(looked, len(repaired)),
        "exists": looked.exists,
        # What was not looked at nobody calls intact.
        "intact": looked.at_work is None and not any(finding.severity == WRONG for finding in looked.findings),
        "at_work": looked.at_work.as_dict() if looked.at_work is not None else None,
        "findings": [finding.as_dict() for finding in looked.findings],
        "repaired": repaired,
        "checked": {
            "lines": looked.lines,
            "points": looked.points,
            "files": looked.files,
            "bytes": looked.bytes,
            "seconds": round(time.monotonic() - begun, 3),
        },
    }


def _summary(looked: Looked, repaired: int) -> str:
    count = sum(finding.severity == WRONG for finding in looked.findings)
    notes = sum(finding.severity == NOTED for finding in looked.findings)
    others = len(looked.findings) - count - notes - (looked.at_work is not None)
    parts = [f"{count} wrong"] if count else []
    parts += [f"{notes} to note"] if notes else []
    parts += [f"{others} left behind"] if others else []
    parts += [f"{repaired} mended"] if repaired else []
    parts += ["not all could be looked at"] if looked.at_work is not None else []
    return ", ".join(parts) or ("nothing is wrong" if looked.exists else "nothing was recorded here")


def _repair(engine: Engine) -> None:
    """Write anew what follows from the ledger, and remove what nobody needs.

    :raises StorageError: the disk refused.
    """
    for path in engine.removed():
        remove_private(path)
    if not engine.exists():
        return
    try:
        # Beginning to write cuts off a line that was never finished, and writes the progress file.
        with engine.session() as session:
            _repair_files(session)
    except (Leased, InDoubt):
        raise
    except StateError:
        # What bars the record from being read is told, and nothing of it can be mended without guessing.
        return


def _repair_files(session: Session) -> None:
    state = session.where
    if state is None:
        return
    for name in state.names():
        if name.startswith(".") and name.endswith(".tmp"):
            state.remove(name)
    armed = mark.read(state)
    if armed is None or not mark.at_work(session.installation, armed):
        state.remove(mark.NAME)
        state.remove(mark.PROGRAM)
    if lease.read(state) is None:
        state.remove(lease.NAME)
    history = session.history()
    points = [point for change in history for point in change.points]
    with contextlib.suppress(FileNotFoundError), contents.farm_dir(state) as farm:
        # First, so that nothing has the names of what is made again.
        farm_check.remove(farm)
    for damaged in integrity.damaged(state, integrity.promised(history), thorough=True):
        mend.mend(state, next(point for point in points if point["point"] == damaged["point"]), points, apply=True)
    tidy(session, history)
    script.refresh(session, history)
