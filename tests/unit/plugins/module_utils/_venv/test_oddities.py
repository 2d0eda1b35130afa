# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Odd environments, each captured, changed and put back; whole trees compared with a copy that C(cp -a) made."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    ConflictError,
    InputError,
    RollbackError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv.resource import VenvResource
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import (
    snapshot as everything,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._venv.test_resource import Host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "root").mkdir()
    made = Host(tmp_path)
    made.venv.make()
    made.venv.install("keep", "1.0")
    made.venv.install("pack", "1.0")
    return made


def _copied(host: Host) -> Path:
    copy = host.root.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", str(host.venv.path), str(copy)], check=True)
    return copy


def _differences(copy: Path, tree: Path) -> dict[str, object]:
    """Paths that differ between a tree and its copy, in anything but numbers of inodes."""
    before = {path.replace(str(copy), "", 1): state for path, state in everything(copy).items() if path.startswith("/")}
    after = {path.replace(str(tree), "", 1): state for path, state in everything(tree).items() if path.startswith("/")}
    return {
        path: (before.get(path), after.get(path)) for path in {*before, *after} if before.get(path) != after.get(path)
    }


def _is_undone(host: Host, copy: Path, *, force: bool = False) -> None:
    host.undo(force=force)
    assert _differences(copy, host.venv.path) == {}


def test_v4_what_is_in_no_dist_info_comes_back(host: Host) -> None:
    """egg-info beside its package, a legacy link, a namespace without a file, files in other places."""
    site = host.venv.site
    for name in ("old.egg-info", "space/below", "share"):
        (site / name).mkdir(parents=True)
    (site / "old.egg-info/PKG-INFO").write_text("Name: old\nVersion: 1\n")
    (site / "old.py").write_text("v = 1\n")
    (site / "easy-install.pth").write_text("/somewhere\n")
    (site / "space/below/module.py").write_text("v = 1\n")
    (site / os.fsdecode(b"\xff\xfe.py")).write_text("odd\n")
    (host.venv.path / "share").mkdir()
    (host.venv.path / "share/data").write_text("data")
    copy = _copied(host)
    host.capture("old==2")
    shutil.rmtree(site / "old.egg-info")
    (site / "old.py").unlink()
    with open(site / "easy-install.pth", "a") as stream:
        stream.write("/elsewhere\n")
    (site / "old.egg-link").write_text("/src\n")
    shutil.rmtree(site / "space")
    (site / os.fsdecode(b"\xff\xfe.py")).unlink()
    shutil.rmtree(host.venv.path / "share")
    host.settle()
    _is_undone(host, copy)


@pytest.mark.parametrize("settle", [False, True])
def test_v6_two_distributions_own_one_path(host: Host, settle: bool) -> None:
    shared = "../../../bin/tool"
    host.venv.install("aaa", "1.0", {"aaa.py": "1", shared: "of aaa 1"})
    host.venv.install("bbb", "1.0", {"bbb.py": "1", shared: "of bbb 1"})
    copy = _copied(host)
    host.capture("aaa==2.0", "bbb==2.0")
    host.venv.install("aaa", "2.0", {"aaa.py": "2", shared: "of aaa 2"})
    host.venv.install("bbb", "2.0", {"bbb.py": "2", shared: "of bbb 2"})
    changed = host.root.parent / "changed"
    subprocess.run(["cp", "-a", str(host.venv.path), str(changed)], check=True)
    if settle:
        host.settle()
    result = host.undo()
    assert _differences(copy, host.venv.path) == {}
    assert result["redo_point"]
    host.undo(result["redo_point"])
    assert _differences(changed, host.venv.path) == {}


@pytest.mark.parametrize("settle", [False, True])
def test_v6_what_the_remaining_owner_had_lost_is_lost_again_by_a_redo(host: Host, settle: bool) -> None:
    """Two have one path. pip removes one of them, and with it the other's file; that is what the redo brings back."""
    host.venv.install("aaa", "1.0", {"both/__init__.py": "1"})
    host.venv.install("bbb", "1.0", {"both/__init__.py": "1", "bbb.py": "1"})
    copy = _copied(host)
    host.capture(*([] if settle else ["aaa==-"]))
    host.venv.uninstall("aaa")
    changed = host.root.parent / "changed"
    subprocess.run(["cp", "-a", str(host.venv.path), str(changed)], check=True)
    if settle:
        host.settle()
    redo = host.undo()["redo_point"]
    assert _differences(copy, host.venv.path) == {}
    assert redo
    result = host.undo(redo)
    assert _differences(changed, host.venv.path) == {}
    assert result["exact"]
    host.undo()
    assert _differences(copy, host.venv.path) == {}


def test_f5_what_uv_writes_over_at_the_top_comes_back(host: Host) -> None:
    """As C(uv venv --allow-existing) does."""
    (host.venv.path / ".gitignore").write_text("*")
    time.sleep(0.05)
    copy = _copied(host)
    host.capture("pack==2.0")
    (host.venv.path / ".gitignore").write_text("*")
    host.venv.install("pack", "2.0")
    host.settle()
    _is_undone(host, copy)


def test_k1_directories_of_directories_have_their_times_when_nobody_settled(host: Host) -> None:
    """They come back for what is in them, and are in no RECORD. Found by killing pip in opencv-python."""
    host.venv.install("deep", "1.0", {"deep/__init__.py": "1", "deep/qt/plugins/platforms/data": "1"})
    (host.venv.site / "deep/qt/plugins").chmod(0o750)
    copy = _copied(host)
    host.capture("deep==-")
    host.venv.uninstall("deep")
    result = host.undo()
    assert _differences(copy, host.venv.path) == {}
    assert result["exact"]


def test_v7_half_of_a_change_is_its_own(host: Host) -> None:
    """The installer breaks in the middle: what it removed was removed by nobody else."""
    copy = _copied(host)
    host.status("python_deps", "started")
    host.capture("pack==2.0", "keep==2.0", phase="python_deps")
    (host.venv.site / "pack").rename(host.venv.site / "~ack")
    shutil.rmtree(host.venv.info("pack", "1.0"))
    host.venv.uninstall("keep")
    host.status("python_deps", "failed")
    host.undo("python_deps")
    assert _differences(copy, host.venv.path) == {}


def test_v8_same_size_edit_with_an_old_time_before_the_capture(host: Host) -> None:
    file = host.venv.site / "pack/__init__.py"
    info = file.stat()
    with open(file, "r+b") as stream:
        stream.write(b"V")
    os.utime(file, ns=(info.st_mtime_ns, info.st_mtime_ns))
    copy = _copied(host)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    _is_undone(host, copy)


def test_k7_v8_an_append_through_a_link_of_somebody_else_after_the_change(host: Host) -> None:
    """The inode is in uv's cache, too: what a point has is not changed by what others write there."""
    time.sleep(0.05)
    cache = host.root.parent / "cache"
    os.link(host.venv.site / "pack/__init__.py", cache)
    copy = _copied(host)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    with open(cache, "a") as stream:
        stream.write("# of somebody else\n")
    _is_undone(host, copy)


def test_v9_a_file_became_a_directory_with_a_run_time_file_in_it(host: Host) -> None:
    copy = _copied(host)
    host.capture("pack==2.0")
    file = host.venv.site / "pack/data/1.0.txt"
    host.venv.install("pack", "2.0", {"pack/__init__.py": "2", "pack/data/1.0.txt/below.py": "2"})
    host.settle()
    (file / "state").write_text("of a service")
    _is_undone(host, copy)
    kept = [path.read_text() for path in host.store.glob("aside/**/state")]
    assert kept == ["of a service"]


@pytest.mark.parametrize("name", ["pyvenv.cfg", "bin/activate", "bin/pack"])
def test_v10_an_edit_after_the_change_is_a_conflict_or_stays(host: Host, name: str) -> None:
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    (host.venv.path / "pyvenv.cfg").write_text("version = 3.11.2\nprompt = made by the change\n")
    (host.venv.path / "bin/activate").write_text("# made by the change\n")
    host.settle()
    (host.venv.path / name).write_text("# mine\n")
    if name == "bin/pack":
        with pytest.raises(ConflictError, match="bin/pack was edited by somebody"):
            host.undo()
    else:
        assert f"{host.venv.path}/{name}" in host.undo()["kept"][0]
    assert (host.venv.path / name).read_text() == "# mine\n"


def test_v11_directories_have_their_owner_mode_and_attributes_back(host: Host) -> None:
    directory = host.venv.site / "pack/data"
    directory.chmod(0o2750)
    if os.geteuid() == 0:
        os.chown(directory, 12345, 54321)
    try:
        os.setxattr(directory, "user.note", b"mine")
    except OSError:
        pytest.skip("no extended attributes here")
    copy = _copied(host)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    _is_undone(host, copy)


def test_k1_a_directory_whose_mode_others_changed_as_well_is_named_and_nothing_is_called_exact(host: Host) -> None:
    directory = host.venv.site / "pack/data"
    directory.chmod(0o750)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    directory.chmod(0o711)
    result = host.undo()
    assert result["exact"] is False
    assert f"{directory} has mode 0711, had 0750" in result["inexact"][0]


def test_v12_a_distribution_outside_of_the_plan_was_damaged_by_the_installer(host: Host) -> None:
    copy = _copied(host)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0", {"pack/__init__.py": "2", "keep/__init__.py": "overwritten"})
    (host.venv.site / "keep/data/1.0.txt").unlink()
    host.settle()
    _is_undone(host, copy)


def test_v12_f19_byte_code_goes_with_its_source_and_others_in_its_directory_stay(host: Host) -> None:
    host.capture("fresh==1.0")
    host.venv.install("fresh", "1.0")
    host.settle()
    cache = host.venv.site / "fresh/__pycache__"
    (cache / "__init__.cpython-399.pyc").write_bytes(b"compiled later")
    (host.venv.site / "__pycache__").mkdir(exist_ok=True)
    (host.venv.site / "__pycache__/orphan.cpython-399.pyc").write_bytes(b"of nobody")
    host.undo()
    assert not (host.venv.site / "fresh").exists()
    assert (host.venv.site / "__pycache__/orphan.cpython-399.pyc").exists()


def test_f20_what_was_left_in_a_package_that_goes_is_set_aside(host: Host) -> None:
    copy = _copied(host)
    host.capture("fresh==1.0")
    host.venv.install("fresh", "1.0")
    host.settle()
    (host.venv.site / "fresh/state.json").write_text("{}")
    _is_undone(host, copy)
    assert [path.read_text() for path in host.store.glob("aside/**/state.json")] == ["{}"]


def test_others_in_a_directory_that_came_with_the_change_stay(host: Host) -> None:
    host.capture("fresh==1.0")
    host.venv.install("fresh", "1.0", {"space/fresh.py": "1"})
    host.settle()
    host.venv.install("mine", "1.0", {"space/mine.py": "1"})
    host.undo()
    assert sorted(os.listdir(host.venv.site / "space")) == ["mine.py"]
    assert host.venv.installed() == {"keep": "1.0", "mine": "1.0", "pack": "1.0"}


def test_f6_what_nobody_owns_and_somebody_writes_bars_nothing(host: Host) -> None:
    host.capture("fresh==1.0")
    host.venv.install("fresh", "1.0")
    log = host.venv.path / "service.log"
    log.write_text("1\n")
    host.settle()
    log.write_text("1\n2\n")
    result = host.undo()
    assert log.read_text() == "1\n2\n"
    assert not (host.venv.site / "fresh").exists()
    assert any(str(log) in line for line in result["kept"])


def test_f14_somebodys_upgrade_goes_as_a_whole_by_force(host: Host) -> None:
    copy = _copied(host)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    host.venv.install("pack", "3.0", {"pack/__init__.py": "3", "pack/only.py": "theirs"})
    with pytest.raises(ConflictError, match=r"pack 3\.0 in .* was installed by somebody else"):
        host.undo()
    assert host.venv.installed()["pack"] == "3.0"
    _is_undone(host, copy, force=True)
    assert [path.read_text() for path in host.store.glob("aside/**/only.py")] == ["theirs"]


def test_f22_an_edit_between_undo_and_redo_is_not_lost(host: Host) -> None:
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    host.settle()
    redo = host.undo()["redo_point"]
    assert redo
    file = host.venv.site / "pack/__init__.py"
    file.write_text("of an operator\n")
    with pytest.raises(ConflictError):
        host.undo(redo)
    back = host.undo(redo, force=True)["redo_point"]
    assert back
    host.undo(back)
    assert file.read_text() == "of an operator\n"


def test_f8_a_package_that_is_a_link_to_sources_is_refused(host: Host, tmp_path: Path) -> None:
    (host.venv.site / "pack").rename(tmp_path / "sources")
    (host.venv.site / "pack").symlink_to(tmp_path / "sources")
    with pytest.raises(CaptureError, match="is a link to"):
        host.capture("pack==2.0")
    # Of another distribution it bars nothing.
    assert host.capture("keep==2.0")["changed"]


def test_f17_another_environment_at_the_path_is_refused(host: Host, tmp_path: Path) -> None:
    blue, green = tmp_path / "blue", tmp_path / "green"
    host.root.rename(blue)
    shutil.copytree(blue, green, symlinks=True)
    host.root.symlink_to(blue)
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    shutil.rmtree(green / ".sage", ignore_errors=True)
    shutil.move(str(blue / ".sage"), str(green / ".sage"))
    host.root.unlink()
    host.root.symlink_to(green)
    before = everything(green / "venv")
    with pytest.raises((InputError, RollbackError)):
        host.undo()
    assert everything(green / "venv") == before


IN_PLACE = {
    "append": "echo more >>{0}",
    "truncate": ": >{0}",
    "copy over": "cp {1} {0}",
    "same size and time": "touch -r {0} t; printf B | dd of={0} conv=notrunc; touch -r t {0}; rm t",
}


@pytest.mark.parametrize("settle", [False, True])
@pytest.mark.parametrize("write", IN_PLACE)
def test_f5_what_the_change_writes_in_place_comes_back(host: Host, write: str, settle: bool) -> None:
    time.sleep(0.05)
    copy = _copied(host)
    host.status("python_deps", "started")
    host.capture("keep==2.0", "pack==2.0", phase="python_deps")
    command = IN_PLACE[write].format("keep/data/1.0.txt", "pack/data/1.0.txt")
    subprocess.run(["sh", "-ec", command], cwd=host.venv.site, check=True, stderr=subprocess.DEVNULL)
    host.venv.install("pack", "2.0")
    host.status("python_deps", "failed")
    if settle:
        host.settle()
    host.undo("python_deps")
    assert _differences(copy, host.venv.path) == {}


def test_f5_what_is_written_in_place_by_nobody_who_was_watched_bars_nothing_else(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.05)
    monkeypatch.setattr(VenvResource, "watched", property(lambda _self: False, lambda _self, _value: None))
    host.capture("pack==2.0")
    with open(host.venv.site / "keep/data/1.0.txt", "a") as stream:
        stream.write("in place")
    host.venv.install("pack", "2.0")
    host.settle()
    copy = everything(host.venv.path)
    with pytest.raises(ConflictError, match=r"keep/data/1\.0\.txt was written to in place"):
        host.undo()
    assert everything(host.venv.path) == copy
    with pytest.raises(RollbackError, match=r"keep/data/1\.0\.txt has lost what it was"):
        host.undo(force=True)
    assert host.venv.installed()["pack"] == "1.0"
    assert (host.venv.path / SITE / "pack/data/1.0.txt").exists()


def test_k10_a_kept_broken_environment_shares_nothing(host: Host) -> None:
    host.capture("pack==2.0")
    host.venv.install("pack", "2.0")
    time.sleep(0.05)
    broken = f"{host.venv.path}.broken-x"
    from ansible_collections.intellistream.sage.plugins.module_utils._content import whole

    whole.keep_copy(str(host.venv.path), broken)
    assert _differences(Path(broken), host.venv.path) == {}
    live = {path.stat().st_ino for path in host.venv.path.rglob("*") if path.is_file()}
    assert live.isdisjoint(
        {path.stat().st_ino for path in Path(broken).rglob("*") if not path.is_symlink() and path.is_file()}
    )
