# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh, run by real shells with nothing but coreutils, whole trees compared."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh, render
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import (
    BOTH_SHELLS,
    Host,
    change,
    check_same_as_module,
    fill,
    paths,
    prepared,
    wreck,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [
    "with space",
    "'single' \"double\" $(touch hacked) `touch hacked` ${HOME} *?[a-z]",
    "new\nline",
    "-rf",
    "-",
    "back\\slash\\0040",
    "trailing\n",
    "配置",
    b"\xff\xfe\x81\x88.bin".decode("utf-8", "surrogateescape"),
    "\x01\x7f\t",
    "{a,b};&|<>#~!=",
]

pytestmark = pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return prepared(tmp_path)


@pytest.mark.parametrize("shell", BOTH_SHELLS)
def test_environment_and_files_come_back(host: Host, shell: list[str]) -> None:
    fill(host.data)
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    predicted = host.run("--dry-run", shell=shell)
    text = host.undo(shell=shell)
    assert predicted.returncode == 0
    assert text.startswith(predicted.stdout)
    assert "Rollback packages (+1/-2) to " in text
    for line in ("install  pack 1.0", "erase    pack 2.0", "erase    fresh 1.0"):
        assert f"\n  {line}\n" in text
    assert changes(before, host.look()) == {}
    assert "outcome: exact\n" in (host.state / "rollback.done").read_text()
    again = host.undo(shell=shell)
    assert "Rollback" not in again
    assert "Everything is as it was captured." in again
    check_same_as_module(host, before)


def test_same_words_as_the_module(host: Host) -> None:
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    change(host)
    host.settle()
    theirs = rollback(host.engine, RollbackRequest(), True)
    lines = host.run("--dry-run").stdout.splitlines()
    assert lines[0] == theirs["msg"]
    for key in ("install", "erase", "restore", "remove"):
        assert [line[11:] for line in lines[1:] if line.split()[0] == key] == theirs["plan"][key]


@pytest.mark.slow
@pytest.mark.parametrize("shell", BOTH_SHELLS)
def test_names_survive(host: Host, shell: list[str]) -> None:
    tree = host.data / "tree"
    tree.mkdir()
    for name in NAMES:
        (tree / name).write_bytes(b"1" + os.fsencode(name))
        (tree / f"d{name}").mkdir()
        (tree / f"d{name}" / name).write_text("below")
        (tree / f"l{name}").symlink_to(name)
    (tree / "every byte").mkdir()
    for byte in {*range(1, 256)} - {ord("/")}:
        (tree / "every byte" / os.fsdecode(b"x" + bytes([byte]))).write_text(str(byte))
    # The miniature's RECORD quotes nothing.
    plain = [name for name in NAMES if not {"\n", ","} & {*name} and name.isascii()]
    host.venv.install("pack", "1.0", {f"pack/{name}": name for name in plain})
    single = host.data / NAMES[1]
    single.write_text("alone")
    before = host.look()
    host.capture(host.files(tree, single), host.spec("pack==2.0"))
    for name in NAMES:
        (tree / name).write_text("changed")
        shutil.rmtree(tree / f"d{name}")
        (tree / f"l{name}").unlink()
        (tree / f"n{name}").write_text("new")
        (tree / f"n{name}d").mkdir()
        (tree / f"n{name}d" / name).write_text("new")
    for path in (tree / "every byte").iterdir():
        path.write_text("changed")
    single.write_text("changed")
    host.venv.install("pack", "2.0", {f"pack/v2{name}": name for name in plain})
    host.undo(shell=shell)
    assert not list(host.top.rglob("hacked"))
    check_same_as_module(host, before)


def test_names_of_places(tmp_path: Path) -> None:
    top = tmp_path / "a 'b' $(touch hacked)\n-c"
    top.mkdir()
    host = Host(top)
    host.venv.make()
    host.venv.install("pack", "1.0")
    host.data.mkdir()
    fill(host.data)
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    host.undo()
    assert not list(tmp_path.rglob("hacked"))
    check_same_as_module(host, before)


@pytest.mark.slow
def test_clean_for_shellcheck_and_shells(host: Host) -> None:
    fill(host.data)
    host.capture(host.spec("pack==2.0", "it's==1"), paths(host))
    host.capture(host.files(host.data / "o'clock\n$(x)"))
    for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            subprocess.run([*shell, "-n", str(host.script)], check=True)
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-s", "sh", str(host.script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:]


def test_nothing_to_roll_back(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    store = f"{host.engine.path}/store"
    target = {
        "tid": "20260101_000000",
        "time": "2026-01-01T00:00:00+00:00",
        "generation": "two",
        "command": "ansible-playbook",
        "store": store,
        "machine": "",
    }
    host.script.write_bytes(render(host.engine.path, target, [], {}))
    before = host.everything()
    done = host.run("--yes")
    assert (done.returncode, done.stdout) == (0, "There is nothing to roll back.\n")
    assert changes(before, host.everything()) == {}


def test_created_environment_is_removed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.capture(host.spec("pack==1.0"))
    before = host.look()
    host.venv.make()
    host.venv.install("pack", "1.0")
    host.venv.install("mine", "1.0")
    there = host.everything()
    done = host.run("--yes")
    assert done.returncode == 2
    assert "mine 1.0" in done.stdout
    assert changes(there, host.everything()) == {}
    host.venv.uninstall("mine")
    (host.venv.site / "handmade.py").write_text("mine")
    assert "handmade.py was put there by somebody" in host.run("--yes").stdout
    (host.venv.site / "handmade.py").unlink()
    host.undo()
    assert not os.path.lexists(host.venv.path)
    check_same_as_module(host, before)


def test_several_points_are_one_target(host: Host) -> None:
    before = host.look()
    with host.engine.session() as session:
        session.move("python_deps", "started")
        session.commit()
    host.capture(host.spec("pack==2.0"), phase="python_deps")
    host.venv.install("pack", "2.0")
    host.capture(host.spec("pack==3.0", "fresh==1.0"), phase="python_deps")
    host.venv.install("pack", "3.0")
    host.venv.install("fresh", "1.0")
    assert "(+1/-2)" in host.undo()
    check_same_as_module(host, before)


def test_the_oldest_capture_of_each_path_decides(host: Host) -> None:
    fill(host.data)
    with host.engine.session() as session:
        session.move("python_deps", "started")
        session.commit()
    before = host.look()
    host.capture(host.files(host.data / "tree/sub"), phase="python_deps")
    (host.data / "tree/sub/one").write_text("2")
    (host.data / "tree/two").write_text("2")
    host.capture(host.files(host.data / "tree", host.data / "file"), phase="python_deps")
    (host.data / "tree/sub/one").write_text("3")
    (host.data / "tree/two").write_text("3")
    (host.data / "file").write_text("3")
    host.undo()
    assert set(changes(before, host.look())) == {"data/tree/two"}
    assert (host.data / "tree/two").read_text() == "2"
    assert not any(host.module()["plan"].values())


def test_copies_where_links_are_impossible(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "links are not permitted")

    before = host.look()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        host.capture(host.spec("pack==2.0", "fresh==1.0"))
    change(host)
    host.undo()
    assert (host.venv.site / "pack/__init__.py").stat().st_nlink == 1
    check_same_as_module(host, before)


def test_k7_no_inode_is_shared_with_the_store(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    host.undo()
    assert (host.venv.site / "pack/__init__.py").stat().st_nlink == 1


def test_record_with_crlf_quotes_and_absolute_paths(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0", {"pack/a.py": "1", "pack/b,c.py": "2", 'pack/d"e.py': "3", "pack/f.py": "4"})
    record = host.venv.info("pack", "2.0") / "RECORD"
    text = record.read_text()
    text = text.replace("pack/b,c.py,", '"pack/b,c.py",').replace('pack/d"e.py,', '"pack/d""e.py",')
    text = text.replace("pack/f.py,", f"{host.venv.site}/pack/f.py,")
    record.write_bytes(f"{text}/etc/passwd,,\n../../../../../outside,,\n".replace("\n", "\r\n").encode())
    (host.top / "outside").write_text("not ours")
    host.undo()
    assert (host.top / "outside").exists()
    check_same_as_module(host, before)


def test_file_of_two_distributions_stays_with_the_other(host: Host) -> None:
    host.capture(host.spec("fresh==1.0"))
    host.venv.install("fresh", "1.0", {"shared/one.py": "1", "shared/fresh.py": ""})
    host.venv.install("mine", "1.0", {"shared/one.py": "1"})
    host.undo()
    assert (host.venv.site / "shared/one.py").exists()
    assert not (host.venv.site / "shared/fresh.py").exists()


def test_file_of_two_planned_distributions_is_no_edit(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("one==1.0", "two==1.0"))
    host.venv.install("one", "1.0", {"shared/__init__.py": "one's\n"})
    host.venv.install("two", "1.0", {"shared/__init__.py": "two writes it too, and last\n"})
    host.undo()
    check_same_as_module(host, before)


def test_v10_edits_of_the_environments_own_files(host: Host) -> None:
    """What the change left alone stays as somebody edited it; what both touched is a conflict."""
    before = host.look()
    activate = host.venv.path / "bin/activate"
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    (host.venv.path / "pyvenv.cfg").write_text("version = 3.12.1\n")
    host.settle()
    activate.write_text("mine\n")
    host.undo()
    assert set(changes(before, host.look())) == {"root/venv/bin/activate"}
    host.venv.install("pack", "2.0")
    (host.venv.path / "pyvenv.cfg").write_text("prompt = mine\n")
    there = host.everything()
    assert "pyvenv.cfg was changed by somebody" in host.run("--yes").stdout
    assert changes(there, host.everything()) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_come_back(host: Host) -> None:
    fill(host.data)
    for path in (host.data / "file", host.data / "link", host.data / "tree", *(host.data / "tree").rglob("*")):
        os.chown(path, 1234, 2345, follow_symlinks=False)
    os.chown(host.venv.site / "pack/__init__.py", 1234, 2345)
    before = host.look()
    host.capture(host.spec("pack==2.0"), paths(host))
    host.venv.install("pack", "2.0")
    wreck(host.data)
    there = host.everything()
    done = host.run("--yes")
    # A user's directory is no place for root to work in, and no tool is there to become this user.
    assert (done.returncode, "nothing here can act as that user" in done.stderr) == (2, True)
    assert changes(there, host.everything()) == {}
    found = shutil.which("setpriv")
    assert found
    (host.tools / "setpriv").symlink_to(found)
    host.undo()
    check_same_as_module(host, before)
    assert os.lstat(host.data / "link").st_uid == 1234


def test_a_package_of_byte_code_alone_comes_back(host: Host) -> None:
    host.venv.install("pack", "1.0", {"pack/__init__.pyc": "old", "pack/core.pyc": "old core"})
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    host.venv.install("pack", "2.0", {"pack/__init__.pyc": "new", "pack/other.pyc": "new"})
    host.venv.install("fresh", "1.0", {"fresh/__init__.pyc": "new"})
    host.undo()
    assert changes(before, host.look()) == {}
    check_same_as_module(host, before)


def test_what_the_change_left_alone_is_left_alone(host: Host) -> None:
    """Files that were captured, but that only others changed since."""
    fill(host.data)
    theirs, ours = host.data / "theirs", host.data / "ours"
    theirs.write_text("captured")
    ours.write_text("captured")
    point = backup(host.engine, [host.files(theirs, ours)], None, "", False)["rollback_point"]["id"]
    ours.write_text("changed by the change")
    settled(host.engine, point, False)
    theirs.write_text("edited since")
    done = subprocess.run(["sh", str(host.script), "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (theirs.read_text(), ours.read_text()) == ("edited since", "captured")


def test_what_is_archived_is_for_the_module(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    change(host)
    with host.engine.session() as session:
        point = session.history()[-1].points[-1]
        (host.state / "store" / point["install_id"] / point["point"]).rename(host.top / "away")
        refresh(session, session.history())
    done = subprocess.run(["sh", str(host.script), "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "archived, removed or damaged" in done.stdout + done.stderr
