# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sage_check finds: each kind of damage by its name, and nothing where nothing is damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Leased
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest, checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.check import check
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits


class Host(SageHost):
    """One that records what its phases left, as the role does."""

    version = ""

    @property
    def checkpoints(self) -> Path:
        return self.path / "root" / ".sage" / "checkpoints"

    def begin(self, version: str) -> str:
        self.version = version
        return super().begin(version)

    def end(self, limits: Limits | None = None) -> dict[str, t.Any]:
        pack = {"name": "pack", "version": self.version}
        venv = {"kind": "venv", "path": str(self.venv.path), "distributions": [pack]}
        verified(self.engine)
        done = [
            {"phase": name, "status": "completed", **({"result": [venv]} if name == "python_deps" else {})}
            for name in PHASES
        ]
        self.call(transitions=done)
        return {}

    def back(self, to: str = "last") -> None:
        rollback(self.engine, RollbackRequest(to), False)

    def findings(self) -> list[tuple[str, str]]:
        """Severity and name of each finding."""
        return [(each["severity"], each["name"]) for each in check(self.engine, False, False)["findings"]]

    def texts(self) -> str:
        return "\n".join(each["text"] for each in check(self.engine, False, False)["findings"])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.make()
    return made


def _nothing(host: Host) -> None:
    assert not host.checkpoints.exists()


def _fresh(host: Host) -> None:
    host.install("1")


def _upgrade(host: Host) -> None:
    host.install("1")
    host.install("2")


def _failed_and_rolled_back(host: Host) -> None:
    host.install("1")
    host.begin("2")
    host.call(transitions=[{"phase": "python_deps", "status": "failed", "data": "no disk"}])
    host.back()


def _rolled_back(host: Host) -> None:
    _upgrade(host)
    host.back()


def _redone(host: Host) -> None:
    _rolled_back(host)
    host.back(next(each for each in host.changes() if each.origin == "rollback").points[-1]["point"])


def _by_hand(host: Host) -> None:
    _fresh(host)
    backup(host.engine, [{"kind": "files", "paths": [str(host.file)]}], None, "by hand", False)


def _only_by_hand(host: Host) -> None:
    backup(host.engine, [{"kind": "files", "paths": [str(host.file)]}], None, "by hand", False)


def _pruned_and_archived(host: Host) -> None:
    for version in "1234":
        host.install(version)
    host.clean(installations=2, archive=True, uncompressed=0)


def _absent_before(host: Host) -> None:
    """The environment was not there, comes, and goes into the store as a whole."""
    host.venv.remove()
    started = {"phase": "environment_setup", "status": "started"}
    venv = {"kind": "venv", "path": str(host.venv.path)}
    host.call(inputs={"python_deps": {"version": "1"}}, transitions=[{**started, "capture": [venv]}])
    host.venv.make()
    pack = [{"name": "pack", "version": "1"}]
    host.call(transitions=[{"phase": "python_deps", "status": "started", "capture": [{**venv, "distributions": pack}]}])
    host.version = "1"
    host.change("1")
    host.end()
    host.back()


CLEAN: tuple[t.Callable[[Host], None], ...] = (
    _nothing,
    _fresh,
    _upgrade,
    _failed_and_rolled_back,
    _rolled_back,
    _redone,
    _by_hand,
    _only_by_hand,
    _pruned_and_archived,
    _absent_before,
)


@pytest.mark.parametrize("situation", CLEAN, ids=lambda each: each.__name__.strip("_"))
def test_e18_nothing_is_found_where_nothing_is_damaged(host: Host, situation: t.Callable[[Host], None]) -> None:
    situation(host)
    before = snapshot(host.path)
    told = check(host.engine, False, False)
    assert [each["text"] for each in told["findings"]] == []
    assert (told["intact"], told["changed"], told["exists"]) == (True, False, situation is not _nothing)
    assert changes(before, snapshot(host.path)) == {}
    # Nor is there anything to mend.
    assert not check(host.engine, True, False)["changed"]
    assert changes(before, snapshot(host.path)) == {}


def test_k1_a_log_of_somebody_else_tells_of_no_lost_change(host: Host) -> None:
    _fresh(host)
    logs = host.checkpoints / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "my.log").write_text("of a nightly job\n")
    told = check(host.engine, False, False)
    assert (told["findings"], told["intact"]) == ([], True)


def test_e18_a_run_that_was_killed_has_damaged_nothing(host: Host) -> None:
    host.install("1")
    host.begin("2")
    told = check(host.engine, False, False)
    assert host.findings() == [("left", "unfinished_installation")]
    assert told["intact"]
    assert "python_deps is started" in host.texts()
    # A capture that was not recorded yet.
    (host.store / host.changes()[-1].install_id / "stray").mkdir()
    assert sorted(host.findings()) == [("left", "stray_content"), ("left", "unfinished_installation")]


def _point(host: Host) -> Path:
    """The directory of the newest rollback point."""
    point = host.changes()[-1].points[-1]
    return host.store / point["install_id"] / point["point"]


def _same_size(path: Path) -> None:
    """Other content of the same size and time, under another inode: only its hash tells."""
    info, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    path.chmod(info.st_mode)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def _alter(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def _stored_file(host: Host) -> Path:
    """The content that the file C(data) of the distribution had before."""
    return max(_point(host).glob("0/copies/*/*"), key=lambda path: path.stat().st_size)


def _lose_tail(host: Host, progress: bool) -> None:
    """The ledger loses the last installation; so does the progress file where it is not told apart."""
    _upgrade(host)
    ledger = host.checkpoints / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if number and b'"event":"begun"' in line)
    ledger.write_bytes(b"".join(lines[:first]))
    if not progress:
        with host.engine.session():
            (host.checkpoints / "install_progress.json.ahead").unlink()


def _ago(host: Host, seconds: float) -> None:
    """Arm a switch that was due some time ago."""
    with host.engine.session() as session:
        armed = mark.make(session.required().install_id, "token", 100.0)
        assert session.where is not None
        mark.write(session.where, armed._replace(due=armed.due - 100 - seconds, method="process", handle="0"))


class Damage(t.NamedTuple):
    """What is done to a host, and what a check has to say.

    :ivar repaired: by C(repair).
    """

    finding: tuple[str, str]
    situation: t.Callable[[Host], None]
    do: t.Callable[[Host], object]
    repaired: bool = False


WRONG, LEFT = "wrong", "left"
DAMAGES: dict[str, Damage] = {
    "ledger: a byte": Damage(
        (WRONG, "ledger_altered"), _upgrade, lambda host: _alter(host.checkpoints / "ledger.jsonl", b'"1"', b'"9"')
    ),
    "ledger: gone": Damage(
        (WRONG, "record_unreadable"), _fresh, lambda host: (host.checkpoints / "ledger.jsonl").unlink()
    ),
    "ledger: another format": Damage(
        (WRONG, "ledger_altered"),
        _fresh,
        lambda host: _alter(host.checkpoints / "ledger.jsonl", b'"format":2', b'"format":3'),
    ),
    "ledger: half a line": Damage(
        (LEFT, "unfinished_line"),
        _fresh,
        lambda host: (host.checkpoints / "ledger.jsonl").open("ab").write(b'{"format":2'),
        repaired=True,
    ),
    "ledger: lost its end": Damage((WRONG, "lost_tail"), lambda host: _lose_tail(host, True), lambda host: None),
    "ledger: lost its end, mended by a run": Damage(
        (WRONG, "lost_tail"), lambda host: _lose_tail(host, False), lambda host: None
    ),
    "progress: gone": Damage(
        (WRONG, "progress_missing"),
        _fresh,
        lambda host: (host.checkpoints / "install_progress.json").unlink(),
        repaired=True,
    ),
    "progress: edited": Damage(
        (WRONG, "progress_altered"),
        _fresh,
        lambda host: _alter(host.checkpoints / "install_progress.json", b"python_deps", b"python_dept"),
        repaired=True,
    ),
    "progress: damaged": Damage(
        (WRONG, "progress_altered"),
        _fresh,
        lambda host: (host.checkpoints / "install_progress.json").write_text("{"),
        repaired=True,
    ),
    "script: edited": Damage(
        (WRONG, "script_differs"),
        _upgrade,
        lambda host: _alter(host.checkpoints / "rollback.sh", b"main", b"true"),
        repaired=True,
    ),
    "script: gone": Damage(
        (WRONG, "script_differs"), _upgrade, lambda host: (host.checkpoints / "rollback.sh").unlink(), repaired=True
    ),
    "store: gone": Damage((WRONG, "point_damaged"), _upgrade, lambda host: shutil.rmtree(host.store)),
    "store: a point": Damage((WRONG, "point_damaged"), _upgrade, lambda host: shutil.rmtree(_point(host))),
    "store: a resource": Damage((WRONG, "point_damaged"), _upgrade, lambda host: shutil.rmtree(_point(host) / "0")),
    "store: a manifest": Damage(
        (WRONG, "point_damaged"), _upgrade, lambda host: _alter(_point(host) / "0.json", b"pack", b"peck")
    ),
    "store: a list": Damage(
        (WRONG, "point_damaged"), _upgrade, lambda host: (_point(host) / "0.items").write_text("x")
    ),
    "store: a table": Damage(
        (WRONG, "point_damaged"), _upgrade, lambda host: _alter(_point(host) / "0/0.before", b"pack", b"peck"), True
    ),
    "store: a footprint": Damage(
        (WRONG, "point_damaged"), _upgrade, lambda host: _alter(_point(host) / "0/0.footprint", b"pack", b"peck")
    ),
    # The farm still has it.
    "store: a file is gone": Damage((WRONG, "point_damaged"), _upgrade, lambda host: _stored_file(host).unlink(), True),
    "store: another size": Damage(
        (WRONG, "point_damaged"),
        _upgrade,
        lambda host: next((_point(host) / "1").glob("copies/*/*")).write_text("longer"),
    ),
    "store: another content": Damage(
        (WRONG, "point_damaged"), _upgrade, lambda host: _same_size(_stored_file(host)), repaired=True
    ),
    "store: an archive": Damage(
        (WRONG, "point_damaged"), _pruned_and_archived, lambda host: _same_size(next(host.store.rglob("*.tar.*")))
    ),
    "store: an archive is gone": Damage(
        (WRONG, "point_damaged"), _pruned_and_archived, lambda host: next(host.store.rglob("*.tar.*")).unlink()
    ),
    "store: a whole environment": Damage(
        (WRONG, "point_damaged"), _absent_before, lambda host: shutil.rmtree(next(host.store.rglob("whole")))
    ),
    "store: content of nothing": Damage(
        (LEFT, "stray_content"), _upgrade, lambda host: (_point(host).parent / "stray").mkdir()
    ),
    "host: a file is gone": Damage((WRONG, "drift"), _fresh, lambda host: (host.venv.site / "pack" / "data").unlink()),
    "host: another content": Damage(
        (WRONG, "drift"), _fresh, lambda host: _same_size(host.venv.site / "pack" / "data")
    ),
    "host: another version": Damage((WRONG, "drift"), _fresh, lambda host: host.change("2")),
    "host: gone": Damage((WRONG, "drift"), _fresh, lambda host: host.venv.remove()),
    "left: half a file": Damage(
        (LEFT, "stray_file"), _fresh, lambda host: (host.checkpoints / ".lease.json.tmp").touch(), repaired=True
    ),
    "left: a removal": Damage(
        (LEFT, "stray_file"),
        _fresh,
        lambda host: shutil.copytree(host.checkpoints, f"{host.checkpoints}.removed.1"),
        repaired=True,
    ),
    "left: a switch": Damage((LEFT, "stale_switch"), _fresh, lambda host: _ago(host, 0), repaired=True),
    "left: a switch nobody understands": Damage(
        (LEFT, "stray_file"), _fresh, lambda host: (host.checkpoints / "deadman.json").write_text("{"), repaired=True
    ),
    "left: a lease nobody understands": Damage(
        (LEFT, "stray_file"), _fresh, lambda host: (host.checkpoints / "lease.json").write_text("{"), repaired=True
    ),
    "left: a switch of another version": Damage(
        (WRONG, "unknown_format"), _fresh, lambda host: (host.checkpoints / "deadman.json").write_text('{"format": 2}')
    ),
    "left: a script was killed": Damage(
        (WRONG, "unfinished_script"), _upgrade, lambda host: (host.checkpoints / "rollback.begun").touch()
    ),
    "kept: an edited progress file": Damage(
        (LEFT, "kept_aside"),
        _fresh,
        lambda host: (host.checkpoints / "install_progress.json.edited").write_text("{}"),
    ),
}


# Some of them in the quick checks.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if number % 3 else []) for number, name in enumerate(DAMAGES)]
)
def test_e18_each_damage_is_found_and_what_can_be_is_mended(host: Host, name: str) -> None:
    damage = DAMAGES[name]
    damage.situation(host)
    damage.do(host)
    (host.path / "root").chmod(0o755)
    before = snapshot(host.path)
    told = check(host.engine, False, False)
    assert {(each["severity"], each["name"]) for each in told["findings"]} >= {damage.finding}, told["findings"]
    assert told["intact"] == (not [each for each in told["findings"] if each["severity"] == "wrong"])
    # Whoever asks to predict gets what is mended, and nothing is.
    predicted = check(host.engine, True, True)
    assert changes(before, snapshot(host.path)) == {}
    mended = check(host.engine, True, False)
    assert mended["changed"] == predicted["changed"]
    assert (damage.finding in [(each["severity"], each["name"]) for each in mended["findings"]]) != damage.repaired
    if not mended["changed"]:
        assert changes(before, snapshot(host.path)) == {}


def test_s30_what_is_found_of_a_point_names_the_file(host: Host) -> None:
    _upgrade(host)
    stored = _stored_file(host)
    stored.unlink()
    point = host.changes()[-1].points[-1]["point"]
    captured = host.venv.site / "pack/data"
    gone = f"the captured content of {captured} is gone from {stored.parents[2]}"
    assert host.texts() == f"rollback point {point} cannot be used: {gone}"


def test_a_damaged_point_is_told_in_a_few_lines(host: Host) -> None:
    host.venv.install("pack", "0", {f"pack/{number:03}": str(number) for number in range(50)})
    host.install("1")
    for path in _point(host).glob("0/copies/*/*"):
        if path.read_text().isdigit():
            path.unlink()
    texts = host.texts().splitlines()
    assert len(texts) == 6
    assert "45 more files" in host.texts()


def test_a_run_at_work_is_told_and_not_taken_for_damage(host: Host) -> None:
    host.install("1")
    host.begin("2")
    run = lease.Run(run="r1", controller="deploy", user="alice", host="h")
    with host.engine.session() as session:
        assert session.where is not None
        lease.take(session.where, run, held=True)
    (host.checkpoints / ".lease.json.tmp").touch()
    assert host.findings() == [("left", "at_work")]
    assert "run r1 of alice on deploy is at work" in host.texts()
    assert "what is installed, rollback.sh, the farm" in host.texts()
    # Nobody calls intact what was not looked at.
    told = check(host.engine, False, False)
    assert (told["intact"], told["msg"]) == (False, "not all could be looked at")
    assert told["at_work"] is not None
    assert told["at_work"]["run"] == "r1"
    with pytest.raises(Leased):
        check(host.engine, True, False)
    # Once it is silent for too long it is dead, and what it left is told.
    content = json.loads((host.checkpoints / "lease.json").read_text())
    content.update(renewed=content["renewed"] - 10_000, wall=content["wall"] - 10_000)
    (host.checkpoints / "lease.json").write_text(json.dumps(content))
    # Calls that know nothing of the record only touch the file.
    os.utime(host.checkpoints / "lease.json", (content["wall"], content["wall"]))
    assert sorted(host.findings()) == [("left", "stray_file"), ("left", "unfinished_installation")]


def test_e3_a_run_whose_controller_is_gone_is_not_at_work(host: Host) -> None:
    """For a check it was, until it had been silent for long enough: so half of the root was not looked at."""
    host.install("1")
    host.begin("2")
    killed = lease.Run(run="r1", controller="deploy", user="alice", host="h")
    with host.engine.session() as session:
        assert session.where is not None
        lease.take(session.where, killed, held=True)
    (host.checkpoints / ".lease.json.tmp").touch()
    host.engine.run = lease.Run(run="r2", controller="deploy", host="h", dead=["r1"])
    told = check(host.engine, False, False)
    assert sorted(each["name"] for each in told["findings"]) == ["stray_file", "unfinished_installation"]
    assert told["at_work"] is None
    # What it left at work on the host still changes things.
    marks = {"SAGE_INSTALLATION": f"x@{host.engine.root}", "SAGE_RUN": "r1"}
    with subprocess.Popen(["sleep", "600"], env=marks) as left:
        try:
            told = check(host.engine, False, False)
        finally:
            left.kill()
    assert [each["name"] for each in told["findings"]] == ["at_work"]
    assert "run r1 of alice on deploy is dead" in told["findings"][0]["text"]
    assert f"has left processes at work, which the next run ends: {left.pid}" in told["findings"][0]["text"]
    assert not told["intact"]


def test_k1_what_the_script_did_is_told_by_date(host: Host) -> None:
    install_id = host.install("1")
    script = host.checkpoints / "rollback.sh"
    assert subprocess.run(["sh", str(script), "--yes"], capture_output=True, check=False).returncode == 0
    ended = clock.local((host.checkpoints / "rollback.done").stat().st_mtime)[:19]
    told = f"rollback.sh took back the change {install_id} at {ended}, which is not on record yet"
    assert host.texts() == told
    assert host.findings() == [("left", "unrecorded_script")]
    report_of_host = report(host.engine, None, True)
    assert report_of_host["script"] is not None
    assert (report_of_host["script"]["told"], report_of_host["script"]["ended"]) == (told, True)
    # Killed in the middle.
    (host.checkpoints / "rollback.begun").write_text("generation \n")
    os.utime(host.checkpoints / "rollback.begun", (0, 0))
    epoch = clock.local(0)[:19]
    assert f"rollback.sh began to take back the change {install_id} at {epoch}, and has not finished that" in (
        host.texts()
    )
    assert ("wrong", "unfinished_script") in host.findings()
    # Whoever goes on says it before.
    begun = checkpoint(host.engine, CheckpointRequest({"python_deps": {"version": "1"}}, True, {}, [], True), True)
    assert begun["recover"] == {"to": "unfinished"}
    assert "has not finished that" in str(begun["script"])
    host.back()
    assert report(host.engine, None, True)["script"] is None
    assert host.texts() == ""


def test_an_overdue_switch_is_wrong(host: Host) -> None:
    host.begin("1")
    _ago(host, 1000)
    assert ("wrong", "overdue_switch") in host.findings()
