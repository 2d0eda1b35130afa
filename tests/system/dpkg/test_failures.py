# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of packages that failed or were killed on the way, undone; and scripts that fail while they are undone."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ChangeFailed, RollbackError
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import FOO_CONF, Host, example, package, same

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.debs import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


# The script of the new foo, or of the new goo, that fails, and when.
FAILING = {
    "preinst of foo": ("foo", {"preinst": "exit 1"}),
    "postinst of foo": ("foo", {"postinst": "exit 1"}),
    "postinst of goo": ("goo", {"postinst": "exit 1"}),
    "preinst of goo": ("goo", {"preinst": "exit 1"}),
    "prerm and postinst of foo": ("foo", {"postinst": "exit 1", "prerm": "exit 1"}),
    "postrm and postinst of foo": ("foo", {"postinst": "exit 1", "postrm": "exit 1"}),
    "preinst and postrm of foo": ("foo", {"preinst": "exit 1", "postrm": "exit 1"}),
    "preinst and postrm of goo": ("goo", {"preinst": "exit 1", "postrm": 'case "$1" in abort-*) exit 1;; esac'}),
    "postinst of bar": ("bar", {"postinst": "exit 1"}),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_failed_change_is_undone(what: str, repository: Repository, host: Host) -> None:
    example(repository)
    name, scripts = FAILING[what]
    depends = {"foo": "goo, bar (>= 2)", "goo": "", "bar": ""}[name]
    version = "1" if name == "goo" else "2"
    repository.add(
        name, version, **package(version, name, scripts=scripts, **({"depends": depends} if depends else {}))
    )
    pathlib.Path(FOO_CONF).write_text("edited\n")
    before = oracle.snapshot()
    point = host.capture("foo")
    assert apt("install", "foo", ok=False).returncode
    with pytest.raises(ChangeFailed):
        host.settle(point)
    host.undo()
    same(before)


# The script of the old foo that fails when it is upgraded or removed.
OLD = {
    "old prerm, new one does not mend it": ({"prerm": "exit 1"}, {"prerm": "exit 1"}),
    "old postrm, new one does not mend it": ({"postrm": "exit 1"}, {"postrm": "exit 1"}),
}


@pytest.mark.parametrize("what", OLD)
def test_an_upgrade_that_the_old_version_refuses(what: str, repository: Repository, host: Host) -> None:
    old, new = OLD[what]
    repository.add("foo", "1", **package("1", scripts=old))
    apt("install", "foo")
    repository.add("foo", "2", **package("2", scripts=new))
    before = oracle.snapshot()
    host.capture("foo")
    assert apt("install", "foo", ok=False).returncode
    host.undo()
    same(before)


@pytest.mark.parametrize(("script", "mended"), [("prerm", True), ("prerm", False), ("postrm", False)])
def test_the_new_version_fails_while_it_is_undone(
    script: str, mended: bool, repository: Repository, host: Host
) -> None:
    example(repository)
    if mended:
        # dpkg falls back to the saved one's script.
        repository.build("foo", "1", **package("1", scripts={script: ":"}))
        run("dpkg", "-i", repository.where / "foo_1_all.deb")
    repository.add("foo", "2", **package("2", depends="goo, bar (>= 2)", scripts={script: "exit 1"}))
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    if not mended:
        with pytest.raises(RollbackError) as caught:
            host.undo()
        word = {"prerm": "pre-removal", "postrm": "post-removal"}[script]
        assert f" foo package {word} script" in caught.value.what
    host.undo(force=not mended)
    same(before)


@pytest.mark.parametrize("script", ["prerm", "postrm"])
def test_a_package_that_refuses_to_go(script: str, repository: Repository, host: Host) -> None:
    example(repository)
    repository.add("goo", "1", **package("1", "goo", scripts={script: "exit 1"}))
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    with pytest.raises(RollbackError) as caught:
        host.undo()
    word = {"prerm": "pre-removal", "postrm": "post-removal"}[script]
    assert f"{word} script" in caught.value.what
    assert "goo" in caught.value.what
    assert (status("foo"), status("bar")) == ("1 ii", "1 ii")
    host.undo(force=True)
    same(before)


def test_a_package_that_refuses_to_go_once(repository: Repository, host: Host) -> None:
    example(repository)
    repository.add("goo", "1", **package("1", "goo", scripts={"prerm": "[ -e /tmp/may-go ]"}))
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    with pytest.raises(RollbackError):
        host.undo()
    pathlib.Path("/tmp/may-go").touch()
    host.undo()
    os.unlink("/tmp/may-go")
    same(before)


def test_a_package_that_was_only_unpacked(repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    host.capture("foo")
    run("dpkg", "--force-depends", "--unpack", *[repository.where / f"{name}_all.deb" for name in ("foo_2", "goo_1")])
    assert (status("foo"), status("goo")) == ("2 iU", "1 iU")
    host.undo()
    same(before)


def test_apt_killed_before_anything(repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    host.capture("foo")
    assert host.undo()["plan"]["install"] == []
    same(before)


def _killed(*command: str, after: float) -> bool:
    """Kill apt and all that it started; whether it was still running."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(after)
            return False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True


def _traced(when: int, calls: str) -> list[str]:
    """What kills dpkg, and only dpkg, at its C(when)th call of some system calls."""
    inject = f"inject={calls}:signal=SIGKILL:when={when}"
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject]


# A covering sample; more by the environment.
KILLS = int(os.environ.get("SAGE_KILLS", "4"))
CALLS = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,fsync,symlink,mkdir,mkdirat"


@pytest.mark.parametrize("when", [1 + 80 * part // KILLS for part in range(KILLS)])
def test_dpkg_killed_at_any_system_call(when: int, repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).write_text("edited\n")
    before = oracle.snapshot()
    host.capture("foo")
    # apt's archives are where a package file is left that is no longer recorded.
    debs = [str(repository.where / f"{name}_all.deb") for name in ("goo_1", "bar_2", "foo_2")]
    done = subprocess.run(
        [*_traced(when, CALLS), "dpkg", "--force-confold", "-i", *debs], capture_output=True, check=False
    )
    if not done.returncode:
        pytest.skip("it was done before")
    host.undo()
    same(before)


@pytest.mark.parametrize("when", [2 + 40 * part // KILLS for part in range(KILLS)])
def test_the_undo_killed_at_any_system_call(when: int, repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).write_text("edited\n")
    pathlib.Path("/opt/bar/only-1").unlink()
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    code = (
        "import sys\n"
        "from ansible_collections.intellistream.sage.tests.system.dpkg.host import Host\n"
        "Host(sys.argv[1]).undo()\n"
    )
    program = host.root / "program.py"
    program.write_text(code)
    # Everything it starts as well, each by its own count.
    done = subprocess.run(
        [*_traced(when, CALLS), "/venv/bin/python", str(program), str(host.root)], capture_output=True, check=False
    )
    if not done.returncode:
        pytest.skip("it was done before")
    while run("pgrep", "-x", "-r", "D,R,S,T", "dpkg|apt-get", ok=False).stdout:
        time.sleep(0.1)
    host.undo()
    same(before)


@pytest.mark.parametrize("after", [0.2 + part / 10 for part in range(0, KILLS, 4)])
def test_everything_killed_at_any_time(after: float, repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    host.capture("foo")
    _killed("apt-get", "-y", "install", "foo", after=after)
    program = host.root / "program.py"
    program.write_text(
        "import sys\n"
        "from ansible_collections.intellistream.sage.tests.system.dpkg.host import Host\n"
        "Host(sys.argv[1]).undo()\n"
    )
    for part in (0.6, 0.8, 1.0):
        _killed("/venv/bin/python", str(program), str(host.root), after=after + part)
    while run("pgrep", "-x", "-r", "D,R,S,T", "dpkg|apt-get", ok=False).stdout:
        time.sleep(0.1)
    host.undo()
    same(before)
