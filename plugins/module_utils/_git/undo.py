"""The way back to a git work tree as it was, and away with a clone that was not there."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._content import whole
from ansible_collections.intellistream.sage.plugins.module_utils._git import restore
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError, ref_of
from ansible_collections.intellistream.sage.plugins.module_utils._git.compare import RepositoryComparison
from ansible_collections.intellistream.sage.plugins.module_utils._git.repository import Repository
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RepositoryState


def undo(resource: Resource, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
    """The way back to a captured work tree, or to its absence."""
    if layers[0].manifest["exists"]:
        return GitUndo(resource, layers, options)
    return GitRemoval(resource, layers, options)


class GitUndo(Undo):
    """Back to what was captured; the oldest capture decides."""

    def __init__(self, resource: Resource, layers: t.Sequence[Layer], options: UndoOptions) -> None:
        super().__init__()
        self.resource, self.path = resource, resource.path
        self.captured, self.store, self.resumed = layers[0].manifest, layers[0].where, _interrupted(layers, options)
        self.state: RepositoryState = self.captured["repository"]
        self.changed = False
        #: A rollback took the whole clone away.
        self.away = whole.kept(self.path, self.store) is not None
        target = f"{self.path} to {self.captured['branch'] or 'commit'} {self.captured['head'][:12]}"
        if self.away:
            self.plan["restore"].append(target)
            if os.path.lexists(self.path):
                self.plan["remove"].append(self.path)
                self.conflicts += [] if self.resumed else _work(self.path)
            return
        try:
            comparison = RepositoryComparison(self.path, self.state, self.captured["ref"])
            if comparison.differences():
                self.plan["restore"].append(target)
            self.plan["remove"] += comparison.removals()
            self.changed = comparison.has_untracked()
            # An interrupted attempt leaves changes too; what is not captured is kept all the same.
            self.conflicts += (
                comparison.lost_repositories()
                if self.resumed
                else comparison.conflicts() + self._moved(layers[-1].after)
            )
        except GitError as error:
            self.plan["restore"].append(target)
            self.conflicts.append(
                f"{self.path} is not a git work tree any more ({error}); it has to be cloned again by hand"
            )

    def _moved(self, after: Facts | None) -> list[str]:
        head = self.resource.observe().get("head")
        if not after or not after.get("head") or head in (after["head"], self.captured["head"]):
            return []
        return [f"{self.path} is at {head}, the installation left it at {after['head']}"]

    def touches(self) -> bool:
        # Files added since are left where they are, but a new capture would hold them.
        return self.changed or super().touches()

    def check(self) -> None:
        if not self.away:
            self._check(self.path, self.state)

    def _check(self, path: str, state: RepositoryState) -> None:
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
            whole.take_away(self.path, self.into)
            whole.bring_back(self.path, self.store)
        try:
            redo = ref_of(self.into.path) if self.into is not None else ""
            restore.restore(self.path, self.state, self.captured["ref"], self.resumed, redo)
        except GitError as error:
            raise RollbackError(
                f"git could not go back to {self.captured['head']} in {self.path}: {error}.",
                untouched="what was captured; git still has it.",
                advice="Fix what git reports, then run the same rollback again.",
            ) from error

    def verify(self) -> list[str]:
        try:
            return RepositoryComparison(self.path, self.state, self.captured["ref"]).differences()
        except GitError as error:
            return [f"{self.path} cannot be comparison: {error}"]


def _interrupted(layers: t.Sequence[Layer], options: UndoOptions) -> bool:
    """An undo, or the change itself, was killed: what it left half done is nobody's work."""
    return options.resumed or not all(layer.completed for layer in layers)


def _work(path: str) -> list[str]:
    """What would be lost with a clone, for people."""
    try:
        return Repository(path).unsaved_work()
    except GitError as error:
        return [f"{path} was not there, and is not a git work tree now: {error}"]


class GitRemoval(Undo):
    """Away with a clone that was not there."""

    whole = True

    def __init__(self, resource: Resource, layers: t.Sequence[Layer], options: UndoOptions) -> None:
        super().__init__()
        self.path = resource.path
        self.broken = f"{self.path}.broken-{options.keep_broken}" if options.keep_broken else ""
        self.stays = options.erase_after is not None and layers[0].time <= options.erase_after
        if self.stays:
            self.kept.append(self.path)
            return
        self.plan["remove"] += whole.remains(self.path)
        if os.path.lexists(self.path) and not _interrupted(layers, options):
            self.conflicts += _work(self.path)

    def check(self) -> None:
        return

    def redo(self) -> Facts | None:
        return {"kind": "git", "path": self.path} if self.touches() and not self.broken else None

    def execute(self) -> None:
        if not self.stays:
            whole.take_away(self.path, self.into, self.broken)

    def verify(self) -> list[str]:
        return [] if self.stays else [f"{path} is still there" for path in whole.remains(self.path)]
