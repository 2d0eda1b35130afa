# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A phase that does not fit does not begin, and leaves nothing; times are learnt from the record."""

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import WindowOver
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check as maintenance_check
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import estimate
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.check import TimeBudget
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import installations
from ansible_collections.intellistream.sage.plugins.module_utils._reports import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest as Back
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition


@pytest.fixture
def host(tmp_path: Path) -> SageHost:
    return SageHost(tmp_path).make()


def _call(host: SageHost, left: float, version: str = "", check: bool = False, **expected: float) -> dict[str, t.Any]:
    capture = [{"kind": "files", "paths": [str(host.file)]}]
    started: Transition = {"phase": "python_deps", "status": "started", "capture": capture}
    inputs = {"python_deps": {"version": version}} if version else None
    wish = TimeBudget(left, time.monotonic(), expected)
    return {**checkpoint(host.engine, CheckpointRequest(inputs, True, {}, [started], window=wish), check)}


def test_what_does_not_fit_leaves_nothing(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine takes tenths of a second to get there.
    monkeypatch.setattr(TimeBudget, "seconds_left", lambda budget: budget.seconds)
    host.install("1")
    before = snapshot(host.path)
    for check in (True, False):
        with pytest.raises(WindowOver, match=r"ends in 4\.0 s, and 2\d s are needed: .*undo \d+ s \(default\)"):
            _call(host, 4.0, "2", check)
        with pytest.raises(WindowOver, match=r"The window ended 4\.0 s ago"):
            _call(host, -4.0, "2", check)
        with pytest.raises(WindowOver, match=r"python_deps 20m|python_deps 1200"):
            _call(host, 600.0, "2", check, python_deps=1200.0)
    after = snapshot(host.path)
    # Whoever comes signs the lock.
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} <= {
        "root/.sage/checkpoints/lock"
    }


def test_what_fits_is_recorded_with_its_estimates(host: SageHost) -> None:
    begun = time.monotonic()
    result = _call(host, 5_000.0, "1")
    assert result["window"]["undo_measured"] is False
    assert result["window"]["measured"] == []
    assert result["window"]["expected"]["python_deps"] == estimate.PHASE_SECONDS["python_deps"]
    host.change("1")
    host.end()
    timing = report.report(host.engine, None, False)["timing"]
    assert timing is not None
    assert timing["phases"]["python_deps"]["expected"] == estimate.PHASE_SECONDS["python_deps"]
    took = timing["phases"]["python_deps"]["took"]
    assert took is not None
    # Both moments were within this test, and the seconds between them are told in tenths.
    assert 0 <= took <= time.monotonic() - begun + 0.1
    assert timing["undo"]["took"] is None


def test_times_are_learnt(host: SageHost) -> None:
    first = host.install("1")
    host.install("2")
    rollback(host.engine, Back(), False)
    with host.engine.reading() as session:
        history = session.recent(5)
        assert [one.install_id for one in history] == [one.install_id for one in installations(session.history())]
        assert session.recent(1)[0].install_id == history[-1].install_id
    done, seconds = maintenance_check.past_undos(history)[0]
    assert seconds > 0
    assert done.distributions == 1
    assert done.files > 0
    assert [one.undo is not None for one in history] == [False, True]
    result = _call(host, 5_000.0, "3")
    assert result["window"]["undo_measured"] is True
    # The undone one says nothing about phases.
    assert result["window"]["measured"] == ["python_deps"]
    assert result["window"]["expected"]["python_deps"] < estimate.PHASE_SECONDS["python_deps"]
    assert first != result["install_id"]


def test_a_phase_that_began_has_less_left(host: SageHost) -> None:
    _call(host, 5_000.0, "1")
    # Python_deps has begun just now; its default is five minutes, and only what is left of them counts.
    with pytest.raises(WindowOver):
        _call(host, 200.0)
    undo = _call(host, 5_000.0)["window"]["undo"]
    assert undo < 60


def test_seconds_pass_on_the_host(host: SageHost) -> None:
    asked_at = time.monotonic() - 4
    seconds_left = TimeBudget(10.0, asked_at, {}).seconds_left()
    assert 10.0 - (time.monotonic() - asked_at) <= seconds_left <= 6.0


def test_a_rollback_that_does_not_fit_changes_nothing(host: SageHost) -> None:
    before = snapshot(host.data)
    host.install("1")
    after = snapshot(host.data)
    for check in (True, False):
        with pytest.raises(WindowOver, match=r"The window ends in [0-9.]+ s, and the rollback takes 1\d s \(default\)"):
            rollback(host.engine, Back(window=TimeBudget(9.0, time.monotonic(), {})), check)
    assert snapshot(host.data) == after
    rollback(host.engine, Back(window=TimeBudget(5_000.0, time.monotonic(), {})), False)
    assert snapshot(host.data) == before
