"""A git work tree: its commit, branch, index, files, and the same of its submodules.

Git keeps the content itself, in its own objects, and a ref below C(refs/sage) keeps those from
being collected. Ignored files, other refs and file times are left alone.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError, git, ref_of
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RepositoryState
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions


_CAPTURE: ByName[t.Callable[[str, str], Facts]] = ByName("_git.capture:capture")
_RELEASE: ByName[t.Callable[[str, Facts, str], None]] = ByName("_git.capture:release")
_FOUND: ByName[t.Callable[[str, PrivateDir], str | None]] = ByName("_content.whole:found")
_UNDO: ByName[t.Callable[[Resource, t.Sequence[Layer], UndoOptions], Undo]] = ByName("_git.undo:undo")


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
        facts = self.observe()
        if facts.get("head") != recorded.get("head"):
            return [f"{self.path} was at {recorded.get('head')}, is at {facts.get('head') or 'no commit'}"]
        before, after = recorded.get("submodules") or {}, facts.get("submodules") or {}
        return [
            f"submodule {name} was at {before.get(name)}, is at {after.get(name)}"
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]

    def drift(self, recorded: Facts) -> list[str]:
        dirty = recorded.get("dirty") is False and self.observe().get("dirty")
        return self.differences(recorded) + (["files in it were changed and not committed"] if dirty else [])

    def need(self, device: int | None = None) -> tuple[int, int]:
        return 0, 0

    def capture(self, where: PrivateDir, items: t.Any = None, farm: PrivateDir | None = None) -> Facts:
        facts = self.observe()
        if not facts["exists"]:
            return {"kind": self.kind, **facts, "files": 0, "bytes": 0}
        ref = ref_of(where.path)
        try:
            if not facts["head"]:
                raise GitError(f"it is not a git work tree with a commit ({facts.get('error') or 'no .git'})")
            state = _CAPTURE.load()(self.path, ref)
        except GitError as error:
            raise CaptureError(
                f"The work tree {self.path} cannot be captured: {error}.",
                untouched="everything.",
                advice="Finish, commit or remove what is named, or name another directory, then run again.",
                path=self.path,
            ) from error
        return {"kind": self.kind, **facts, "ref": ref, "repository": state, "files": 0, "bytes": 0}

    def release(self, manifest: Facts) -> None:
        """Let git collect what one capture pinned; a repository that is gone needs nothing."""
        if not manifest.get("ref"):
            return
        try:
            _RELEASE.load()(self.path, manifest["repository"], manifest["ref"])
        except GitError:
            # Pins are small, and removing them must not stop what removes a capture.
            return

    def unchanged(self, layer: Layer) -> bool:
        facts = self.observe()
        return not facts.get("dirty") and facts == {name: layer.manifest.get(name) for name in facts}

    def lost(self, layer: Layer, thorough: bool) -> list[str]:
        if not layer.manifest.get("ref"):
            return []
        path = self.path
        if not os.path.lexists(path):
            path = _FOUND.load()(self.path, layer.where) or path
        return _lost(path, layer.manifest["repository"], layer.manifest["ref"], thorough)

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        return _UNDO.load()(self, layers, options)


def _lost(path: str, state: RepositoryState, ref: str, thorough: bool) -> list[str]:
    """What a repository, and those of its submodules that are checked out, have no longer of a capture."""
    try:
        git(path, "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")
        if thorough:
            names = [state["head"], state["staged"], state["work"]]
            git(path, "rev-list", "--objects", "--no-walk", "--quiet", *names)
    except GitError as error:
        return [f"what was captured of {path} is not in its repository any more: {error}"]
    lines: list[str] = []
    for name, inner in state["modules"].items() if thorough else ():
        module = os.path.join(path, name)
        if os.path.lexists(os.path.join(module, ".git")):
            lines += _lost(module, inner, ref, thorough)
    return lines
