# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration, ghosts, missing files and what rpm leaves beside them, after an undo and after the next upgrade."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Callable

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Ghost, Hard, Link
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import CONFIG, Host, files_of, read, write

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


@pytest.fixture
def repository(repository: Repository) -> Repository:
    """foo in three versions, the first one installed; its third has the second's configuration."""
    for version in "12":
        more = {
            "/etc/foo.plain": File(f"plain {version}\n", rpm="%config"),
            "/etc/foo.d/link": Link(f"target{version}", rpm="%config"),
            "/var/lib/foo/ghost": Ghost(0o600),
            "/var/lib/foo/dir": Directory(0o750),
            "/opt/foo/one": File(f"hard {version}", 0o755),
            "/opt/foo/two": Hard("/opt/foo/one", "%attr(0755, root, root)"),
            "/opt/foo/able": File("x" * int(version), 0o755, rpm="%caps(cap_net_raw=ep)"),
            "/opt/foo/lock": File("l", 0o4711, 0, 33),
        }
        repository.build("foo", version, files=files_of(version, more))
    repository.offer()
    dnf("install", "foo-1")
    return repository


def upgrade(host: Host, settled: bool = True) -> None:
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    if settled:
        host.settle(point)


Acts = list[Callable[[], object]]

EDITS: dict[str, Acts] = {
    "nothing": [],
    "noreplace edited": [partial(write, "/etc/foo.conf", "mine\n", 0o600)],
    "plain edited": [partial(write, "/etc/foo.plain", "mine\n")],
    "both edited": [partial(write, "/etc/foo.conf", "mine\n"), partial(write, "/etc/foo.plain", "mine too\n")],
    "owner": [partial(os.chown, "/etc/foo.conf", 33, 33)],
    "deleted": [partial(os.unlink, "/etc/foo.conf"), partial(os.unlink, "/etc/foo.plain")],
    "a link now": [partial(os.unlink, "/etc/foo.conf"), partial(os.symlink, "foo.plain", "/etc/foo.conf")],
    "a directory now": [partial(os.unlink, "/etc/foo.plain"), partial(os.mkdir, "/etc/foo.plain", 0o711)],
    "leftovers": [partial(write, f"/etc/foo.conf{end}", end) for end in (".rpmnew", ".rpmsave", ".rpmorig")],
    "an old rpmnew": [
        partial(write, "/etc/foo.conf", "mine\n"),
        partial(write, "/etc/foo.conf.rpmnew", "an older one\n"),
    ],
    "ghost": [partial(write, "/var/lib/foo/ghost", "state\n", 0o640)],
    "program edited": [partial(write, "/opt/foo/data", "mine\n")],
    "program missing": [partial(os.unlink, "/opt/foo/data")],
    "program's mode": [partial(os.chmod, "/opt/foo/data", 0o600)],
    "capability": [partial(run, "setcap", "-r", "/opt/foo/able")],
    "another capability": [partial(run, "setcap", "cap_chown=p", "/opt/foo/one")],
    "hard link split": [partial(os.unlink, "/opt/foo/two"), partial(write, "/opt/foo/two", "hard 1", 0o755)],
    "directory's mode": [partial(os.chmod, "/var/lib/foo/dir", 0o700)],
    "somebody's file in it": [partial(write, "/var/lib/foo/dir/theirs", "x")],
}


# What can be true at once, so that few tests see nearly all of it; each by itself only when asked for.
TOGETHER = {
    "nothing": ("nothing",),
    "some": (
        "noreplace edited",
        "leftovers",
        "ghost",
        "program's mode",
        "capability",
        "hard link split",
        "directory's mode",
        "somebody's file in it",
    ),
    "others": ("owner", "plain edited", "program missing", "another capability"),
    "types": ("a link now", "a directory now", "program edited"),
}
EVERY = {**{name: (name,) for name in EDITS}, **TOGETHER} if os.environ.get("SAGE_TEST_ALL") else TOGETHER


def do(acts: Acts) -> None:
    for act in acts:
        act()


@pytest.mark.parametrize(("edit", "settled"), [*((edit, True) for edit in EVERY), ("some", False)])
def test_as_it_was(host: Host, repository: Repository, edit: str, settled: bool) -> None:
    for one in EVERY[edit]:
        do(EDITS[one])
    upgrade(host, settled)
    host.undo()
    assert host.differences() == []


@pytest.mark.parametrize("edit", EVERY)
def test_as_it_was_after_a_removal(host: Host, repository: Repository, edit: str) -> None:
    for one in EVERY[edit]:
        do(EDITS[one])
    point = host.capture("foo", state="absent")
    dnf("remove", "foo")
    host.settle(point)
    host.undo()
    assert host.differences() == []


@pytest.mark.parametrize("edit", EVERY)
def test_the_next_upgrade_does_what_it_would_have_done(host: Host, repository: Repository, edit: str) -> None:
    for one in EVERY[edit]:
        do(EDITS[one])
    upgrade(host)
    # What the upgrade makes of it, without any undo.
    wanted = oracle.files()
    host.undo()
    dnf("upgrade", "foo")
    assert oracle.diff(wanted, oracle.files()) == []


def test_an_edit_survives_the_undo_and_the_next_upgrade(host: Host, repository: Repository) -> None:
    write("/etc/foo.conf", "mine\n")
    upgrade(host)
    host.undo()
    assert read("/etc/foo.conf") == "mine\n"
    dnf("upgrade", "foo")
    assert read("/etc/foo.conf") == "mine\n"
    assert read("/etc/foo.conf.rpmnew") == "conf 2\n"


SINCE: dict[str, tuple[Acts, str]] = {
    "noreplace edited": ([partial(write, "/etc/foo.conf", "since\n")], "/etc/foo.conf"),
    "plain edited": ([partial(write, "/etc/foo.plain", "since\n")], "/etc/foo.plain"),
    "another link": (
        [partial(os.unlink, "/etc/foo.d/link"), partial(os.symlink, "x", "/etc/foo.d/link")],
        "/etc/foo.d/link",
    ),
}


@pytest.mark.parametrize(("edit", "settled"), [*((edit, False) for edit in SINCE), ("noreplace edited", True)])
def test_edited_since_is_a_conflict(host: Host, repository: Repository, edit: str, settled: bool) -> None:
    acts, path = SINCE[edit]
    upgrade(host, settled)
    do(acts)
    with pytest.raises(ConflictError, match=f"{path} was edited by somebody"):
        host.undo()
    assert run("rpm", "-q", "foo").stdout == "foo-2-1.noarch\n"
    host.undo(force=True)
    assert host.differences() == []
    kept = [place for place in host.root.rglob("aside/**/*") if place.is_file()]
    assert [place.read_text() for place in kept] == (["since\n"] if "edited" in edit else [])


def test_a_ghost_belongs_to_whoever_writes_it(host: Host, repository: Repository) -> None:
    write("/var/lib/foo/ghost", "before\n")
    upgrade(host)
    write("/var/lib/foo/ghost", "written since\n")
    host.undo()
    assert read("/var/lib/foo/ghost") == "written since\n"
    write("/var/lib/foo/ghost", "before\n")
    assert host.differences() == []


def test_configuration_of_what_was_added(host: Host, repository: Repository) -> None:
    repository.add(
        "goo", files={"/etc/goo.conf": File("goo\n", rpm=CONFIG)}, scripts={"post": "echo set >>/etc/goo.conf"}
    )
    point = host.capture("goo")
    dnf("install", "goo")
    host.settle(point)
    host.undo()
    assert host.differences() == []


def test_a_leftover_of_what_was_added_was_there_before(host: Host, repository: Repository) -> None:
    repository.add(
        "goo", files={"/etc/goo.conf": File("goo\n", rpm=CONFIG)}, scripts={"post": "echo set >>/etc/goo.conf"}
    )
    write("/etc/goo.conf.rpmsave", "from long ago\n")
    point = host.capture("goo")
    dnf("install", "goo")
    host.settle(point)
    host.undo()
    assert host.differences() == []
