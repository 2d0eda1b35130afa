# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh, run by real shells with nothing but coreutils, whole trees compared."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils import _rollback_script, _store, _targets
from ansible_collections.intellistream.sage.plugins.module_utils._engine import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._points import backup
from ansible_collections.intellistream.sage.plugins.module_utils._rollback import Request, rollback
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE, TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What the script may use; all of it is in coreutils.
COREUTILS = (
    *("base64", "cat", "chmod", "chown", "cp", "cut", "date", "id", "ln", "mkdir", "mv", "od", "readlink", "rm"),
    *("rmdir", "sha256sum", "sort", "stat", "sync", "tail", "touch", "tr", "uniq"),
)
SHELLS = [["dash"], ["bash", "--posix"]]
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

needs_dash = pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")
pytestmark = needs_dash


class Host:
    """A root with a state, an environment, and files."""

    def __init__(self, path: Path) -> None:
        self.top = path
        self.root = path / "root"
        self.root.mkdir()
        self.engine = Engine(str(self.root))
        self.venv = TinyVenv(self.root / "venv")
        self.data = path / "data"
        self.tools = path / "tools"
        self.tools.mkdir()
        for name in COREUTILS:
            found = shutil.which(name)
            assert found, name
            (self.tools / name).symlink_to(found)

    @property
    def state(self) -> Path:
        """The checkpoint directory."""
        return self.root / ".sage/checkpoints"

    @property
    def script(self) -> Path:
        """The script, where it belongs."""
        return self.state / "rollback.sh"

    def spec(self, *pins: str) -> dict[str, Any]:
        """A change of the environment that leaves C(name==version)."""
        named = [pin.partition("==") for pin in pins]
        wanted = [{"name": name, "version": version} for name, dummy, version in named]
        return {"kind": "venv", "path": str(self.venv.path), "distributions": wanted}

    def files(self, *paths: Path) -> dict[str, Any]:
        """A change of files."""
        return {"kind": "files", "paths": [str(path) for path in paths]}

    def capture(self, *specs: dict[str, Any], phase: str | None = None) -> None:
        """Capture, and write the script."""
        backup(self.engine, list(specs), phase, "", False)
        self.write()

    def write(self, generation: str = "one") -> None:
        """Write the script for the state as it is."""
        with self.engine.reading() as session:
            chosen = _targets.resolve(session.history(), "last")
            headers = {}
            assert session.where is not None
            for point in chosen.points:
                with _store.point_dir(session.where, point["install_id"], point["point"]) as where:
                    for number, taken in enumerate(point["resources"]):
                        headers[point["point"], number] = _store.read_manifest(where, taken)
        target = {"tid": chosen.tid, "time": chosen.time, "generation": generation}
        self.script.write_bytes(
            _rollback_script.render(self.engine.path, str(self.root), target, chosen.points, headers)
        )
        self.script.chmod(0o600)

    def run(self, *options: str, shell: list[str] | None = None, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run the script as somebody would whose Ansible is gone."""
        shell = shell or SHELLS[0]
        found = shutil.which(shell[0])
        if found is None:
            pytest.skip(f"{shell[0]} is not installed")
        settings = {"stdin": subprocess.DEVNULL, "env": {"PATH": str(self.tools)}, **settings}
        return subprocess.run(
            [found, *shell[1:], str(self.script), *options],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=120,
            cwd=self.top,
            check=False,
            **settings,
        )

    def undo(self, *options: str, shell: list[str] | None = None) -> str:
        """Run the script to its good end."""
        done = self.run("--yes", *options, shell=shell)
        assert (done.returncode, done.stderr.replace(FLOCK, "")) == (0, ""), done.stdout + done.stderr
        assert "\nexact\n" in done.stdout
        return done.stdout

    def look(self) -> dict[str, tuple[object, ...]]:
        """Everything but the state, as data."""
        found = {f"root/{name}": value for name, value in snapshot(self.root).items() if not name.startswith(".sage")}
        return {**found, **{f"data/{name}": value for name, value in snapshot(self.data).items()}}

    def everything(self) -> dict[str, tuple[object, ...]]:
        """The state too."""
        return {**self.look(), **snapshot(self.root)}

    def module(self, **options: Any) -> dict[str, Any]:
        """The module's rollback to the same target."""
        return rollback(self.engine, Request(**options), False)


FLOCK = "Note: flock is missing here, so make sure that no playbook runs at the same time.\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    one = Host(tmp_path)
    one.venv.make()
    one.venv.install("keep", "1.0")
    one.venv.install("pack", "1.0")
    one.data.mkdir()
    return one


def fill(data: Path) -> None:
    """Files of all kinds."""
    (data / "tree/sub/empty").mkdir(parents=True)
    (data / "file").write_text("content\n")
    (data / "file").chmod(0o640)
    os.utime(data / "file", ns=(1, 1_000_000_007))
    (data / "link").symlink_to("file")
    (data / "tree/sub/one").write_text("1")
    os.utime(data / "tree/sub/one", ns=(0, 0))
    (data / "tree/up").symlink_to("..")
    (data / "tree/sub").chmod(0o750)
    (data / "tree/locked").mkdir()
    (data / "tree/locked/inside").write_text("x")
    (data / "tree/locked").chmod(0o555)


def wreck(data: Path) -> None:
    """Change, remove and add everything."""
    (data / "file").unlink()
    (data / "file").mkdir()
    (data / "file/inside").write_text("x")
    (data / "link").unlink()
    (data / "link").write_text("no link")
    (data / "tree/sub/one").write_text("2")
    (data / "tree/sub/empty").rmdir()
    (data / "tree/sub").chmod(0o700)
    (data / "tree/new/deep").mkdir(parents=True)
    (data / "tree/new/deep/er").write_text("new")
    (data / "tree/locked").chmod(0o755)
    (data / "tree/locked/inside").write_text("y")
    (data / "tree/locked").chmod(0o555)
    (data / "absent").mkdir()
    (data / "absent/deep").write_text("x")


def paths(host: Host) -> dict[str, Any]:
    """The captured paths of M(fill)."""
    return host.files(*(host.data / name for name in ("file", "link", "tree", "absent")))


def change(host: Host) -> None:
    """What a plan would do."""
    new = {"pack/__init__.py": "changed\n", "pack/new/deep.py": "", "other.pth": "x", "../../../bin/extra": "#!\n"}
    host.venv.install("pack", "2.0", new)
    host.venv.install("fresh", "1.0")


def check_same_as_module(host: Host, before: dict[str, tuple[object, ...]]) -> None:
    """The module finds everything as captured, and only records."""
    assert changes(before, host.look()) == {}
    result = host.module()
    assert not any(result["plan"].values())
    assert result["exact"]
    assert result["undone"]
    assert changes(before, host.look()) == {}


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
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
    assert "(+0/-0)" in again
    assert "Everything is as it was captured." in again
    check_same_as_module(host, before)


def test_same_words_as_the_module(host: Host) -> None:
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    change(host)
    theirs = rollback(host.engine, Request(), True)
    lines = host.run("--dry-run").stdout.splitlines()
    assert lines[0] == theirs["msg"]
    for key in ("install", "erase", "restore", "remove"):
        assert [line[11:] for line in lines[1:] if line.split()[0] == key] == theirs["plan"][key]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
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
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_to_roll_back(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    target = {"tid": "20260101_000000", "time": "2026-01-01T00:00:00+00:00", "generation": "two"}
    host.script.write_bytes(_rollback_script.render(host.engine.path, str(host.root), target, [], {}))
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


def test_removed_environment_is_refused(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.remove()
    assert host.run("--yes").returncode == 2
    assert host.run("--yes", "--force").returncode == 2


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


def test_linked_files_are_linked_back(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    stored = next(host.state.glob(f"store/*/*/0/{SITE}/pack/__init__.py"))
    host.venv.install("pack", "2.0")
    host.undo()
    assert os.path.samefile(stored, host.venv.site / "pack/__init__.py")
    assert not os.path.exists(host.venv.path / ".sage-undo.tmp")


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


def test_edited_activate_script_survives_unless_the_venv_was_made_anew(host: Host) -> None:
    before = host.look()
    activate = host.venv.path / "bin/activate"
    host.capture(host.spec("pack==2.0"))
    activate.write_text("mine\n")
    host.venv.install("pack", "2.0")
    host.undo()
    assert set(changes(before, host.look())) == {"root/venv/bin/activate"}
    host.venv.install("pack", "2.0")
    (host.venv.path / "pyvenv.cfg").write_text("version = 3.12.1\n")
    host.undo()
    check_same_as_module(host, before)


def test_conflicts_are_refused_and_forced(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    time.sleep(0.01)
    (host.venv.site / "pack/__init__.py").write_text("precious\n")
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "was edited by somebody" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    kept = next(host.state.glob(f"store/*/*/0/aside/{SITE}/pack/__init__.py"))
    assert kept.read_text() == "precious\n"
    check_same_as_module(host, before)


@pytest.mark.parametrize("what", ["foreign version", "removed"])
def test_foreign_changes_are_refused_and_forced(host: Host, what: str) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    if what == "removed":
        host.venv.uninstall("pack")
    else:
        host.venv.install("pack", "9.0")
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "somebody else" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    check_same_as_module(host, before)


def test_killed_installer_leaves_nothing_behind(host: Host) -> None:
    (host.venv.site / "handmade.py").write_text("mine\n")
    before = host.look()
    time.sleep(0.01)
    with host.engine.session() as session:
        session.move("python_deps", "started")
        session.commit()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), phase="python_deps")
    time.sleep(0.01)
    (host.venv.site / "pack").rename(host.venv.site / "~ack")
    host.venv.info("pack", "1.0").rename(host.venv.site / "~ack-1.0.dist-info")
    host.venv.install("pack", "2.0", register=False)
    host.venv.install("fresh", "1.0", register=False)
    assert "~ack (kept aside)" in host.undo()
    assert next(host.state.glob(f"store/*/*/0/aside/{SITE}/~ack/__init__.py")).exists()
    check_same_as_module(host, before)


def _store_file(host: Host) -> Path:
    return next(host.state.glob(f"store/*/*/0/{SITE}/pack/__init__.py"))


def _edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _swap(path: Path, other: Path) -> None:
    path.rename(other)
    path.symlink_to(other)


REFUSALS: dict[str, Callable[[Host], object]] = {
    "header": lambda host: _edit(next(host.state.glob("store/*/*/0.json")), b"true", b"True"),
    "header gone": lambda host: next(host.state.glob("store/*/*/0.json")).unlink(),
    "items": lambda host: _edit(next(host.state.glob("store/*/*/0.items")), b"0644", b"4755"),
    "items gone": lambda host: next(host.state.glob("store/*/*/0.items")).unlink(),
    "linked content": lambda host: _edit(_store_file(host), b"1.0", b"6.6"),
    "content gone": lambda host: _store_file(host).unlink(),
    "content is a link": lambda host: _swap(_store_file(host), host.top / "elsewhere"),
    "content below a link": lambda host: _swap(_store_file(host).parent, host.top / "elsewhere"),
    "setuid content": lambda host: _store_file(host).chmod(0o4755),
    "copied content": lambda host: _edit(next(host.state.glob("store/*/*/0/bin/pack")), b"1.0", b"6.6"),
    "content of files": lambda host: next(host.state.glob("store/*/*/1/*/sub/one")).write_text("3"),
    "store gone": lambda host: (host.state / "store").rename(host.top / "moved"),
    "venv is a link": lambda host: _swap(host.venv.path, host.top / "elsewhere"),
    "link in the venv": lambda host: _swap(host.venv.site / "pack", host.top / "elsewhere"),
    "site is a link": lambda host: _swap(host.venv.site, host.top / "elsewhere"),
    "state is writable": lambda host: host.state.chmod(0o777),
    "directory in the way": lambda host: _directory(host.venv.path / "bin/pack"),
    "new version is a link": lambda host: _swap(host.venv.site / "fresh", host.top / "elsewhere"),
}


def _directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["plain", "forced"])
@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_touch_nothing(host: Host, what: str, force: list[str]) -> None:
    fill(host.data)
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    REFUSALS[what](host)
    before = host.everything()
    outside = snapshot(host.top / "elsewhere")
    done = host.run("--yes", *force)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Nothing was touched." in done.stderr
    assert "Refused: " in done.stderr
    assert changes(before, host.everything()) == {}
    assert changes(outside, snapshot(host.top / "elsewhere")) == {}


def test_stale_copy_is_refused(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    stale = host.top / "old.sh"
    shutil.copy(host.script, stale)
    shutil.copy(host.script, host.top / "same.sh")
    host.write("two")
    host.venv.install("pack", "2.0")
    before = host.everything()
    found = shutil.which("dash")
    assert found
    for path in (stale, host.top / "gone.sh"):
        done = subprocess.run(
            [found, str(path), "--yes"], env={"PATH": str(host.tools)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
    with open(host.script, encoding="utf-8") as stream:
        done = subprocess.run(
            [found, "-s", "--", "--yes"],
            stdin=stream,
            env={"PATH": str(host.tools)},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert changes(before, host.everything()) == {}


def test_options(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    before = host.everything()
    assert "--dry-run" in host.run("--help").stdout
    assert host.run("--nonsense").returncode == 2
    refused = host.run()
    assert (refused.returncode, "no terminal" in refused.stderr) == (2, True)
    assert host.run("--dry-run", "--yes").returncode == 0
    assert changes(before, host.everything()) == {}


@pytest.mark.parametrize(("answer", "code"), [("n", 3), ("", 3), ("y", 0)])
def test_asks_at_a_terminal(host: Host, answer: str, code: int) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    before = host.everything()
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = host.run(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Roll back? [y/N] " in done.stdout
    assert done.returncode == code
    assert (changes(before, host.everything()) == {}) == (code == 3)


def test_another_run_holds_the_lock(host: Host) -> None:
    flock = shutil.which("flock")
    if not flock:
        pytest.skip("flock is not installed")
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    (host.tools / "flock").symlink_to(flock)
    with host.engine.session():
        before = host.everything()
        done = host.run("--yes")
    assert (done.returncode, "another run holds" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}
    assert "flock" not in host.run("--yes").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    os.chown(host.state, 12345, 12345)
    before = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "12345" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_come_back(host: Host) -> None:
    fill(host.data)
    for name in ("file", "tree", "tree/sub", "tree/sub/one"):
        os.chown(host.data / name, 1234, 2345)
    os.chown(host.data / "link", 1234, 2345, follow_symlinks=False)
    os.chown(host.venv.site / "pack/__init__.py", 1234, 2345)
    before = host.look()
    host.capture(host.spec("pack==2.0"), paths(host))
    host.venv.install("pack", "2.0")
    wreck(host.data)
    host.undo()
    check_same_as_module(host, before)
    assert os.lstat(host.data / "link").st_uid == 1234


def test_link_swapped_in_for_a_captured_directory_is_not_followed(host: Host) -> None:
    fill(host.data)
    before = host.look()
    host.capture(paths(host))
    outside = host.top / "outside"
    (outside / "one").mkdir(parents=True)
    (outside / "one/precious").write_text("not yours")
    secret = snapshot(outside)
    shutil.rmtree(host.data / "tree/sub")
    (host.data / "tree/sub").symlink_to(outside)
    host.undo()
    assert changes(secret, snapshot(outside)) == {}
    shutil.rmtree(host.data / "tree")
    (host.data / "tree").symlink_to(outside)
    host.undo()
    assert changes(secret, snapshot(outside)) == {}
    check_same_as_module(host, before)


def _killer(host: Host, command: str, nth: int, after: bool) -> None:
    """Make the nth call of a command kill the script with all it started."""
    real = os.readlink(host.tools / command)
    count = host.top / "count"
    count.write_text("")
    (host.tools / command).unlink()
    run = f'{real} "$@"'
    die = "kill -KILL 0"
    (host.tools / command).write_text(
        f"#!/bin/sh\nprintf x >>{count}\nread -r n <{count}\n"
        f'if [ "${{#n}}" -ge {nth} ]; then\n{run if after else ":"}\n{die}\nfi\nexec {run}\n'
    )
    (host.tools / command).chmod(0o755)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *((command, "linked") for command in ("cp", "mv", "rm", "rmdir", "ln", "chmod", "touch", "mkdir")),
        *((command, "copied") for command in ("cp", "mv", "rm", "mkdir")),
    ],
)
def test_killed_anywhere_finishes(host: Host, command: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(host.data)
    before = host.look()
    if kind == "copied":
        monkeypatch.setattr(os, "link", _no_link)
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    real = os.readlink(host.tools / command)
    killed = 0
    for nth, after in ((1, False), (2, True), (3, False), (5, True), (8, False), (13, True)):
        change(host)
        wreck(host.data)
        _killer(host, command, nth, after)
        first = host.run("--yes", start_new_session=True)
        (host.tools / command).unlink()
        (host.tools / command).symlink_to(real)
        killed += first.returncode == -signal.SIGKILL
        assert first.returncode in (0, -signal.SIGKILL), first.stderr
        host.undo()
        assert changes(before, host.look()) == {}, (nth, after)
        assert not (host.state / "rollback.begun").exists()
    assert killed
    check_same_as_module(host, before)


def _no_link(*args: object, **kwargs: object) -> None:
    raise PermissionError(1, "links are not permitted")


def git(path: Path, *arguments: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *options, "-C", str(path), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(path: Path, text: str) -> None:
    (path / "file").write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", text)


@pytest.fixture
def clone(host: Host) -> Path:
    """A work tree with a submodule, and another one in its future."""
    found = shutil.which("git")
    if not found:
        pytest.skip("git is not installed")
    (host.tools / "git").symlink_to(found)
    for name in ("one", "two", "outer"):
        git(host.top, "init", "-q", "-b", "main", f"up/{name}")
        commit(host.top / "up" / name, "1")
    up = host.top / "up/outer"
    git(up, "submodule", "--quiet", "add", str(host.top / "up/one"), "mods/one")
    commit(up, "2")
    git(host.data, "clone", "-q", "--recurse-submodules", str(up), "clone")
    return host.data / "clone"


def move_on(host: Host, clone: Path) -> None:
    """What a sync of submodules does."""
    up = host.top / "up/outer"
    if not (up / "new").exists():
        commit(host.top / "up/one", "newer")
        git(up / "mods/one", "pull", "-q")
        git(up, "submodule", "--quiet", "add", str(host.top / "up/two"), "mods/two")
        (up / "new").write_text("new")
        commit(up, "3")
    git(clone, "pull", "-q", "--recurse-submodules=no")
    git(clone, "submodule", "--quiet", "update", "--init", "--recursive")


def look_git(clone: Path) -> dict[str, Any]:
    """What git says, and the files."""
    status = git(clone, "status", "--porcelain=v2", "--branch")
    heads = [git(clone, "rev-parse", "HEAD"), git(clone / "mods/one", "rev-parse", "HEAD"), git(clone, "diff", "HEAD")]
    modules = sorted(os.listdir(clone / ".git/modules"))
    config = git(clone, "config", "--local", "--list")
    files = {name: value for name, value in snapshot(clone, times=False).items() if ".git" not in name.split("/")}
    return {"status": status.split("# branch.ab")[0], "heads": heads, "modules": modules, "config": config, **files}


def test_git_goes_back(host: Host, clone: Path) -> None:
    (clone / "file").write_text("mine, and captured\n")
    (clone / "staged").write_text("staged\n")
    git(clone, "add", "staged")
    (clone / "mods/one/untracked").write_text("mine too\n")
    before = look_git(clone)
    host.capture({"kind": "git", "path": str(clone)})
    git(clone, "reset", "-q", "--hard")
    (clone / "mods/one/untracked").unlink()
    move_on(host, clone)
    git(clone, "checkout", "-q", "-b", "other")
    assert changes(before, look_git(clone))
    there = host.everything()
    assert f"restore  {clone} to main" in host.run("--dry-run").stdout
    assert changes(there, host.everything()) == {}
    host.undo()
    assert changes(before, look_git(clone)) == {}
    assert "(+0/-0)" in host.undo()
    assert not any(host.module()["plan"].values())
    assert changes(before, look_git(clone)) == {}


def test_git_work_of_others(host: Host, clone: Path) -> None:
    before = look_git(clone)
    host.capture({"kind": "git", "path": str(clone)})
    move_on(host, clone)
    (clone / "file").write_text("precious\n")
    (clone / "mods/two/work").write_text("precious too\n")
    there = host.everything()
    done = host.run("--yes", "--force")
    assert (done.returncode, "mods/two was not there, and has work" in done.stderr) == (2, True)
    (clone / "mods/two/work").unlink()
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "file was changed and not committed" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    assert changes(before, look_git(clone)) == {}
    kept = git(clone, "for-each-ref", "--format=%(refname)", "refs/sage/kept").split()
    assert "precious" in [git(clone, "show", f"{ref}:file") for ref in kept]
    assert not any(host.module()["plan"].values())


def test_git_is_missing_or_damaged(host: Host, clone: Path) -> None:
    host.capture({"kind": "git", "path": str(clone)})
    move_on(host, clone)
    before = host.everything()
    real = os.readlink(host.tools / "git")
    (host.tools / "git").unlink()
    done = host.run("--yes")
    assert (done.returncode, "git is missing" in done.stderr) == (2, True)
    (host.tools / "git").symlink_to(real)
    (clone / ".git/MERGE_HEAD").write_text(git(clone, "rev-parse", "HEAD"))
    assert "MERGE_HEAD" in host.run("--yes").stderr
    (clone / ".git/MERGE_HEAD").unlink()
    assert changes(before, host.everything()) == {}
    (clone / "mods/one/.git").unlink()
    assert "not checked out" in host.run("--yes").stderr


def test_git_killed_anywhere_finishes(host: Host, clone: Path) -> None:
    before = look_git(clone)
    host.capture({"kind": "git", "path": str(clone)})
    real = os.readlink(host.tools / "git")
    killed = 0
    for nth in range(24, 64, 3):
        move_on(host, clone)
        _killer(host, "git", nth, after=bool(nth % 2))
        first = host.run("--yes", start_new_session=True)
        (host.tools / "git").unlink()
        (host.tools / "git").symlink_to(real)
        killed += first.returncode == -signal.SIGKILL
        host.undo()
        assert changes(before, look_git(clone)) == {}, nth
    assert killed
    assert not any(host.module()["plan"].values())


def test_new_clone_is_removed(host: Host, clone: Path) -> None:
    other = host.data / "other"
    host.capture({"kind": "git", "path": str(other)})
    before = host.look()
    git(host.data, "clone", "-q", str(clone), "other")
    (other / "mine").write_text("x")
    assert host.run("--yes").returncode == 2
    (other / "mine").unlink()
    host.undo()
    check_same_as_module(host, before)


def test_missing_tool_is_named(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    (host.tools / "base64").unlink()
    before = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "base64" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}
