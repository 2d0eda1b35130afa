# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A git work tree: its commit, branch, index, files, and the same of its submodules.

Git keeps the content itself, in its own objects, and a ref below C(refs/sage) keeps those from
being collected. Ignored files, other refs and file times are left alone.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _git_capture, _git_restore, _removal
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, RollbackError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._git_command import GitError, git
from ansible_collections.intellistream.sage.plugins.module_utils._git_compare import Compared
from ansible_collections.intellistream.sage.plugins.module_utils._git_repository import Repository
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, How, Layer, Resource, Undo

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir


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
            head = git(self.path, "rev-parse", "--verify", "HEAD").strip()
            names = git(self.path, "for-each-ref", "--format=%(HEAD)%(refname:short)", "refs/heads")
            branch = next((line[1:] for line in names.splitlines() if line.startswith("*")), None)
            lines = git(self.path, "submodule", "status", "--recursive").splitlines()
            modules = {line[1:].split(" ", 1)[1].rsplit(" (", 1)[0]: line[1:].split(" ", 1)[0] for line in lines}
            missing = [line[1:].split(" ", 1)[1] for line in lines if line.startswith("-")]
            changed = git(self.path, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked")
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

    def capture(self, where: PrivateDir, items: t.Any = None) -> Facts:
        now = self.observe()
        if not now["exists"]:
            return {"kind": self.kind, **now, "files": 0, "bytes": 0}
        ref = _ref(where)
        try:
            if not now["head"]:
                raise GitError(f"it is no git work tree with a commit ({now.get('error') or 'no .git'})")
            repository = Repository(self.path)
            state = _git_capture.capture(repository, ref)
        except GitError as error:
            raise CaptureError(
                f"The work tree {self.path} cannot be captured: {error}.",
                untouched="everything.",
                advice="Finish, commit or remove what is named, or name another directory, then run again.",
                path=self.path,
            ) from error
        return {"kind": self.kind, **now, "ref": ref, "repository": state, "files": 0, "bytes": 0}

    def release(self, manifest: Facts) -> None:
        """Let git collect what one capture pinned; a repository that is gone needs nothing."""
        if not manifest.get("ref"):
            return
        try:
            _git_capture.release(self.path, manifest["repository"], manifest["ref"])
        except GitError:
            # Pins are small, and removing them must not stop what removes a capture.
            return

    def undo(self, layers: t.Sequence[Layer], how: How) -> Undo:
        if layers[0].manifest["exists"]:
            return GitUndo(self, layers, how)
        return GitRemoval(self, layers, how)


def _ref(where: PrivateDir) -> str:
    # The name of the store's directory is used once only, and says nothing to anybody else.
    return f"refs/sage/{hashlib.sha256(os.fsencode(where.path)).hexdigest()[:24]}"


class GitUndo(Undo):
    """Back to what was captured; the oldest capture decides."""

    def __init__(self, resource: GitResource, layers: t.Sequence[Layer], how: How) -> None:
        super().__init__()
        self.resource, self.path = resource, resource.path
        self.captured, self.where, self.resumed = layers[0].manifest, layers[0].where, _interrupted(layers, how)
        self.state: _git_capture.State = self.captured["repository"]
        self.changed = False
        #: A rollback took the whole clone away.
        self.away = _removal.kept(self.path, self.where) is not None
        target = f"{self.path} to {self.captured['branch'] or 'commit'} {self.captured['head'][:12]}"
        if self.away:
            self.plan["restore"].append(target)
            if os.path.lexists(self.path):
                self.plan["remove"].append(self.path)
                self.conflicts += [] if self.resumed else _work(self.path)
            return
        try:
            compared = Compared(self.path, self.state, self.captured["ref"])
            if compared.differences():
                self.plan["restore"].append(target)
            self.plan["remove"] += compared.removals()
            self.changed = compared.others()
            # An interrupted attempt leaves changes too; what is not captured is kept all the same.
            self.conflicts += compared.lost() if self.resumed else compared.conflicts() + self._moved(layers[-1].left)
        except GitError as error:
            self.plan["restore"].append(target)
            self.conflicts.append(
                f"{self.path} is no git work tree any more ({error}); it has to be cloned again by hand"
            )

    def _moved(self, left: Facts | None) -> list[str]:
        now = self.resource.observe().get("head")
        if not left or not left.get("head") or now in (left["head"], self.captured["head"]):
            return []
        return [f"{self.path} is at {now}, the installation left it at {left['head']}"]

    def touches(self) -> bool:
        # Files added since are left where they are, but a new capture would hold them.
        return self.changed or super().touches()

    def check(self) -> None:
        if not self.away:
            self._check(self.path, self.state)

    def _check(self, path: str, state: _git_capture.State) -> None:
        try:
            repository = Repository(path)
        except GitError:
            # Not checked out now, or gone, which is a conflict.
            return
        try:
            names = [state["head"], state["staged"], state["work"]]
            repository.git("rev-list", "--objects", "--no-walk", "--quiet", *names)
        except GitError as error:
            raise StoreError(
                f"What was captured of {path} is not in its repository any more: {error}.",
                untouched="everything.",
                advice=f"Somebody removed {self.captured['ref']}, or objects. Fetch what is missing, then run again.",
            ) from error
        for name, inner in state["modules"].items():
            self._check(os.path.join(path, name), inner)

    def redo(self) -> Facts | None:
        return {"kind": "git", "path": self.path} if any(self.plan.values()) else None

    def execute(self) -> None:
        if self.away:
            _removal.take_away(self.path, self.into)
            _removal.bring_back(self.path, self.where)
        try:
            redo = _ref(self.into) if self.into is not None else ""
            _git_restore.restore(self.path, self.state, self.captured["ref"], self.resumed, redo)
        except GitError as error:
            raise RollbackError(
                f"git could not go back to {self.captured['head']} in {self.path}: {error}.",
                untouched="what was captured; git still has it.",
                advice="Mend what git says, then run the same rollback again.",
            ) from error

    def verify(self) -> list[str]:
        try:
            return Compared(self.path, self.state, self.captured["ref"]).differences()
        except GitError as error:
            return [f"{self.path} cannot be compared: {error}"]


def _interrupted(layers: t.Sequence[Layer], how: How) -> bool:
    """An undo, or the change itself, was killed: what it left half done is nobody's work."""
    return how.resumed or not all(layer.completed for layer in layers)


def _work(path: str) -> list[str]:
    """What would be lost with a clone, for people."""
    try:
        return Repository(path).work()
    except GitError as error:
        return [f"{path} was not there, and is no git work tree now: {error}"]


class GitRemoval(Undo):
    """Away with a clone that was not there."""

    def __init__(self, resource: GitResource, layers: t.Sequence[Layer], how: How) -> None:
        super().__init__()
        self.path = resource.path
        self.broken = f"{self.path}.broken-{how.keep_broken}" if how.keep_broken else ""
        self.stays = how.erase_after is not None and layers[0].time <= how.erase_after
        if self.stays:
            self.kept.append(self.path)
            return
        self.plan["remove"] += _removal.remains(self.path)
        if os.path.lexists(self.path) and not _interrupted(layers, how):
            self.conflicts += _work(self.path)

    def check(self) -> None:
        return

    def redo(self) -> Facts | None:
        return {"kind": "git", "path": self.path} if self.touches() and not self.broken else None

    def execute(self) -> None:
        if not self.stays:
            _removal.take_away(self.path, self.into, self.broken)

    def verify(self) -> list[str]:
        return [] if self.stays else [f"{path} is still there" for path in _removal.remains(self.path)]
