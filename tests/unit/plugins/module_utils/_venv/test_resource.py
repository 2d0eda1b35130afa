# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and undo of virtual environments, whole trees compared."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    ConflictError,
    SageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.plugins.module_utils._venv.kind import VenvKind
from ansible_collections.intellistream.sage.plugins.module_utils._venv.resource import VenvResource
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE, TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import BackupResult, RollbackResult


class Host:
    """A root with a state and an environment."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine(str(path / "root"))
        self.root = path / "root"
        self.venv = TinyVenv(path / "root" / "venv")

    def capture(self, *pins: str, phase: str | None = None, check: bool = False) -> BackupResult:
        """Capture before a change that leaves C(name==version)."""
        named = [pin.partition("==") for pin in pins]
        spec = {
            "kind": "venv",
            "path": str(self.venv.path),
            "distributions": [{"name": name, "version": version} for name, dummy, version in named],
        }
        return backup(self.engine, [spec], phase, "", check)

    def undo(self, to: str = "last", force: bool = False, check: bool = False) -> RollbackResult:
        """Roll back."""
        return rollback(self.engine, RollbackRequest(to, force), check)

    def points(self) -> list[str]:
        """Names of all rollback points, oldest first."""
        with self.engine.reading() as session:
            return sorted(point["point"] for change in session.history() for point in change.points)

    def settle(self) -> None:
        """Look at what the change after the newest point left."""
        settled(self.engine, self.points()[-1], False)

    def status(self, phase: str, status: str) -> None:
        """Record a phase."""
        with self.engine.session() as session:
            session.move(phase, status)
            session.commit()

    def look(self) -> dict[str, tuple[object, ...]]:
        """The environment as data."""
        return snapshot(self.venv.path)

    @property
    def farm(self) -> Path:
        """Where content lies that no point has been given."""
        return self.root / ".sage/checkpoints/store/farm"

    def held(self, content: bytes) -> Path:
        """A file of the farm that holds this."""
        return next(path for path in sorted(self.farm.rglob("*")) if path.is_file() and path.read_bytes() == content)

    @property
    def store(self) -> Path:
        """The content of the first resource of the first point."""
        return min((self.root / ".sage/checkpoints/store").glob("*/*/0"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "root").mkdir()
    one = Host(tmp_path)
    one.venv.make()
    one.venv.install("keep", "1.0")
    one.venv.install("pack", "1.0")
    return one


def test_created_is_removed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    host = Host(tmp_path)
    host.capture("pack==1.0")
    host.venv.make()
    host.venv.install("pack", "1.0")
    assert host.undo()["plan"]["remove"] == [str(host.venv.path)]
    assert not os.path.lexists(host.venv.path)
    assert sorted(os.listdir(host.root)) == [".sage"]


def test_created_with_a_foreign_distribution_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    host = Host(tmp_path)
    host.capture("pack==1.0")
    host.venv.make()
    host.venv.install("pack", "1.0")
    host.venv.install("mine", "1.0")
    before = host.look()
    with pytest.raises(ConflictError, match=r"mine 1\.0"):
        host.undo()
    assert changes(before, host.look()) == {}
    host.undo(force=True)
    assert not host.venv.path.exists()


def test_added_is_erased(host: Host) -> None:
    before = host.look()
    host.capture("fresh==1.0")
    host.venv.install("fresh", "1.0")
    result = host.undo()
    assert result["plan"]["erase"] == ["fresh 1.0"]
    assert "(+0/-1)" in result["msg"]
    assert changes(before, host.look()) == {}


@pytest.mark.parametrize("version", ["2.0", "0.5", "1.0"])
def test_replaced_is_restored(host: Host, version: str) -> None:
    before = host.look()
    host.capture(f"pack=={version}")
    host.venv.install("pack", version, {"pack/__init__.py": "changed\n", "pack/new/deep.py": "", "other.pth": "x"})
    assert changes(before, host.look())
    predicted = host.undo(check=True)
    result = host.undo()
    assert predicted == {**result, "redo_point": None}
    assert changes(before, host.look()) == {}
    again = host.undo()
    assert (again["changed"], again["undone"]) == (False, [])
    assert "Nothing to roll back" in again["msg"]


def test_check_mode_writes_nothing(host: Host) -> None:
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    before = snapshot(host.root)
    assert host.undo(check=True)["changed"]
    assert changes(before, snapshot(host.root)) == {}


def test_check_mode_of_a_capture_makes_no_state(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    host = Host(tmp_path)
    assert host.capture("pack==1.0", check=True)["changed"]
    assert os.listdir(host.root) == []


def test_second_capture_changes_nothing(host: Host) -> None:
    first = host.capture("pack==2.0")
    assert host.capture("pack==2.0", check=True)["changed"] is False
    second = host.capture("pack==2.0")
    assert (second["changed"], second["rollback_point"]) == (False, first["rollback_point"])
    host.venv.install("pack", "1.5")
    assert host.capture("pack==2.0")["rollback_point"]["id"] > first["rollback_point"]["id"]


def test_capture_links_what_nobody_edits(host: Host) -> None:
    # Longer than the tick in which a write does not show.
    time.sleep(0.05)
    host.capture("pack==2.0")
    assert (host.venv.site / "pack/__init__.py").stat().st_nlink == 2
    assert (host.venv.path / "bin/activate").stat().st_nlink == 1
    assert (host.venv.path / "bin/pack").stat().st_nlink == 1
    content = sorted(host.farm.glob("*/*/*"))
    # A link moves the time of its inode, too.
    time.sleep(0.05)
    assert host.capture("keep==2.0")["changed"]
    assert sorted(host.farm.glob("*/*/*")) == content


def test_edited_file_comes_back(host: Host) -> None:
    edited = host.venv.site / "pack/__init__.py"
    time.sleep(0.01)
    edited.write_text("edited by hand\n")
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.undo()
    assert changes(before, host.look()) == {}


def test_edited_activate_script_survives_unless_the_venv_was_made_anew(host: Host) -> None:
    before = host.look()
    point = host.capture("pack==2.0")["rollback_point"]["id"]
    activate = host.venv.path / "bin/activate"
    activate.write_text("mine\n")
    host.venv.install("pack", "2.0")
    host.undo(point)
    assert set(changes(before, host.look())) == {"bin/activate"}
    assert activate.read_text() == "mine\n"
    before = host.look()
    host.capture("pack==2.0")
    activate.write_text("made anew\n")
    (host.venv.path / "pyvenv.cfg").write_text("version = 3.12.1\n")
    host.undo()
    assert changes(before, host.look()) == {}


def test_path_twice_in_record(host: Host) -> None:
    record = host.venv.info("pack", "1.0") / "RECORD"
    record.write_text(record.read_text() + "pack/__init__.py,sha256=AAAA,7\n")
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.undo()
    assert changes(before, host.look()) == {}


def test_what_others_added_stays(host: Host) -> None:
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.venv.install("mine", "3.0")
    host.undo()
    host.venv.uninstall("mine")
    assert changes(before, host.look()) == {}


def test_file_of_two_distributions_stays_with_the_other(host: Host) -> None:
    host.capture("fresh==1.0")
    host.venv.install("fresh", "1.0", {"shared/one.py": "1", "shared/fresh.py": ""})
    host.venv.install("mine", "1.0", {"shared/one.py": "1"})
    host.undo()
    assert (host.venv.site / "shared/one.py").exists()
    assert not (host.venv.site / "shared/fresh.py").exists()


def test_file_of_two_planned_distributions_is_no_edit(host: Host) -> None:
    before = host.look()
    host.capture("one==1.0", "two==1.0")
    host.venv.install("one", "1.0", {"shared/__init__.py": "one's\n"})
    host.venv.install("two", "1.0", {"shared/__init__.py": "two writes it too, and last\n"})
    host.undo()
    assert changes(before, host.look()) == {}


def test_foreign_version_is_a_conflict(host: Host) -> None:
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "9.0")
    with pytest.raises(ConflictError, match=r"pack 9\.0"):
        host.undo()
    assert host.venv.installed()["pack"] == "9.0"
    host.undo(force=True)
    assert changes(before, host.look()) == {}


def test_edit_after_the_change_is_a_conflict_and_kept_aside(host: Host) -> None:
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    time.sleep(0.01)
    (host.venv.site / "pack/__init__.py").write_text("precious\n")
    with pytest.raises(ConflictError, match="edited by somebody"):
        host.undo()
    host.undo(force=True)
    assert changes(before, host.look()) == {}
    assert (host.store / "aside/venv" / SITE / "pack/__init__.py").read_text() == "precious\n"


def test_killed_installer_leaves_nothing_behind(host: Host) -> None:
    (host.venv.site / "handmade.py").write_text("mine\n")
    before = host.look()
    time.sleep(0.01)
    host.status("python_deps", "started")
    host.capture("pack==2.0", "fresh==1.0", phase="python_deps")
    time.sleep(0.01)
    # pip renames what it replaces, and is killed in the middle of the new version.
    (host.venv.site / "pack").rename(host.venv.site / "~ack")
    host.venv.info("pack", "1.0").rename(host.venv.site / "~ack-1.0.dist-info")
    host.venv.install("pack", "2.0", register=False)
    host.venv.install("fresh", "1.0", register=False)
    result = host.undo("python_deps")
    assert any("~ack (kept aside)" in line for line in result["plan"]["remove"])
    assert changes(before, host.look()) == {}
    assert (host.store / "aside/venv" / SITE / "~ack/__init__.py").exists()
    with host.engine.reading() as session:
        assert session.installation is not None
        assert session.installation.phases["python_deps"].status == "rolled_back"


def test_somebodys_directory_where_the_installer_failed_to_put_a_file_stays(host: Host) -> None:
    mine = host.venv.site / "pack" / "data" / "2.0.txt"
    mine.mkdir()
    (mine / "mine").write_text("mine")
    # The clock of a file system goes in ticks; within one nobody can tell what came first.
    time.sleep(0.05)
    before = host.look()
    host.capture("pack==2.0", phase="sage_packages")
    host.status("sage_packages", "started")
    host.venv.uninstall("pack")
    info = host.venv.info("pack", "2.0")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pack\nVersion: 2.0\n")
    (info / "RECORD").write_text("pack/__init__.py,,\npack/data/2.0.txt,,\npack-2.0.dist-info/RECORD,,\n")
    host.status("sage_packages", "failed")
    assert host.undo()["exact"]
    assert changes(before, host.look()) == {}


def test_half_written_file_of_a_killed_installer_is_kept_aside(host: Host) -> None:
    before = host.look()
    host.status("python_deps", "started")
    host.capture("pack==2.0", phase="python_deps")
    time.sleep(0.01)
    host.venv.install("pack", "2.0")
    (host.venv.site / "pack/__init__.py").write_text("vers")
    assert "kept aside" in host.undo("python_deps")["plan"]["remove"][0]
    assert changes(before, host.look()) == {}
    assert (host.store / "aside/venv" / SITE / "pack/__init__.py").read_text() == "vers"


def test_several_points_are_one_target(host: Host) -> None:
    before = host.look()
    first = host.capture("pack==2.0")["rollback_point"]["id"]
    host.venv.install("pack", "2.0")
    middle = host.look()
    second = host.capture("pack==3.0", "fresh==1.0")["rollback_point"]["id"]
    host.venv.install("pack", "3.0")
    host.venv.install("fresh", "1.0")
    predicted = host.undo(first, check=True)
    assert predicted["plan"]["install"] == ["pack 1.0"]
    assert sorted(predicted["plan"]["erase"]) == ["fresh 1.0", "pack 3.0"]
    assert host.undo()["undone"] == [second]
    assert changes(middle, host.look()) == {}
    assert host.undo(first)["undone"] == [first]
    assert changes(before, host.look()) == {}


def test_removed_by_hand_is_a_conflict_unless_the_phase_was_killed(host: Host) -> None:
    before = host.look()
    host.capture("pack==2.0")
    host.venv.uninstall("pack")
    with pytest.raises(ConflictError, match="removed by somebody"):
        host.undo()
    host.undo(force=True)
    assert changes(before, host.look()) == {}


def test_damaged_store_is_refused(host: Host) -> None:
    old = (host.venv.info("pack", "1.0") / "METADATA").read_bytes()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    before = host.look()
    for path in host.farm.parent.rglob("*"):
        if path.is_file() and path.read_bytes() == old:
            path.write_bytes(old.replace(b"pack", b"evil"))
    with pytest.raises(StoreError, match="not what was captured"):
        host.undo()
    assert changes(before, host.look()) == {}


@pytest.mark.parametrize(
    "attack", ["link", "directory", "fifo", "setuid", "manifest", "table", "gone", "shadow", "owner"]
)
def test_attacked_store_gives_what_was_captured_or_nothing(host: Host, attack: str, tmp_path: Path) -> None:
    captured = host.look()
    old = (host.venv.info("pack", "1.0") / "METADATA").read_bytes()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "METADATA").write_text("evil\n")
    before, secret = host.look(), snapshot(outside)
    stored = host.held(old)
    if attack == "link":
        stored.unlink()
        stored.symlink_to(outside / "METADATA")
    elif attack == "directory":
        stored.parent.rename(tmp_path / "moved")
        stored.parent.symlink_to(outside)
    elif attack == "fifo":
        stored.unlink()
        os.mkfifo(stored)
    elif attack == "setuid":
        stored.chmod(0o4755)
    elif attack == "shadow":
        stored.unlink()
        os.link(outside / "METADATA", stored)
    elif attack == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        os.chown(stored, 12345, 12345)
    elif attack == "gone":
        stored.unlink()
    elif attack == "table":
        table = host.store / "0.before"
        table.write_text(table.read_text().replace(f"{SITE}/pack-1.0.dist-info/METADATA", "../../outside/METADATA"))
    else:
        manifest, table = host.store.parent / "0.json", host.store / "0.before"
        table.write_text(table.read_text().replace(f"{SITE}/pack-1.0.dist-info/METADATA", "../../outside/METADATA"))
        data = json.loads(manifest.read_text())
        data["tables"] = {path: hashlib.sha256(table.read_bytes()).hexdigest() for path in data["tables"]}
        manifest.write_text(json.dumps(data))
    try:
        host.undo()
    except SageError:
        assert attack not in ("setuid", "owner")
        assert changes(before, host.look()) == {}
    else:
        assert attack in ("setuid", "owner")
        assert changes(captured, host.look()) == {}
    assert changes(secret, snapshot(outside)) == {}


@pytest.mark.parametrize("oddity", ["outside", "gone", "directory", "link", "twice", "empty"])
def test_v5_an_odd_record_bars_nothing(host: Host, oddity: str, tmp_path: Path) -> None:
    """Somebody else's, or of what is replaced."""
    for name in ("keep", "pack"):
        info = host.venv.info(name, "1.0")
        record = info / "RECORD"
        if oddity == "outside":
            record.write_text(record.read_text() + "../../../../../outside,,\n/etc/passwd,,\nnone/,,\n\0,,\n")
        elif oddity == "link":
            info.rename(tmp_path / info.name)
            info.symlink_to(tmp_path / info.name)
        elif oddity == "twice":
            shutil.copytree(info, info.with_name(f"{name}-0.9.dist-info"))
        elif oddity != "empty":
            record.unlink()
            if oddity == "directory":
                record.mkdir()
        else:
            shutil.rmtree(info)
            info.mkdir()
    before = host.look()
    host.capture("pack==2.0")
    for path in (host.venv.site / "pack").rglob("*.*"):
        path.unlink()
    info = host.venv.info("pack", "1.0")
    _remove(info)
    shutil.rmtree(host.venv.site / "pack")
    shutil.rmtree(host.venv.info("pack", "0.9"), ignore_errors=True)
    host.venv.install("pack", "2.0")
    host.settle()
    host.undo()
    assert changes(before, host.look()) == {}


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def test_capture_refuses_a_linked_package(host: Host, tmp_path: Path) -> None:
    (host.venv.site / "pack").rename(tmp_path / "elsewhere")
    (host.venv.site / "pack").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CaptureError):
        host.capture("pack==2.0")


def test_capture_copies_where_links_are_impossible(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "links are not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.undo()
    assert changes(before, host.look()) == {}


@pytest.mark.crash
def test_interrupted_anywhere_finishes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.look()
    failing = ["unlink", "rename", "rmdir", "fsync"]
    for call in failing:
        for nth in (1, 2, 3, 5, 8, 13, 21, 34):
            point = host.capture("pack==2.0", "fresh==1.0")["rollback_point"]["id"]
            host.venv.install("pack", "2.0")
            host.venv.install("fresh", "1.0")
            real, calls = getattr(os, call), itertools.count(1)

            def die(*args: Any, _real: Any = real, _calls: Any = calls, _nth: int = nth, **kwargs: Any) -> Any:
                if next(_calls) >= _nth:
                    raise KeyboardInterrupt
                return _real(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(os, call, die)
                try:
                    host.undo(point)
                except KeyboardInterrupt:
                    pass
            host.undo(point)
            assert changes(before, host.look()) == {}, (call, nth)


def test_observe_and_differences(host: Host) -> None:
    resource = VenvResource(str(host.venv.path), [{"name": "pack", "version": "1.0"}])
    recorded = json.loads(json.dumps(resource.observe()))
    assert recorded["distributions"] == {"pack": {"version": "1.0", "top": [f"{SITE}/pack"]}}
    assert recorded["version"].count(".") == 2
    assert resource.differences(recorded) == []
    host.venv.install("pack", "2.0")
    assert resource.differences(recorded) == ["pack was 1.0, is 2.0"]
    host.venv.uninstall("pack")
    assert resource.differences(recorded) == ["pack was 1.0, is gone"]
    (host.venv.path / "bin/python").unlink()
    assert any("interpreter" in reason for reason in resource.differences(recorded))
    host.venv.remove()
    assert resource.differences(recorded) == [f"virtual environment {host.venv.path} is gone"]


def test_a_package_of_byte_code_alone_comes_back(host: Host) -> None:
    """Some wheels hold no sources: what lies outside a cache is content, whatever its suffix."""
    compiled = {"pack/__init__.pyc": "old", "pack/core.pyc": "old core"}
    host.venv.install("pack", "1.5", compiled)
    before = host.look()
    host.capture("pack==2.0", "fresh==1.0", phase="python_deps")
    host.venv.install("pack", "2.0", {"pack/__init__.pyc": "new", "pack/other.pyc": "new"})
    host.venv.install("fresh", "1.0", {"fresh/__init__.pyc": "new"})
    (host.venv.site / "half").mkdir()
    (host.venv.site / "half/__init__.pyc").write_text("of a killed installer")
    host.undo()
    assert changes(before, host.look()) == {}


def test_a_compiled_file_of_somebody_else_is_not_removed_with_the_venv(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.capture("pack==1.0")
    host.venv.make()
    host.venv.install("pack", "1.0")
    (host.venv.site / "theirs.pyc").write_text("precious")
    with pytest.raises(ConflictError, match=r"theirs\.pyc"):
        host.undo()


def test_the_lock_that_uv_makes_goes_again(host: Host) -> None:
    before = host.look()
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    (host.venv.path / ".lock").touch()
    host.undo()
    assert changes(before, host.look()) == {}
    (host.venv.path / ".lock").touch()
    before = host.look()
    host.capture("pack==3.0")
    host.venv.install("pack", "3.0")
    host.undo()
    assert changes(before, host.look()) == {}


def test_e17_both_versions_that_an_interrupted_upgrade_left_are_told(host: Host) -> None:
    """Of two only the one that was found last was shown."""
    info = host.venv.info("pack", "1.0")
    shutil.copytree(info, info.with_name("pack-2.0.dist-info"))
    resource = VenvResource(str(host.venv.path), [{"name": "pack", "version": "1.0"}])
    versions = VenvKind().versions(resource.observe())
    assert sorted(versions["pack"].split(" and ")) == ["1.0", "2.0"]
    assert resource.differences(resource.observe()) != []
