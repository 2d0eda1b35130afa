# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another user of the host beside root's work, in a directory that everybody may write to (X3 to X7, X11).

He makes links, pipes, programs and records wherever root's work may come by, under names that he sees and names that he
guesses, takes them away again, and locks what he can open. Judged from outside: nothing that is root's is read, changed
or given away, nothing of his is run or believed, and what root wants is done, or refused in words.
SAGE_TEST_HOSTILE_USER=100 plays so many rounds; one of them is a number, SAGE_TEST_HOSTILE_USER_FROM.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import stat
import tempfile
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import reset
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

ROUNDS = int(os.environ.get("SAGE_TEST_HOSTILE_USER", "2"))
FIRST = int(os.environ.get("SAGE_TEST_HOSTILE_USER_FROM", "0"))
NOBODY = 65534
SECRET = "only root may know this"
TURNS = 6

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to fear from others")


class Hostile:
    """What the other user does, in a process of his own.

    :param top: the directory that everybody may write to.
    :param outside: what he would like root to touch.
    """

    def __init__(self, top: pathlib.Path, outside: pathlib.Path, seed: int) -> None:
        self.top, self.outside = top, outside
        self.chance = random.Random(seed)  # noqa: S311
        self.held: list[int] = []

    def work(self) -> t.NoReturn:
        """Go on until he is killed."""
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.umask(0)
        # He takes away as much as he makes, or every name would soon be his for ever.
        makes = (self.link, self.pipe, self.program, self.root)
        acts = (*makes, *[self.remove] * len(makes), self.swap, self.lock, self.spy)
        while True:
            with contextlib.suppress(OSError):
                self.chance.choice(acts)(self.name())

    def name(self) -> pathlib.Path:
        """What is there, what is made beside such, and what may come."""
        names = [entry.name for entry in os.scandir(self.top) if entry.stat(follow_symlinks=False).st_uid == 0]
        name = self.chance.choice([*names, *(f"new{number}" for number in range(TURNS))])
        process = os.getppid() + self.chance.randrange(3)
        guess = self.chance.choice(("{0}", ".{0}.tmp", "{0}.tmp", "{0}.removed.{1}", ".{0}.{1}", "{0}.{1}", "{0}~"))
        return self.top / guess.format(name, process)

    def link(self, path: pathlib.Path) -> None:
        target = self.chance.choice(("bait", "hidden", "precious", "hidden/secret", "not there"))
        path.symlink_to(self.outside / target)

    def pipe(self, path: pathlib.Path) -> None:
        os.mkfifo(path)

    def program(self, path: pathlib.Path) -> None:
        # A pipe that is there would hold him up.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o777), "w") as stream:
            stream.write(f"#!/bin/sh\nid -u >>'{self.top}/ran'\n")

    def root(self, path: pathlib.Path) -> None:
        """A root of his, with a record and programs."""
        state = path / ".sage" / "checkpoints"
        state.mkdir(parents=True)
        (state / "lease.json").write_text(json.dumps({"format": 1, "run": "his", "held": True}))
        (state / "ledger.jsonl").symlink_to(self.outside / "precious")
        programs = path / ".sage" / "venv" / "bin"
        programs.mkdir(parents=True)
        for name in ("python", "sage", "uv"):
            self.program(programs / name)

    def swap(self, path: pathlib.Path) -> None:
        """Something of his in the place of something else."""
        mine = [entry.path for entry in os.scandir(self.top) if entry.stat(follow_symlinks=False).st_uid == NOBODY]
        os.rename(self.chance.choice(mine or [str(path)]), path)

    def remove(self, path: pathlib.Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def lock(self, path: pathlib.Path) -> None:
        """Whatever he can open, for a while."""
        self.held.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        fcntl.flock(self.held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        if len(self.held) > 8:
            os.close(self.held.pop(0))

    def spy(self, path: pathlib.Path) -> None:
        """What he should not be able to read."""
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), errors="replace") as stream:
            if SECRET in stream.read(100_000):
                (self.top / "stolen").write_text(str(path))


class World:
    """Root's work, with a file of root's own in the directory that everybody may write to.

    :ivar refusals: what root was refused.
    :ivar hostile: the process of the other user; 0 once it has ended.
    """

    def __init__(self, top: pathlib.Path, outside: pathlib.Path) -> None:
        self.top, self.outside = top, outside
        for directory in (top, outside, outside / "bait", outside / "hidden"):
            directory.mkdir()
        os.chmod(top, 0o1777)  # noqa: S103
        os.chmod(outside / "hidden", 0o700)
        for name in ("precious", "hidden/secret"):
            (outside / name).write_text(SECRET)
            os.chmod(outside / name, 0o600)
        (top / "data").mkdir()
        self.host = SageHost(top).make()
        self.config = top / "shared.conf"
        self.config.write_text(f"{SECRET} 0")
        os.chmod(self.config, 0o600)
        self.refusals: list[SageError] = []
        self.hostile = 0

    def stop(self) -> None:
        """End the other user's work."""
        if self.hostile:
            os.kill(self.hostile, signal.SIGKILL)
            os.waitpid(self.hostile, 0)
        self.hostile = 0

    def sight(self) -> dict[t.Any, t.Any]:
        """What root works on."""
        facts = self.config.lstat()
        own = (self.config.read_text(), stat.filemode(facts.st_mode), facts.st_uid)
        return {**snapshot(self.top / "data"), "shared.conf": own}

    def turn(self, number: int) -> None:
        """An installation that is undone, and a root where nothing was."""
        before = self.sight()
        install_id = self.host.begin(str(number))
        backup(self.host.engine, [{"kind": "files", "paths": [str(self.config)]}], None, "by hand", False)
        self.config.write_text(f"{SECRET} {number}")
        with self.refused():
            rollback(self.host.engine, RollbackRequest(install_id), False)
            assert changes(before, self.sight()) == {}
        new = self.top / f"new{number % TURNS}"
        engine = Engine(str(new), lock_timeout=5)
        with self.refused():
            backup(engine, [{"kind": "files", "paths": [str(self.config)]}], None, "by hand", False)
            # Nobody can take it away again.
            facts = new.lstat()
            assert stat.S_ISDIR(facts.st_mode)
            assert facts.st_uid == 0
        with self.refused(), engine.reading() as session:
            assert session.effective() is None
        with self.refused():
            reset(engine, False)

    @contextlib.contextmanager
    def refused(self) -> t.Iterator[None]:
        """What may be refused, in words."""
        try:
            yield
        except SageError as error:
            self.refusals.append(error)

    def judge(self, before: dict[t.Any, t.Any]) -> None:
        """What no other user may bring about."""
        assert changes(before, snapshot(self.outside)) == {}
        assert not (self.top / "stolen").exists(), (self.top / "stolen").read_text()
        assert not (self.top / "ran").exists()
        for directory, names, files in os.walk(self.top):
            for name in [*names, *files]:
                path = os.path.join(directory, name)
                facts = os.lstat(path)
                if facts.st_uid == 0 and not stat.S_ISLNK(facts.st_mode):
                    assert not facts.st_mode & stat.S_IWOTH, path


@contextlib.contextmanager
def _beside(seed: int) -> t.Iterator[World]:
    """The world, with the other user at work in it."""
    with tempfile.TemporaryDirectory() as directory:
        # Everybody may enter it, unlike the directories of the tests.
        os.chmod(directory, 0o755)  # noqa: S103
        world = World(pathlib.Path(directory, "top"), pathlib.Path(directory, "outside"))
        hostile = os.fork()
        if hostile == 0:
            try:
                Hostile(world.top, world.outside, seed).work()
            finally:
                os._exit(1)
        world.hostile = hostile
        try:
            while not any(entry.stat(follow_symlinks=False).st_uid == NOBODY for entry in os.scandir(world.top)):
                assert os.waitpid(hostile, os.WNOHANG) == (0, 0)
                time.sleep(0.01)
            yield world
        finally:
            world.stop()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FIRST, FIRST + ROUNDS))
def test_x5_a_hostile_user_beside_the_work_of_root(number: int) -> None:
    with _beside(number) as world:
        before = snapshot(world.outside)
        for turn in range(1, TURNS + 1):
            world.turn(turn)
        assert os.waitpid(world.hostile, os.WNOHANG) == (0, 0)
        world.stop()
        world.judge(before)
    # What is his is refused as such, and nothing else goes wrong.
    assert all(isinstance(error, UnsafePath) for error in world.refusals), [str(error) for error in world.refusals]


@pytest.mark.slow
def test_the_hostile_user_finds_what_root_does_carelessly() -> None:
    with _beside(0) as world:
        before = snapshot(world.outside)
        (world.top / "copy").write_text(SECRET)
        while not (world.top / "stolen").exists():
            time.sleep(0.01)
        world.stop()
        with pytest.raises(AssertionError):
            world.judge(before)
