# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pruning and archiving, ended before each of the calls that change something, then run again.

Whatever is left, the next run comes to the same end, and every state that is kept can be gone back to exactly.
"""

from __future__ import annotations

import shutil
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.crash.test_undo import FINISHED, KILLED, UNCLEAR, attempt
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.crash

FULL = OSError(28, "No space left on device")


def _unpack(host: SageHost) -> None:
    with host.engine.session() as session:
        for one in session.history():
            for point in one.points:
                if point.get("archive") and not point.get("pruned") and session.where is not None:
                    if not (host.store / one.install_id / point["point"]).exists():
                        archive.unpack(session.where, point).close()


@pytest.mark.parametrize("error", [None, FULL], ids=["killed", "full"])
@pytest.mark.parametrize("what", ["prune", "archive", "unpack"])
@pytest.mark.parametrize("program", [True, False], ids=["zstd", "gzip"])
def test_at_every_call(
    tmp_path: Path, what: str, error: OSError | None, program: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program and (what == "prune" or not shutil.which("zstd")):
        pytest.skip("nothing is compressed" if what == "prune" else "there is no zstd")
    if not program:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    model = SageHost(tmp_path / "model").make()
    # One more where a failure must not spoil the next.
    names = [model.install(version) for version in ("123" if what == "archive" and error else "12")]
    if what == "unpack":
        model.clean(archive=True)
    limits = {"installations": 1, "archive": False} if what == "prune" else {"archive": True}
    kept = names[1 if what == "prune" else 0]
    nth, result = 0, KILLED
    while result != FINISHED:
        nth += 1
        host = SageHost(tmp_path / str(nth))
        shutil.rmtree(host.path, ignore_errors=True)
        # The ledger names absolute paths, so each trial takes the place of the model.
        shutil.copytree(model.path, host.path, symlinks=True)
        shutil.move(model.path, tmp_path / "saved")
        shutil.move(host.path, model.path)
        try:
            action = (
                (lambda: _unpack(model))
                if what == "unpack"
                else (lambda: retain(model.engine, Limits(**limits), False))
            )
            result = attempt(action, nth, error, reported=())
            if error is None:
                assert result != UNCLEAR, nth
            _check(model, names, kept, limits, nth)
        finally:
            shutil.rmtree(model.path)
            shutil.move(tmp_path / "saved", model.path)
    assert nth > 5


def _check(host: SageHost, names: list[str], kept: str, limits: dict[str, t.Any], nth: int) -> None:
    done = retain(host.engine, Limits(**limits), False)
    assert done["warnings"] == [], nth
    again = retain(host.engine, Limits(**limits), False)
    assert (again["changed"], again["warnings"]) == (False, []), nth
    archived = limits["archive"]
    expected = [f"{name}.1.tar" if archived and name != names[-1] else f"{name}.1" for name in names]
    expected = expected[names.index(kept) :]
    found = [name.replace(".zst", "").replace(".gz", "") for name in host.stored()]
    assert found == expected, nth
    rollback(host.engine, RollbackRequest(kept), False)
    assert changes(host.before[kept], snapshot(host.data)) == {}, nth
