# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an undo of packages must not do: it is refused before anything was changed, with the reason; force decides."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import pathlib
from typing import TYPE_CHECKING, Callable

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy, ConflictError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import undo
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import FOO_CONF, Host, example, package, same

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.debs import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


def changed(repository: Repository, host: Host, settled: bool = True) -> oracle.Snapshot:
    """The documents' example, done; returns what was there before."""
    example(repository)
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    if settled:
        host.settle(point)
    return before


def refused(host: Host, *words: str) -> None:
    """The undo is refused with all these words, and nothing was changed."""
    before = oracle.snapshot()
    with pytest.raises(ConflictError) as caught:
        host.undo()
    assert [word for word in words if word not in caught.value.what] == []
    same(before)


def write(path: str, text: str) -> None:
    pathlib.Path(path).write_text(text)


# What somebody did since → what the refusal says, and what is kept in the store when it is forced.
THEIRS: dict[str, tuple[Callable[[Repository], object], list[str], list[str]]] = {
    "conffile edited": (lambda repository: write(FOO_CONF, "mine\n"), [FOO_CONF], [FOO_CONF]),
    "conffile of the new one edited": (
        lambda repository: write("/etc/goo.conf", "mine\n"),
        ["/etc/goo.conf"],
        ["/etc/goo.conf"],
    ),
    "conffile deleted": (lambda repository: os.unlink(FOO_CONF), [FOO_CONF, "removed"], []),
    "put on hold": (lambda repository: run("apt-mark", "hold", "foo"), ["foo was put on hold"], []),
    "removed": (lambda repository: apt("purge", "foo"), ["foo was removed"], []),
}


@pytest.mark.parametrize(
    ("what", "settled"),
    [*((what, True) for what in THEIRS), ("conffile edited", False), ("conffile deleted", False)],
)
def test_what_somebody_did_since(what: str, settled: bool, repository: Repository, host: Host) -> None:
    before = changed(repository, host, settled)
    act, words, aside = THEIRS[what]
    act(repository)
    refused(host, *words)
    host.undo(force=True)
    for path in aside:
        (kept,) = host.root.rglob(f"aside{path}")
        assert kept.read_text() == "mine\n"
    same(before)


def test_a_version_that_no_recorded_change_brought(repository: Repository, host: Host) -> None:
    before = changed(repository, host)
    repository.add("foo", "3", **package("3", depends="goo"))
    apt("install", "foo")
    refused(host, "foo is 3")
    host.undo(force=True)
    same(before)


def test_what_others_installed_since_stays(repository: Repository, host: Host) -> None:
    changed(repository, host)
    repository.add("zoo", "1", **package("1", "zoo"))
    apt("install", "zoo")
    host.undo()
    assert (status("foo"), status("bar"), status("goo"), status("zoo")) == ("1 ii", "1 ii", "", "1 ii")


def test_what_others_installed_since_and_needs_ours(repository: Repository, host: Host) -> None:
    before = changed(repository, host)
    repository.add("zoo", "1", **package("1", "zoo", depends="goo"))
    apt("install", "zoo")
    repository.add("zoo2", "1", **package("1", "zoo2", depends="zoo"))
    apt("install", "zoo2")
    refused(host, "zoo 1 could not stay (Depends: goo", "zoo2 1 could not stay (Depends: zoo")
    done = host.undo(force=True)
    assert len(done["plan"]["erase"]) == 3
    assert (status("zoo"), status("zoo2")) == ("1 rc", "1 rc")
    run("dpkg", "--purge", "zoo", "zoo2")
    same(before)


def test_erase_installed_after(repository: Repository, host: Host) -> None:
    changed(repository, host)
    when = dt.datetime.now(dt.timezone.utc).isoformat()
    done = host.undo(erase_installed_after=when)
    assert done["kept"] == ["goo 1"]
    assert done["plan"]["erase"] == []
    assert (status("foo"), status("bar"), status("goo")) == ("1 ii", "1 ii", "1 ii")


def test_what_is_never_erased(repository: Repository, host: Host) -> None:
    example(repository)
    kernel = {f"/lib/modules/{os.uname().release}": "kernel"}
    repository.build("goo1", "1", essential="yes")
    repository.build("goo2", "1", protected="yes", important="yes")
    repository.build("goo3", "1", priority="required")
    repository.build("goo4", "1", files=kernel)
    repository.build("goo5", "1")
    repository.offer()
    names = ["goo1", "goo2", "goo3", "goo4", "goo5"]
    host.capture(*names)
    apt("install", *names)
    done = host.undo()
    assert sorted(line.partition(" (")[0] for line in done["kept"]) == ["goo1 1", "goo2 1", "goo3 1", "goo4 1"]
    assert [status(name) for name in names] == ["1 ii"] * 4 + [""]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("foo_1_all.deb", "damaged"),
        ("foo_1_all.deb", "missing"),
        ("status", "damaged"),
        ("extra/foo:all/etc/foo.conf", "damaged"),
    ],
)
def test_a_damaged_store(name: str, how: str, repository: Repository, host: Host) -> None:
    changed(repository, host)
    (path,) = host.root.glob(f".sage/checkpoints/store/*/*/0/{name}")
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    before = oracle.snapshot()
    for force in (False, True):
        with pytest.raises(StoreError) as caught:
            host.undo(force=force)
        assert path.name in caught.value.what
    same(before)
    path.write_bytes(content)
    path.chmod(0o600)
    host.undo()


@pytest.mark.parametrize("lock", ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"])
def test_a_lock_that_another_holds(
    lock: str, repository: Repository, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = changed(repository, host)
    monkeypatch.setattr(undo, "LOCK_TIMEOUT", 0.5)
    middle = oracle.snapshot()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        # Record locks belong to a process.
        os.close(writer)
        with open(lock, "w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.read(reader, 1)
        os._exit(0)
    while not _locked(lock):
        os.sched_yield()
    with pytest.raises(Busy) as caught:
        host.undo()
    os.close(writer)
    os.waitpid(child, 0)
    assert f"process {child}" in caught.value.what
    same(middle)
    host.undo()
    same(before)


def _locked(path: str) -> bool:
    with open(path, "r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
