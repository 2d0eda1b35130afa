# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No verdict and no listing promises a way back whose content is gone or hurt."""

from __future__ import annotations

import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import look
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DamagedPoint


@pytest.fixture
def host(tmp_path: Path) -> SageHost:
    made = SageHost(tmp_path).make()
    made.install("1")
    return made


def _told(host: SageHost, version: str = "1") -> list[list[DamagedPoint]]:
    """What a rerun, the record's own listing and a call that begins tell."""
    inputs = {"python_deps": {"version": version}}
    rerun = look(host.engine.root, None, inputs)
    listed = report(host.engine, None, True)
    begun = host.call(check_mode=True, inputs=inputs)
    assert listed["resume"] is not None
    return [rerun["resume"]["damaged"], listed["damaged"], listed["resume"]["damaged"], begun["resume"]["damaged"]]


def test_s30_nothing_is_told_of_what_can_be_used(host: SageHost) -> None:
    assert _told(host) == [[]] * 4
    told = report(host.engine, None, True)
    assert len(told["rollback_points"]) == 1
    assert told["progress"]["can_rollback"]
    assert not told["transactions"][0]["rollback_points"][0]["damaged"]


@pytest.mark.parametrize("finished", [True, False])
def test_s30_e18_a_damaged_capture_is_told(host: SageHost, finished: bool) -> None:
    if not finished:
        host.begin("2")
    change = host.changes()[-1]
    [point] = [each["point"] for each in change.points]
    stored = next((host.store / change.install_id).glob("*/0/0.before"))
    stored.unlink()
    told_by_all = _told(host, "1" if finished else "2")
    assert len(told_by_all) == 4
    for [damaged] in told_by_all:
        assert (damaged["point"], len(damaged["problems"])) == (point, 1)
        assert f"{stored} is gone" in damaged["problems"][0]
    told = report(host.engine, None, True)
    assert point not in [each["point"] for each in told["rollback_points"]]
    assert told["transactions"][0]["rollback_points"][-1]["damaged"]
    assert not told["progress"]["can_rollback"]
    # What is installed is as good as before.
    assert look(host.engine.root, None, {"python_deps": {"version": "1"}})["finished"] == finished


def test_s30_older_points_are_told_by_the_listing_alone(host: SageHost) -> None:
    first = host.changes()[-1].points[-1]["point"]
    host.install("2")
    shutil.rmtree(host.store / first.partition(".")[0] / first)
    rerun, listed, *dummy = _told(host, "2")
    assert rerun == []
    assert [each["point"] for each in listed] == [first]


def test_s30_objects_that_git_has_lost(host: SageHost) -> None:
    repository = host.path / "clone"

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    repository.mkdir()
    git("init", "-q")
    (repository / "file").write_text("1")
    git("add", ".")
    git("commit", "-qm", "one")
    backup(host.engine, [{"kind": "git", "path": str(repository)}], None, "by hand", False)
    assert report(host.engine, None, True)["damaged"] == []
    ref = git("for-each-ref", "--format=%(refname)", "refs/sage").strip()
    git("update-ref", "-d", ref)
    [damaged] = report(host.engine, None, True)["damaged"]
    assert "is not in its repository any more" in damaged["problems"][0]
