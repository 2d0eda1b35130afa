# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random sequences of attempts, points and undos, against what V(last) has to mean and what has to be kept.

The model knows nothing of the engine: what happened in its order, each with the file that it changed and what was in
that before.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import tempfile
import typing as t

import hypothesis as h
import pytest
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest, checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

pytestmark = pytest.mark.property

MORE = int(os.environ.get("SAGE_TEST_EXAMPLES", "0"))
STEPS = st.lists(
    st.one_of(
        st.sampled_from(("finished", "finished", "failed", "idle", "hand", "hook", "hook", "last", "script")),
        st.tuples(st.just("prune"), st.integers(1, 3)),
    ),
    min_size=3,
    max_size=14,
)


@dataclasses.dataclass
class Happened:
    """One attempt or point.

    :ivar what: V(finished), V(failed), V(idle), V(hand) or V(hook).
    :ivar name: as a target.
    :ivar before: what was in its file; None for no file.
    """

    what: str
    name: str
    file: str = ""
    before: str | None = None
    undone: bool = False
    pruned: bool = False

    @property
    def altered(self) -> bool:
        return self.what not in ("failed", "idle")


class Host:
    """A host of a few files, and the model of it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.data = path / "data"
        self.data.mkdir()
        (path / "root").mkdir()
        self.engine = Engine(str(path / "root"))
        self.happened: list[Happened] = []
        self.count = 0

    def call(self, *transitions: t.Any, inputs: t.Any = None) -> str:
        told = checkpoint(self.engine, CheckpointRequest(inputs, True, {}, list(transitions)), False)
        return str(told["install_id"])

    def install(self, ending: str) -> None:
        """An installation that ends well, before anything is captured, or without a change."""
        self.count += 1
        inputs = {PHASES[2]: {"version": self.count}, PHASES[0]: {"version": self.count}}
        file = self.data / "config"
        before = file.read_text() if file.exists() else None
        capture = [] if ending == "failed" else [{"kind": "files", "paths": [str(file)]}]
        name = self.call({"phase": PHASES[0], "status": "started", "capture": capture}, inputs=inputs)
        if ending == "failed":
            self.call({"phase": PHASES[0], "status": "failed", "data": "no index"})
        else:
            if ending == "finished":
                self.write(file)
            verified(self.engine)
            self.call(*({"phase": phase, "status": "completed"} for phase in PHASES))
        self.happened.append(Happened(ending, name, file.name, before))

    def point(self, by: str) -> None:
        """A point outside of installations, and a change of a file of its own."""
        self.count += 1
        file = self.data / f"{by}{self.count}"
        capture = [{"kind": "files", "paths": [str(file)]}]
        name = backup(self.engine, capture, None, f"{by} {self.count}", False, by)["rollback_point"]["id"]
        self.write(file)
        self.happened.append(Happened(by, name, file.name))

    def write(self, file: pathlib.Path) -> None:
        file.write_text(f"written by {self.count}")

    def expected(self, attempts: bool) -> Happened | None:
        """What V(last) is about, or of changes alone what rollback.sh is; None when there is nothing to undo."""
        counts = [one for one in self.happened if one.what != "hook" and (attempts or one.altered)]
        return counts[-1] if counts and counts[-1].altered and not counts[-1].undone else None

    def undo(self, by_script: bool) -> None:
        """A rollback to V(last), or by rollback.sh and then put on record."""
        expected, before = self.expected(attempts=not by_script), snapshot(self.data)
        script = pathlib.Path(self.engine.path, "rollback.sh")
        if by_script and not script.exists():
            assert expected is None
            return
        if by_script:
            done = subprocess.run(["sh", str(script), "--yes"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            wanted = self.after(expected, before)
            assert changes(wanted, snapshot(self.data)) == {}, done.stdout
            recover = checkpoint(self.engine, CheckpointRequest(None, True, {}, [], recover=True), False)["recover"]
            assert (recover is not None) == (expected is not None)
            if recover is None:
                return
            result = rollback(self.engine, RollbackRequest(recover["to"]), False)
        else:
            result = rollback(self.engine, RollbackRequest("last"), False)
            wanted = self.after(expected, before)
        assert changes(wanted, snapshot(self.data)) == {}
        assert result["changed"] == (expected is not None), result["msg"]
        if expected is not None:
            expected.undone = True

    def after(self, undone: Happened | None, before: dict[str, t.Any]) -> dict[str, t.Any]:
        """What there has to be once that was undone: its file as it was, and all else as it is."""
        if undone is None:
            return before
        wanted = dict(before)
        if undone.before is None:
            del wanted[undone.file]
        else:
            # Its time is compared by the engine.
            assert (self.data / undone.file).read_text() == undone.before
            wanted[undone.file] = snapshot(self.data)[undone.file]
        return wanted

    def prune(self, keep: int) -> None:
        """Retention by number: the newest of each making stay, and so does what V(last) is about."""
        last = self.expected(attempts=True)
        kept = [one for one in self.happened if not one.pruned]
        gone = set(retain(self.engine, Limits(keep, archive=False), False)["pruned"])
        for one in kept:
            one.pruned = bool({one.name, f"{one.name}.1"} & gone)
        for what in ("hand", "hook"):
            there = [one for one in kept if one.what == what and not one.undone]
            # What lies before an installation that is beyond the limit can be gone back to by nobody.
            assert not any(one.pruned for one in there[-keep:] if not self._cut_off(one))
            assert sum(not one.pruned for one in there) <= keep + (last is not None and last.what == what)
        good = [one for one in kept if one.what == "finished" and not one.undone]
        assert not any(one.pruned for one in good[-keep:])
        assert last is None or not last.pruned

    def _cut_off(self, point: Happened) -> bool:
        later = self.happened[self.happened.index(point) :]
        return any(one.what == "finished" and one.pruned for one in later)

    def _would_undo(self, name: str) -> list[str] | None:
        """The points that a rollback would undo; None where retention was there before."""
        try:
            return rollback(self.engine, RollbackRequest(name), True)["undone"]
        except InputError as error:
            if "retention removed" in error.what or "not kept" in error.what:
                return None
            raise

    def every_one_is_reached(self) -> None:
        """Each point that was kept can be named; what was pruned is refused."""
        for one in self.happened:
            if one.what == "failed" or one.undone:
                continue
            undone = self._would_undo(one.name)
            if undone is None:
                continue
            assert one.what == "idle" or any(name.startswith(one.name) for name in undone)
            hooks = {other.name for other in self.happened if other.what == "hook"}
            assert one.what == "hook" or not hooks & set(undone)


@h.given(STEPS)
@h.settings(
    max_examples=MORE or 25,
    derandomize=not MORE,
    deadline=None,
    database=None,
    suppress_health_check=list(h.HealthCheck),
)
def test_e1_e4_e5_whatever_happened_last_is_the_last_and_changes_are_kept(steps: list[t.Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="sage-changes-", dir="/dev/shm") as path:
        host = Host(pathlib.Path(path))
        for step in steps:
            if step in ("finished", "failed", "idle"):
                host.install(step)
            elif step in ("hand", "hook"):
                host.point(step)
            elif step in ("last", "script"):
                host.undo(step == "script")
            else:
                host.prune(step[1])
        host.every_one_is_reached()
