# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drift: what somebody changed since it was recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._reports.drift import drift
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest as Back
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE, TinyVenv

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition


class Host:
    """A root with a recorded installation of two distributions, beside one that was there before."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine(str(path / "root"))
        self.venv = TinyVenv(path / "root" / "venv").make()
        self.venv.install("pip", "24.0")
        self.venv.install("older", "0.9")

    def spec(self, **versions: str) -> dict[str, t.Any]:
        named = [{"name": name, "version": version} for name, version in versions.items()]
        return {"kind": "venv", "path": str(self.venv.path), "distributions": named}

    def checkpoint(self, *transitions: Transition, inputs: dict[str, dict[str, t.Any]] | None = None) -> None:
        checkpoint(self.engine, CheckpointRequest(inputs, True, {}, list(transitions)), False)

    def install(self, wanted: str = "1", also: t.Sequence[dict[str, t.Any]] = (), **versions: str) -> None:
        """As the role does it: capture, install, record."""
        self.checkpoint(inputs={"python_deps": {"version": wanted}})
        plan = self.spec(**versions)
        self.checkpoint({"phase": "python_deps", "status": "started", "capture": [plan]})
        for each, version in versions.items():
            self.venv.install(each, version)
        done: Transition = {"phase": "python_deps", "status": "completed", "result": [plan, *also]}
        ended: list[Transition] = [
            done if phase == "python_deps" else {"phase": phase, "status": "completed"} for phase in PHASES
        ]
        verified(self.engine)
        self.checkpoint(*ended)

    def drift(self) -> list[str]:
        with self.engine.reading() as session:
            return [f"{one['path'].removeprefix(str(self.venv.path))}: {one['what']}" for one in drift(session)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    one = Host(tmp_path)
    one.install(tinydep="1.0", isage="0.1")
    return one


def test_nothing_was_recorded(tmp_path: Path) -> None:
    one = Host(tmp_path)
    assert one.drift() == []
    assert report(one.engine, None, True, True)["drift"] == []


def test_nothing_was_changed(host: Host) -> None:
    assert host.drift() == []
    # Byte code is the interpreter's; a seed belongs to nobody.
    (host.venv.site / "tinydep" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"newer")
    host.venv.install("pip", "25.0")
    host.venv.install("wheel", "1.0")
    assert host.drift() == []


def test_edits_deletions_and_additions(host: Host) -> None:
    edited = host.venv.site / "tinydep" / "__init__.py"
    content = edited.read_bytes()
    # As long as before, and as old: only the content tells.
    info = edited.stat()
    edited.write_bytes(content.replace(b"1", b"7"))
    os.utime(edited, ns=(info.st_atime_ns, info.st_mtime_ns))
    with (host.venv.path / "bin" / "isage").open("a") as stream:
        stream.write("exec evil\n")
    (host.venv.site / "tinydep" / "data" / "1.0.txt").unlink()
    host.venv.install("numpy", "2.0")
    host.venv.install("older", "1.0")
    assert host.drift() == [
        ": numpy 2.0 was added by somebody",
        ": older was 0.9, is 1.0",
        "/bin/isage: was edited (isage 0.1)",
        f"/{SITE}/tinydep/__init__.py: was edited (tinydep 1.0)",
        f"/{SITE}/tinydep/data/1.0.txt: is gone (tinydep 1.0)",
    ]
    told = report(host.engine, None, False, True)
    assert [set(one) for one in told["drift"] or []] == [{"kind", "path", "what", "theirs"}] * 5
    assert {line["what"] for line in told["drift"] or [] if line["theirs"]} == {
        "numpy 2.0 was added by somebody",
        "older was 0.9, is 1.0",
    }
    assert "drift" not in report(host.engine, None, False)


def test_other_versions_and_removed_distributions(host: Host) -> None:
    host.venv.install("tinydep", "1.1")
    host.venv.uninstall("isage")
    host.venv.uninstall("older")
    assert host.drift() == [
        ": isage was 0.1, is gone",
        ": older was 0.9, is gone",
        ": tinydep was 1.0, is 1.1",
    ]


@pytest.mark.parametrize("undone", [True, False])
def test_e18_after_a_failed_attempt_what_is_in_force_is_looked_at(host: Host, undone: bool) -> None:
    """An operator asks just after something failed."""
    edited = host.venv.site / "tinydep" / "__init__.py"
    edited.unlink()
    before = host.drift()
    assert before == [f"/{SITE}/tinydep/__init__.py: is gone (tinydep 1.0)"]
    host.checkpoint(inputs={"python_deps": {"version": "2"}})
    host.checkpoint({"phase": "environment_setup", "status": "completed"})
    if undone:
        plan = host.spec(isage="0.2")
        host.checkpoint({"phase": "python_deps", "status": "started", "capture": [plan]})
        host.venv.install("isage", "0.2")
        host.checkpoint({"phase": "python_deps", "status": "failed"})
        rollback(host.engine, Back("python_deps"), False)
    else:
        host.checkpoint({"phase": "python_deps", "status": "failed"})
    assert host.drift() == before


def test_the_environment_is_gone(host: Host) -> None:
    host.venv.remove()
    assert host.drift() == [f": virtual environment {host.venv.path} is gone"]


def test_a_package_that_was_removed_by_hand_does_not_fill_pages(host: Host) -> None:
    host.venv.install("tinydep", "1.0", {f"tinydep/{number:03}.py": str(number) for number in range(50)})
    shutil.rmtree(host.venv.site / "tinydep")
    found = host.drift()
    assert len(found) == 21
    assert f"/{SITE}/tinydep-1.0.dist-info: 30 more files of tinydep 1.0 differ" in found


def test_what_cannot_be_read_is_told(host: Host) -> None:
    (host.venv.info("isage", "0.1") / "RECORD").unlink()
    init = host.venv.site / "tinydep" / "__init__.py"
    init.unlink()
    init.symlink_to("/etc/passwd")
    data = host.venv.site / "tinydep" / "data"
    shutil.rmtree(data)
    data.symlink_to("/etc")
    found = host.drift()
    assert found[0] == f"/{SITE}/isage-0.1.dist-info/RECORD: is gone (isage 0.1)"
    assert found[1] == f"/{SITE}/tinydep/__init__.py: is no regular file any more (tinydep 1.0)"
    assert "1.0.txt: cannot be read: " in found[2]
    assert len(found) == 3


def test_a_second_line_of_record_with_a_wrong_hash_is_no_drift(host: Host) -> None:
    record = host.venv.info("tinydep", "1.0") / "RECORD"
    record.write_text("tinydep/__init__.py,sha256=AAAA,3\n" + record.read_text())
    assert host.drift() == []
    (host.venv.site / "tinydep" / "__init__.py").write_text("neither\n")
    assert host.drift() == [f"/{SITE}/tinydep/__init__.py: was edited (tinydep 1.0)"]


def test_what_a_later_installation_brought_or_took_over_is_no_drift(host: Host) -> None:
    host.venv.install("numpy", "2.0")
    host.install("2", tinydep="1.1", extra="3")
    # It was there when the later one began, which its capture tells.
    assert host.drift() == []
    rollback(host.engine, Back("last"), False)
    assert host.drift() == [": numpy 2.0 was added by somebody"]


def test_what_a_rollback_was_asked_to_leave_was_not_added_by_somebody(host: Host) -> None:
    host.install("2", extra="3")
    rollback(host.engine, Back("last", erase_installed_after="now"), False)
    assert host.drift() == [": extra 3 is left of a change that was rolled back"]


def test_without_a_readable_capture_nobody_can_tell_who_added_what(host: Host) -> None:
    shutil.rmtree(os.path.join(host.engine.path, "store"))
    host.venv.install("numpy", "2.0")
    assert host.drift() == []
    (host.venv.site / "tinydep" / "__init__.py").unlink()
    assert host.drift() == [f"/{SITE}/tinydep/__init__.py: is gone (tinydep 1.0)"]


@pytest.mark.slow
def test_git_and_files(tmp_path: Path) -> None:
    one = Host(tmp_path)
    clone, conf = tmp_path / "clone", tmp_path / "conf"
    git = ["git", "-C", str(clone), "-c", "user.name=x", "-c", "user.email=x@x.example"]
    clone.mkdir()
    (clone / "file").write_text("1\n")
    conf.write_text("1\n")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    one.install(also=[{"kind": "git", "path": str(clone)}, {"kind": "files", "paths": [str(conf)]}], tinydep="1.0")
    assert one.drift() == []
    (clone / "file").write_text("2\n")
    conf.write_text("22\n")
    found = one.drift()
    assert f"{clone}: files in it were changed and not committed" in found
    assert any(str(conf) in line for line in found)
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    assert any(f"{clone} was at" in line for line in one.drift())


def test_a_broken_ledger_is_no_error(host: Host) -> None:
    ledger = os.path.join(host.engine.path, "ledger.jsonl")
    with open(ledger, "rb") as stream:
        data = stream.read()
    with open(ledger, "wb") as stream:
        stream.write(data.replace(b'"started"', b'"Started"'))
    assert report(host.engine, None, True, True)["drift"] is None


def test_memory_does_not_grow_with_the_number_of_distributions(tmp_path: Path) -> None:
    one = Host(tmp_path)
    names = {f"dep{number}": "1.0" for number in range(30)}
    one.install("1", (), **names)
    big = {f"dep1/{number}.bin": "x" * 200_000 for number in range(20)}
    one.venv.install("dep1", "1.0", big)
    one.drift()
    tracemalloc.start()
    try:
        assert one.drift() == []
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_library_that_this_python_lacks_is_named_to_the_module(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """C(_calls.run) goes on in the system's Python then, which has it."""
    monkeypatch.setitem(sys.modules, "rpm", None)
    with host.engine.session() as session:
        facts = {"packages": {"sage": "1"}}
        session.move("cleanup", "completed", "again", [{"spec": {"kind": "rpm", "packages": ["sage"]}, "facts": facts}])
        session.commit()
    with pytest.raises(NeedsLibrary, match="can import rpm"):
        host.drift()


def test_e17_the_version_is_the_one_that_is_there(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.install(isage="1")
    assert report(host.engine, None, False)["version"] == "1"
    (info,) = host.venv.path.rglob("isage-1.dist-info")
    info.rename(info.with_name("isage-2.dist-info"))
    assert report(host.engine, None, False)["version"] == "2"
    shutil.rmtree(host.venv.path)
    assert report(host.engine, None, False)["version"] is None
