"""What a repository was when it was captured, against what it is now."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._git.capture import taken_away
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError
from ansible_collections.intellistream.sage.plugins.module_utils._git.repository import Repository

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RepositoryState

# In git's directory: what is on its way out.
REMOVED = "sage-removed"


class RepositoryComparison:
    """A repository and the submodules in it, against their capture.

    :ivar repository: as it is now.
    :ivar path: of its work tree.
    :ivar state: as it was captured.
    :ivar ref: what the capture is pinned by.
    :ivar difference: of the files.
    :ivar staged: paths at which the index differs.
    :ivar new_gitdirs: name → path of the work tree, of repositories of submodules that were not there.
    :ivar new_sections: names of submodules that the configuration did not have.
    :ivar extra: paths of submodules that were not checked out.
    :ivar inner: the same of the captured submodules, by path.
    :ivar missing: paths of captured submodules that are not there, or whose place another repository has.
    :raises GitError: it is no repository any more.
    """

    def __init__(self, path: str, state: RepositoryState, ref: str) -> None:
        self.repository = Repository(path)
        self.path, self.state, self.ref = path, state, ref
        self.difference = self.repository.against(state["work"])
        self.staged = self.repository.staged(state["staged"])
        gitdirs, sections = set(state["gitdirs"]), set(state["sections"])
        checked_out = self.repository.checked_out_submodules()
        self.new_gitdirs = {name: at for name, at in self.repository.gitdirs().items() if name not in gitdirs}
        self.new_sections = sorted(self.repository.sections() - sections)
        elsewhere = {at for at in self.new_gitdirs.values() if at}
        self.extra = sorted(
            name for name in {*checked_out, *elsewhere} if name not in state["modules"] and self._has(name, ".git")
        )
        self.inner: dict[str, RepositoryComparison] = {}
        self.missing: list[str] = []
        for name, inner in state["modules"].items():
            directory = os.path.normpath(os.path.join(path, name, inner["directory"]))
            try:
                submodule = RepositoryComparison(os.path.join(path, name), inner, ref)
            except GitError:
                self.missing.append(name)
                continue
            if os.path.realpath(submodule.repository.directory) == os.path.realpath(directory):
                self.inner[name] = submodule
            else:
                # The change put another repository there.
                self.missing.append(name)
                self.extra.append(name)

    def _has(self, *names: str) -> bool:
        return os.path.lexists(os.path.join(self.path, *names))

    def repository_paths(self, name: str) -> tuple[str, str]:
        """Where the repository of a captured submodule belongs, and where an undo has kept it."""
        directory = os.path.normpath(os.path.join(self.path, name, self.state["modules"][name]["directory"]))
        inside = os.path.relpath(os.path.realpath(directory), os.path.realpath(self.repository.modules_directory))
        return directory, os.path.join(taken_away(self.repository.directory, self.ref), inside)

    def lost_repositories(self) -> list[str]:
        """Submodules of which the repository is gone, for people: nothing here brings them back."""
        losses = [
            f"the repository of submodule {os.path.join(self.path, name)} is gone"
            for name in self.missing
            if not any(os.path.isdir(directory) for directory in self.repository_paths(name))
        ]
        return losses + [line for submodule in self.inner.values() for line in submodule.lost_repositories()]

    def conflicts(self) -> list[str]:
        """Work that nobody committed, is not what was captured, and would be overwritten or removed."""
        conflicts = self.own_conflicts() + self.lost_repositories()
        for name in self.extra:
            conflicts += Repository(os.path.join(self.path, name)).unsaved_work(self.fetched_commits(name))
        for submodule in self.inner.values():
            conflicts += submodule.conflicts()
        return conflicts

    def fetched_commits(self, name: str) -> list[str]:
        """The commit this repository wants of a submodule; it need not be on a branch."""
        commit = self.repository.submodule_commits().get(name)
        return [commit] if commit else []

    def own_conflicts(self) -> list[str]:
        """P(conflicts) of this repository alone, without its submodules."""
        repository, difference = self.repository, self.difference
        conflicts = [
            f"{self.path} has a {operation} that was not finished" for operation in sorted(repository.in_progress())
        ]
        if not (difference.changed or difference.untracked or self.staged):
            return conflicts
        head = repository.commit("HEAD")
        if head is None:
            return conflicts
        since = repository.against(head)
        names = {*since.changed, *since.untracked} & {*difference.changed, *difference.untracked}
        # Ignored files are in neither list, and are overwritten where the captured side has a file.
        listed = repository.names("diff-tree", "-r", "--name-only", "--diff-filter=A", head, self.state["work"])
        names |= {name for name in listed if difference.changed.get(name, "D") != "D"}
        for name in since.untracked & difference.untracked:
            above = name.rstrip("/").split("/")
            inside = any("/".join(above[:count]) in difference.changed for count in range(1, len(above)))
            if not inside and not any(other.startswith(f"{name}/") for other in difference.changed):
                # Somebody's own file, in nobody's way.
                names.discard(name)
        names |= self.staged & repository.staged(head)
        extra = {*self.extra, *self.state["modules"]}
        return conflicts + [
            f"{os.path.join(self.path, name)} was changed and not committed"
            for name in sorted(names)
            if name.rstrip("/") not in extra
        ]

    def differences(self) -> list[str]:
        """Every difference to what was captured; files of others are none."""
        state, repository, differences = self.state, self.repository, []
        head, branch = repository.commit("HEAD"), repository.branch()
        if head != state["head"]:
            differences.append(f"{self.path} was at {state['head']}, is at {head or 'no commit'}")
        if branch != state["branch"]:
            differences.append(f"{self.path} was on {state['branch'] or 'no branch'}, is on {branch or 'no branch'}")
        differences += [
            f"{self.path} has a {operation} that was not finished" for operation in sorted(repository.in_progress())
        ]
        words = {"M": "differs", "D": "is missing", "T": "is of another type"}
        for name, change in sorted(self.difference.changed.items()):
            differences.append(f"{os.path.join(self.path, name)} {words.get(change, change)}")
        staged = self.staged or set(state["added"]) ^ set(repository.announced(state["staged"]))
        differences += [f"{os.path.join(self.path, name)} is staged in another way" for name in sorted(staged)]
        differences += [f"submodule {os.path.join(self.path, name)} is missing" for name in self.missing]
        return (
            differences
            + self._additions()
            + [line for submodule in self.inner.values() for line in submodule.differences()]
        )

    def _additions(self) -> list[str]:
        additions = [f"submodule {os.path.join(self.path, name)} was not there" for name in self.extra]
        additions += [
            f"{os.path.join(self.repository.modules_directory, name)} was not there"
            for name in sorted(self.new_gitdirs)
        ]
        additions += [
            f"{self.path} has a submodule {name} in its configuration that was not there" for name in self.new_sections
        ]
        if os.path.lexists(os.path.join(self.repository.directory, REMOVED)):
            additions.append(f"{os.path.join(self.repository.directory, REMOVED)} is still there")
        return additions

    def removals(self) -> list[str]:
        """Paths of submodules that will be removed, for people."""
        paths = [os.path.join(self.path, name) for name in self.extra]
        return paths + [line for submodule in self.inner.values() for line in submodule.removals()]

    def has_untracked(self) -> bool:
        """Whether there are untracked files that were not captured."""
        return bool(
            self.difference.untracked - set(self.state["nested"]) - {f"{name}/" for name in self.state["modules"]}
        ) or any(submodule.has_untracked() for submodule in self.inner.values())
