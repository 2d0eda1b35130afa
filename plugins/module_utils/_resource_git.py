# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A git work tree: the commits it and its submodules are at.

Git keeps the content itself, so a capture is a few names. A work tree with changes of its own is
refused: nothing here would bring them back.
"""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _command
from ansible_collections.intellistream.sage.plugins.module_utils._errors import (
    CaptureError,
    InstallerError,
    RollbackError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, Layer, Resource, Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir

_SECONDS = 600
# Nothing of the repository's configuration that runs a program.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")


class GitError(Exception):
    """git failed; the text is its own."""


def _git(path: str, *arguments: str) -> str:
    settings = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = _command.run(
            ["git", *_SAFE, "-C", path, *arguments], env=settings, timeout=_SECONDS, without=("GIT_",)
        )
    except InstallerError as error:
        raise GitError(error.what) from error
    if done.rc:
        raise GitError(done.stderr.strip() or f"git {arguments[0]} ended with {done.rc}")
    return done.stdout


class GitResource(Resource):
    """A work tree.

    :param path: absolute.
    """

    kind = "git"

    def __init__(self, path: str) -> None:
        self.path = path

    def plan(self) -> list[str]:
        return [self.path]

    def observe(self) -> Facts:
        with_git = os.path.join(self.path, ".git")
        # git itself would go up to a repository this directory happens to lie in.
        if not os.path.lexists(with_git):
            return {"path": self.path, "exists": os.path.lexists(self.path), "head": None}
        try:
            head = _git(self.path, "rev-parse", "--verify", "HEAD").strip()
            names = _git(self.path, "for-each-ref", "--format=%(HEAD)%(refname:short)", "refs/heads")
            branch = next((line[1:] for line in names.splitlines() if line.startswith("*")), None)
            lines = _git(self.path, "submodule", "status", "--recursive").splitlines()
            modules = {line[1:].split(" ", 1)[1].rsplit(" (", 1)[0]: line[1:].split(" ", 1)[0] for line in lines}
            missing = [line[1:].split(" ", 1)[1] for line in lines if line.startswith("-")]
            changed = _git(self.path, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked")
        except GitError as error:
            return {"path": self.path, "exists": True, "head": None, "error": str(error)}
        return {
            "path": self.path,
            "exists": True,
            "head": head,
            "branch": branch,
            "submodules": {name: commit for name, commit in modules.items() if name not in missing},
            "dirty": bool(changed.strip()),
        }

    def differences(self, recorded: Facts) -> list[str]:
        now = self.observe()
        if now.get("head") != recorded.get("head"):
            return [f"{self.path} was at {recorded.get('head')}, is at {now.get('head') or 'no commit'}"]
        before, after = recorded.get("submodules") or {}, now.get("submodules") or {}
        return [
            f"submodule {name} was at {before.get(name)}, is at {after.get(name)}"
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]

    def need(self, device: int | None = None) -> tuple[int, int]:
        return 0, 0

    def capture(self, where: PrivateDir) -> Facts:
        now = self.observe()
        why = ""
        if now["exists"] and not now["head"]:
            why = f"it is no git work tree with a commit ({now.get('error') or 'no .git'})"
        elif now.get("dirty"):
            why = "files or submodules in it were changed and not committed"
        if why:
            raise CaptureError(
                f"The work tree {self.path} cannot be captured: {why}.",
                untouched="everything.",
                advice="Commit or stash the changes, or name another directory, then run again.",
                path=self.path,
            )
        return {"kind": self.kind, **now, "files": 0, "bytes": 0}

    def undo(self, layers: t.Sequence[Layer], *, force: bool = False, resumed: bool = False, ours: Facts) -> Undo:
        return GitUndo(self, layers[0].manifest, force, resumed)


class GitUndo(Undo):
    """Back to the captured commits; the oldest capture decides."""

    def __init__(self, resource: GitResource, captured: Facts, force: bool, resumed: bool) -> None:
        super().__init__()
        self.resource, self.captured, self.path = resource, captured, resource.path
        self.aside = os.path.join(os.path.dirname(self.path), f".{os.path.basename(self.path)}.sage-removed")
        now = resource.observe()
        self.dirty = bool(now.get("dirty"))
        if not captured["exists"]:
            self.plan["remove"] += [path for path in (self.path, self.aside) if os.path.lexists(path)]
        elif now.get("head") is None:
            self.conflicts.append(f"{self.path} is no git work tree any more; it has to be cloned again by hand")
        else:
            changes = resource.differences(captured)
            if changes or self.dirty or now["branch"] != captured["branch"]:
                self.plan["restore"].append(f"{self.path} to {captured['branch'] or 'commit'} {captured['head'][:12]}")
        # An interrupted checkout leaves changes too.
        if self.dirty and not resumed:
            self.conflicts.append(f"{self.path} has changes that were not committed")

    def check(self) -> None:
        return

    def execute(self) -> None:
        if not self.captured["exists"]:
            self._remove()
            return
        try:
            if self.dirty:
                kept = _git(self.path, "stash", "create", "kept by a rollback").strip()
                if kept:
                    _git(self.path, "update-ref", f"refs/sage/kept/{kept[:12]}", kept)
            where = ["--no-track", "-B", self.captured["branch"]] if self.captured["branch"] else ["--detach"]
            _git(self.path, "checkout", "--quiet", "--force", *where, self.captured["head"], "--")
            if self.captured["submodules"]:
                # Only what was there: the objects are, and the network need not be.
                names = [name for name in self.captured["submodules"] if os.path.isdir(os.path.join(self.path, name))]
                _git(self.path, "submodule", "update", "--force", "--no-fetch", "--recursive", "--", *_outer(names))
            now = self.resource.observe()
            extra = [name for name in now.get("submodules") or {} if name not in self.captured["submodules"]]
            if extra:
                _git(self.path, "submodule", "deinit", "--force", "--", *_outer(extra))
        except GitError as error:
            raise RollbackError(
                f"git could not go back to {self.captured['head']} in {self.path}: {error}.",
                untouched="the commits; git still has them.",
                advice="Mend what git says, then run the same rollback again.",
            ) from error

    def _remove(self) -> None:
        above = Tree.open(os.path.dirname(self.path))
        if above is None:
            return
        with above:
            aside, name = os.path.basename(self.aside), os.path.basename(self.path)
            for dummy in (1, 2):
                if above.lstat(aside) is not None:
                    shutil.rmtree(f"/proc/self/fd/{above.fd}/{aside}")
                if above.lstat(name) is not None:
                    os.rename(name, aside, src_dir_fd=above.fd, dst_dir_fd=above.fd)
                    os.fsync(above.fd)

    def verify(self) -> list[str]:
        if not self.captured["exists"]:
            return [f"{path} is still there" for path in (self.path, self.aside) if os.path.lexists(path)]
        now = self.resource.observe()
        left = self.resource.differences(self.captured)
        if now.get("branch") != self.captured["branch"]:
            left.append(f"{self.path} was on {self.captured['branch']}, is on {now.get('branch')}")
        if now.get("dirty"):
            left.append(f"{self.path} has changes that are not committed")
        return left


def _outer(names: t.Iterable[str]) -> list[str]:
    """The submodules of the work tree itself, without those inside of others."""
    found: list[str] = []
    for name in sorted(names):
        if not any(name.startswith(f"{other}/") for other in found):
            found.append(name)
    return found
