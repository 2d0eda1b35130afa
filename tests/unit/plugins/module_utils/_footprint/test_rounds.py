# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random changes to random trees, undone: the whole tree is compared with what it was, by nothing of the engine's."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import decide, hold, settle, table, verify
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.apply import Application
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table

NAMES = ["a", "b", "c", "d.py", "ü", "with space", "\udcff"]


def snapshot(top: Path) -> dict[str, Any]:
    """All that a copy would have to have, and which names share an inode."""
    state: dict[str, Any] = {}
    inodes: dict[int, list[str]] = {}
    for directory, directories, files in os.walk(top):
        for name in [".", *files, *(each for each in directories if os.path.islink(os.path.join(directory, each)))]:
            path = os.path.normpath(os.path.join(directory, name))
            info = os.lstat(path)
            content: Any = None
            if stat.S_ISREG(info.st_mode):
                content = Path(path).read_bytes()
                inodes.setdefault(info.st_ino, []).append(path)
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            attributes = (
                {} if stat.S_ISLNK(info.st_mode) else {each: os.getxattr(path, each) for each in os.listxattr(path)}
            )
            state[path] = (
                stat.S_IFMT(info.st_mode),
                stat.S_IMODE(info.st_mode),
                info.st_uid,
                info.st_gid,
                info.st_mtime_ns,
                content,
                attributes,
            )
    state["names of one file"] = sorted(sorted(paths) for paths in inodes.values() if len(paths) > 1)
    return state


class Bench:
    """A tree, a farm beside it, and points."""

    def __init__(self, where: Path, links: bool) -> None:
        self.top = where / "tree"
        for name in ("store/farm", "store/stage", "store/aside"):
            (where / name).mkdir(parents=True, mode=0o700)
        self._stack = contextlib.ExitStack()
        self.place = Place(self._tree(where), "tree")
        self.farm = Farm(self._tree(where / "store/farm"))
        self.stage, self.aside = self._tree(where / "store/stage"), self._tree(where / "store/aside")
        self.policy = hold.HoldPolicy(links=links)
        self.newest: Table | None = None

    def _tree(self, path: Path) -> Tree:
        tree = Tree.open(str(path))
        assert tree is not None
        return self._stack.enter_context(tree)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def capture(self) -> Table:
        seen, work = hold.plan(self.place.look(self.newest), self.farm, self.policy, self.newest)
        self.newest = hold.hold(self.place, seen, work, self.farm)
        return self.newest

    def settle(self, before: Table) -> Footprint:
        return settle.settle(self.place, before, self.farm)

    def undo(self, before: Table, footprints: list[Footprint], force: bool = False) -> dict[str, str]:
        touched = decide.merge(footprints)
        now = self.place.look()
        decision = decide.decide(self.place, touched, now, self.farm, lambda path: [path], force=force)
        assert not decision.lost
        assert force or not decision.conflicts
        decide.check(decision.steps, self.farm)
        with Application(self.place, self.farm, before, now, self.stage, self.aside) as application:
            application.run(decision.steps, decision.conflicts)
        assert not application.late
        after = verify.put_times_back(self.place, touched, before, self.place.look())
        return verify.differences(self.place, touched, after, self.farm)


def _change(top: Path, choice: random.Random, foreign: Path) -> None:
    """One thing that some program does to a tree."""
    paths = [top, *(path for path in top.rglob("*"))]
    directories = [path for path in paths if path.is_dir() and not path.is_symlink()]
    others = [path for path in paths if path != top]
    target = choice.choice(directories) / choice.choice(NAMES)
    victim = choice.choice(others) if others else None
    kind = choice.randrange(13)
    if kind in (0, 1) and not os.path.lexists(target):
        target.write_bytes(choice.randbytes(choice.randrange(4, 50)))
        os.utime(target, ns=(choice.randrange(5), choice.randrange(5)))
    elif kind == 2 and not os.path.lexists(target):
        target.mkdir()
    elif kind == 3 and not os.path.lexists(target):
        target.symlink_to(choice.choice(NAMES))
    elif kind == 4 and victim is not None:
        _remove(victim)
    elif kind == 5 and victim is not None:
        # Another kind of thing in its place.
        _remove(victim)
        choice.choice(
            [lambda: victim.mkdir(), lambda: victim.write_bytes(choice.randbytes(9)), lambda: victim.symlink_to("c")]
        )()
    elif kind == 6 and victim is not None and not victim.is_symlink():
        victim.chmod(choice.choice([0o700, 0o755, 0o711]))
    elif kind == 7 and victim is not None and victim.is_file() and not victim.is_symlink():
        # Replaced by a rename, with the same size and time as before.
        staged = victim.with_name("staged")
        staged.write_bytes(choice.randbytes(len(victim.read_bytes())))
        shutil.copystat(victim, staged)
        os.rename(staged, victim)
    elif (
        kind == 8
        and victim is not None
        and victim.is_file()
        and not victim.is_symlink()
        and not os.path.lexists(target)
    ):
        os.link(victim, target)
    elif (
        kind == 9
        and victim is not None
        and victim != target
        and not str(target).startswith(f"{victim}/")
        and not os.path.lexists(target)
    ):
        os.rename(victim, target)
    elif kind == 10 and victim is not None and not victim.is_symlink():
        os.setxattr(victim, f"user.{choice.randrange(2)}", choice.randbytes(3))
    elif kind == 11 and not os.path.lexists(target):
        os.link(foreign, target)
    elif kind == 12 and victim is not None:
        os.utime(victim, ns=(7, 7), follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("seed", range(int(os.environ.get("SAGE_FOOTPRINT_ROUNDS", "15"))))
def test_changes_are_undone_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, links: bool) -> None:
    choice = random.Random(f"{seed} {links}")
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"somebody else's, too")
    (tmp_path / "tree").mkdir()
    for _step in range(choice.randrange(40)):
        _change(tmp_path / "tree", choice, foreign)
    if choice.random() < 0.1:
        shutil.rmtree(tmp_path / "tree")
    # Else all would be copied: it was written in the second of the look.
    monkeypatch.setattr(table, "GRANULE_NS", 0)
    with Bench(tmp_path, links) as bench:
        states, points = [], []
        for _point in range(choice.randrange(1, 4)):
            states.append(snapshot(bench.top))
            before = bench.capture()
            for _step in range(choice.randrange(20)):
                if bench.top.exists():
                    _change(bench.top, choice, foreign)
                else:
                    bench.top.mkdir()
            points.append((before, bench.settle(before)))
        # In one go, or one after the other.
        together = choice.randrange(len(points) + 1)
        for at in range(len(points) - 1, together - 1, -1):
            assert bench.undo(points[at][0], [points[at][1]]) == {}
            assert snapshot(bench.top) == states[at]
        if together:
            assert bench.undo(points[0][0], [footprint for dummy, footprint in points[:together]]) == {}
            assert snapshot(bench.top) == states[0]
    assert foreign.read_bytes() == b"somebody else's, too"
