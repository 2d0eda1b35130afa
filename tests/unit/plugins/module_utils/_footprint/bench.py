# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree, what programs do to it, and points of it; and a comparison of trees that knows nothing of the engine."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import (
    apply,
    closed,
    decide,
    hold,
    keeper,
    settle,
    verify,
)
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.apply import Application
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm, Farms

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Decision
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table

KILLED = 11
# Calls that change something; what is exchanged goes by C(_swap) of the engine.
CALLS = (
    *("link", "unlink", "rename", "mkdir", "rmdir", "symlink", "mkfifo", "mknod", "write", "open", "ftruncate"),
    *("chmod", "chown", "utime", "setxattr", "removexattr", "fsync"),
)
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
    """A tree, a farm beside it, and points.

    :ivar top: the tree.
    :ivar store: where the farm is.
    :ivar newest: the newest table that was held.
    :ivar decision: of the last undo.
    """

    def __init__(self, where: Path, links: bool = True, store: Path | None = None) -> None:
        self.top = where / "tree"
        self.store = store if store is not None else where / "store"
        for name in ("farm", "stage", "aside"):
            (self.store / name).mkdir(parents=True, mode=0o700, exist_ok=True)
        self._stack = contextlib.ExitStack()
        self.anchor = Anchor(self._tree(where), "tree")
        self.farm = Farm(self._tree(self.store / "farm"))
        self.stage, self.aside = self._tree(self.store / "stage"), self._tree(self.store / "aside")
        self.policy = hold.HoldPolicy(links=links)
        self.newest: Table | None = None
        self.decision: Decision | None = None

    def _tree(self, path: Path) -> Tree:
        tree = Tree.open(str(path))
        assert tree is not None
        return self._stack.enter_context(tree)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def capture(self) -> Table:
        seen, work = hold.plan(self.anchor.look(self.newest), self.farm, self.policy, self.newest)
        self.newest = hold.hold(self.anchor, seen, work, self.farm, self.policy)
        return self.newest

    def settle(self, before: Table) -> Footprint:
        keeper.stop(str(self.top), self.farm)
        return settle.settle(self.anchor, before, self.farm, keeper.copied(str(self.top), self.farm))

    def undo(
        self,
        before: Table,
        footprints: list[Footprint],
        force: bool = False,
        groups: decide.Groups = lambda path: [path],
    ) -> dict[str, str]:
        """Undo changes as far as that can be decided; what differs afterwards."""
        touched = decide.merge(footprints)
        now = closed.as_closed(self.anchor.look(), self.stage)
        begun = apply.begun(self.stage)
        self.decision = decision = decide.decide(
            self.anchor, touched, now, Farms([self.farm]), groups, force=force, begun=begun
        )
        decide.check(decision.steps, Farms([self.farm]))
        closed.check(self.anchor, decision.steps, now)
        with Application(self.anchor, Farms([self.farm]), before, now, self.stage, self.aside) as application:
            application.run(decision.steps, decision.conflicts)
        self.application = application
        verify.put_times_back(self.anchor, touched, before)
        return verify.differences(self.anchor, touched, self.anchor.look(now), Farms([self.farm]))

    def undo_all(self, before: Table, footprints: list[Footprint]) -> None:
        """Undo changes that nobody disputes; the tree is said to be as before."""
        differences = self.undo(before, footprints)
        assert self.decision is not None
        what = (differences, self.decision.lost, self.decision.conflicts, self.application.late)
        assert not any(what), what

    def leftovers(self) -> list[str]:
        """Temporary names, in tree and store."""
        inside = [os.path.join(directory, name) for directory, _below, names in os.walk(self.top) for name in names]
        staged = [str(path) for path in (self.store / "stage").iterdir()]
        return [path for path in inside if "sage" in os.path.basename(path)] + staged


class Changes:
    """Things that some program does to a tree, at random.

    :param foreign: a file outside of it, which gets names in it.
    :param in_place: files get other times in place, too: of what is held by a link this looks like a write.
    """

    def __init__(self, top: Path, choice: random.Random, foreign: Path, in_place: bool) -> None:
        self._top = top
        self._choice = choice
        self._foreign = foreign
        self._in_place = in_place
        new: list[Callable[[Path], object]] = [
            self._write,
            self._write,
            lambda path: path.mkdir(),
            lambda path: path.symlink_to(choice.choice(NAMES)),
            os.mkfifo,
            lambda path: os.link(foreign, path),
        ]
        self._new = new
        self._old: list[Callable[[Path], object]] = [
            remove,
            self._become_another_type,
            self._chmod,
            self._replace,
            self._link,
            self._move,
            self._set_attribute,
            self._touch,
        ]

    def change(self, steps: int) -> None:
        """Change the tree so often."""
        for _step in range(steps):
            if not os.path.lexists(self._top):
                self._top.mkdir()
            self._change()

    def _change(self) -> None:
        others = sorted(self._top.rglob("*"))
        action = self._choice.choice([*self._new, *self._old])
        if action in self._new:
            target = self._free()
            if target is not None:
                self._try(action, target)
        elif others:
            self._try(action, self._choice.choice(others))

    def _try(self, action: Callable[[Path], object], path: Path) -> None:
        try:
            action(path)
        except OSError as error:
            # On an overlay not everything can be renamed or linked.
            if error.errno != errno.EXDEV:
                raise

    def _free(self) -> Path | None:
        """A path that nothing has."""
        directories = [path for path in [self._top, *sorted(self._top.rglob("*"))] if _is_directory(path)]
        target = self._choice.choice(directories) / self._choice.choice(NAMES)
        return None if os.path.lexists(target) else target

    def _write(self, path: Path) -> None:
        path.write_bytes(self._choice.randbytes(self._choice.randrange(4, 50)))
        os.utime(path, ns=(self._choice.randrange(5), self._choice.randrange(5)))

    def _become_another_type(self, path: Path) -> None:
        remove(path)
        self._choice.choice(self._new[1:5])(path)

    def _chmod(self, path: Path) -> None:
        if not path.is_symlink():
            path.chmod(self._choice.choice([0o700, 0o755, 0o711]))

    def _replace(self, path: Path) -> None:
        """By a rename, with the same size and time as before."""
        if _is_file(path):
            staged = path.with_name("staged")
            staged.write_bytes(self._choice.randbytes(path.stat().st_size))
            shutil.copystat(path, staged)
            os.rename(staged, path)

    def _touch(self, path: Path) -> None:
        if _is_file(path) and not self._in_place:
            shutil.copy2(path, path.with_name("staged"))
            os.rename(path.with_name("staged"), path)
        os.utime(path, ns=(7, 7), follow_symlinks=False)

    def _link(self, path: Path) -> None:
        target = self._free()
        if target is not None and _is_file(path):
            os.link(path, target)

    def _move(self, path: Path) -> None:
        target = self._free()
        if target is not None and not str(target).startswith(f"{path}/"):
            os.rename(path, target)

    def _set_attribute(self, path: Path) -> None:
        if _is_file(path) or _is_directory(path):
            os.setxattr(path, f"user.{self._choice.randrange(2)}", self._choice.randbytes(3))


def killed(action: Callable[[], object], nth: int, error: OSError | None = None, calls: Sequence[str] = CALLS) -> bool:
    """Carry out an action in a child that ends before its C(nth) call, as SIGKILL would end it.

    :param error: the call fails with it instead.
    :returns: whether it came to this call.
    """
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, KILLED), code
        return code == KILLED
    code = 1
    try:
        seen = 0

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == nth and error is None:
                    os._exit(KILLED)
                if seen == nth and error is not None:
                    raise error
                return real(*args, **kwargs)

            return call

        for name in calls:
            setattr(os, name, counted(getattr(os, name)))
        apply._swap = counted(apply._swap)
        try:
            action()
        except (OSError, SageError):
            if error is None:
                raise
        code = KILLED if seen >= nth else 0
    except Exception:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(code)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def remove(path: Path) -> None:
    """Remove whatever is at a path."""
    if _is_directory(path):
        shutil.rmtree(path)
    else:
        path.unlink()
