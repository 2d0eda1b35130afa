"""A repository with a work tree: what is in it now, and a snapshot of that in its own objects.

The index is copied before git may write to it, so looking changes nothing.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import tempfile
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._git import command
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError, lines, unquoted

# What git leaves in its directory while a command of several steps is not finished, and what ends it.
_IN_PROGRESS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


def unlink(path: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class WorkTreeDifference(t.NamedTuple):
    """How the work tree differs from a tree.

    :ivar changed: path → C(M)odified, C(D)eleted or C(T)ype.
    :ivar untracked: paths of no file in the tree, ignored ones left out; C(name/) is another repository.
    """

    changed: dict[str, str]
    untracked: set[str]


class Snapshot(t.NamedTuple):
    """Trees in the repository's objects.

    :ivar staged: the index.
    :ivar work: the files, untracked ones too.
    :ivar added: files announced with C(git add --intent-to-add).
    :ivar nested: other repositories, which are not in the trees.
    """

    staged: str
    work: str
    added: list[str]
    nested: list[str]


class Repository:
    """A repository with a work tree.

    :ivar path: of the work tree, absolute.
    :ivar directory: git's own, absolute.
    :ivar index: the file of the index.
    :ivar modules_directory: where repositories of submodules lie.
    :ivar refs: the directory of the refs.
    :raises GitError: there is none.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if not os.path.lexists(os.path.join(path, ".git")):
            # git itself would go up to a repository this directory happens to lie in.
            raise GitError(f"{path} is not a git work tree")
        names = ("index", "modules", "refs")
        options = [part for name in names for part in ("--git-path", name)]
        paths = self.git("rev-parse", "--absolute-git-dir", *options).splitlines()
        if len(paths) != len(names) + 1:
            raise GitError(f"the name of {path} has a line break")
        self.directory, self.index, self.modules_directory, self.refs = (os.path.join(path, name) for name in paths)

    def git(self, *arguments: str, index: str = "", stdin: str = "", date: str = "") -> str:
        """As M(_git.command.git), here."""
        return command.git(self.path, *arguments, index=index, stdin=stdin, date=date)

    def names(self, *arguments: str, index: str = "") -> list[str]:
        """The paths that a command lists, one a line."""
        return [unquoted(line) for line in self.git(*arguments, index=index).splitlines()]

    def commit(self, name: str) -> str | None:
        """The commit that a name means; None when it means none."""
        try:
            return self.git("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").strip()
        except GitError:
            return None

    def branch(self) -> str | None:
        """The branch of HEAD; None when it is detached."""
        try:
            return self.git("symbolic-ref", "--quiet", "HEAD").strip()[len("refs/heads/") :]
        except GitError:
            return None

    def in_progress(self) -> set[str]:
        """Commands of several steps that somebody has begun."""
        return {
            operation for name, operation in _IN_PROGRESS.items() if os.path.lexists(os.path.join(self.directory, name))
        }

    def flagged(self) -> list[str]:
        """Paths in the index that are unmerged, or that git was told not to look at."""
        listed = self.git("ls-files", "-v").splitlines()
        return sorted({unquoted(line[2:]) for line in listed if not line.startswith("H ")})

    def submodule_commits(self, index: str = "") -> dict[str, str]:
        """Path → commit of the submodules in the index."""
        staged = (line.split("\t", 1) for line in self.git("ls-files", "--stage", index=index).splitlines())
        return {unquoted(name): facts.split()[1] for facts, name in staged if facts.startswith("160000 ")}

    def checked_out_submodules(self) -> list[str]:
        """Paths of the submodules that are checked out."""
        # What another commit has left there is none of this one's submodules, and still somebody's.
        names = {*self.submodule_commits(), *(name for name in self.gitdirs().values() if name)}
        return sorted(name for name in names if os.path.lexists(os.path.join(self.path, name, ".git")))

    def gitdirs(self) -> dict[str, str | None]:
        """Name → path of the work tree, of each repository of a submodule that lies in this one."""
        work_trees: dict[str, str | None] = {}
        for directory, directories, files in os.walk(self.modules_directory):
            if "HEAD" in files:
                directories[:] = []
                name = os.path.relpath(directory, self.modules_directory)
                try:
                    work = command.git(
                        self.path, "config", "--file", os.path.join(directory, "config"), "core.worktree"
                    )
                    full = os.path.normpath(os.path.join(os.path.realpath(directory), work.rstrip("\n")))
                    inside = os.path.relpath(full, os.path.realpath(self.path))
                    # A configuration may name any place; only what lies in here is touched.
                    work_trees[name] = None if inside.partition("/")[0] in (".", "..") else inside
                except GitError:
                    work_trees[name] = None
        return work_trees

    def sections(self) -> set[str]:
        """Names of submodules in the configuration."""
        try:
            keys = self.git("config", "--local", "--name-only", "--get-regexp", r"^submodule\..").splitlines()
        except GitError:
            return set()
        return {key.split(".", 1)[1].rsplit(".", 1)[0] for key in keys if key.count(".") > 1}

    @contextlib.contextmanager
    def copied_index(self) -> t.Iterator[str]:
        """A copy of the index to work with."""
        with tempfile.TemporaryDirectory(prefix="sage-git-") as directory:
            name = os.path.join(directory, "index")
            try:
                # With its time: git takes a file for unchanged only when it is older than the index.
                shutil.copy2(self.index, name)
            except FileNotFoundError:
                pass
            yield name

    def untracked(self, index: str = "") -> set[str]:
        """Files that are neither in the index nor ignored."""
        return set(self.names("ls-files", "--others", "--exclude-standard", index=index))

    def forget_announced(self, index: str) -> None:
        """Take what was announced with C(git add --intent-to-add) out of a copied index.

        Its place looks like an empty file, and git would take it for one.
        """
        announced = self.names("diff-files", "--name-only", "--no-renames", "--diff-filter=A", index=index)
        if announced:
            self.git("update-index", "--force-remove", "--stdin", index=index, stdin=lines(announced))

    def refresh(self, index: str) -> None:
        """Let a copied index know which files are as it says."""
        self.git("update-index", "-q", "--unmerged", "--refresh", index=index)

    def against(self, tree: str) -> WorkTreeDifference:
        """Compare the files with a tree; the content of those that may have changed is hashed."""
        with self.copied_index() as index:
            self.forget_announced(index)
            self.git("read-tree", "--reset", tree, index=index)
            self.refresh(index)
            listed = self.git("diff-files", "--name-status", "--no-renames", "--ignore-submodules=all", index=index)
            parts = (line.split("\t", 1) for line in listed.splitlines())
            return WorkTreeDifference({unquoted(name): change for change, name in parts}, self.untracked(index))

    def staged(self, tree: str, *options: str) -> set[str]:
        """Paths at which the index differs from a tree."""
        options = options or ("--ita-invisible-in-index",)
        return set(
            self.names(
                "diff-index", "--cached", "--name-only", "--no-renames", "--ignore-submodules=none", *options, tree
            )
        )

    def announced(self, tree: str) -> list[str]:
        """Files announced with C(git add --intent-to-add) that exist; C(tree) is what is staged."""
        announced = self.staged(tree, "--ita-visible-in-index", "--diff-filter=A") - self.staged(tree)
        return sorted(name for name in announced if os.path.lexists(os.path.join(self.path, name)))

    def snapshot(self, exact: bool = False) -> Snapshot:
        """Write what is staged and what the files are into the repository's objects.

        :param exact: it has to come back byte by byte.
        """
        with self.copied_index() as index:
            try:
                staged = self.git("write-tree", index=index).strip()
            except GitError:
                if not self.git("ls-files", "--unmerged", index=index):
                    raise
                # Of a conflict only the files are somebody's work.
                staged = self.git("rev-parse", "HEAD^{tree}").strip()
            untracked = self.untracked(index)
            nested = {name for name in untracked if name.endswith("/")}
            changed = self.names("diff-files", "--name-only", "--no-renames", "--ignore-submodules=dirty", index=index)
            every = lines(sorted({*changed, *untracked} - nested))
            self.git("update-index", "--add", "--remove", "--replace", "--stdin", index=index, stdin=every)
            work = self.git("write-tree", index=index).strip()
            if exact:
                self._check_conversions(every, index)
        return Snapshot(staged, work, added=self.announced(staged), nested=sorted(nested))

    def _check_conversions(self, names: str, index: str) -> None:
        """Line endings and filters: what git would write for its objects has to be what is there."""
        attributes = ("text", "eol", "crlf", "ident", "filter", "working-tree-encoding")
        try:
            every = self.git("config", "--get", "core.autocrlf").strip() not in ("", "false")
        except GitError:
            every = False
        converted_names = {
            line.rsplit(": ", 2)[0]
            for line in self.git("check-attr", "--stdin", *attributes, stdin=names).splitlines()
            if every or line.rsplit(": ", 1)[1] not in ("unspecified", "unset")
        }
        converted = [
            name for name in map(unquoted, sorted(converted_names)) if os.path.isfile(os.path.join(self.path, name))
        ]
        if not converted:
            return
        with tempfile.TemporaryDirectory(prefix="sage-git-") as directory:
            self.git("checkout-index", f"--prefix={directory}/", "--stdin", index=index, stdin=lines(converted))
            for name in converted:
                path, other = os.path.join(self.path, name), os.path.join(directory, name)
                if os.path.isfile(other) and not filecmp.cmp(path, other, shallow=False):
                    raise GitError(f"git would not write {path} as it is, by its rules for line endings or filters")

    def commit_snapshot(self, snapshot: Snapshot, text: str) -> str:
        """Make a commit that holds a snapshot, the same one for the same snapshot; returns its object name.

        :param text: its message.
        """
        date = self.git("show", "--no-patch", "--format=%ct", "HEAD").strip()
        head = self.git("rev-parse", "HEAD").strip()
        index = self.git("commit-tree", snapshot.staged, "-p", head, "-m", f"index, {text}", date=date).strip()
        return self.git(
            "commit-tree", snapshot.work, "-p", head, "-p", index, "-m", f"files, {text}", date=date
        ).strip()

    def pin(self, ref: str, commit: str) -> None:
        """Make one of our refs name a commit."""
        # Only we use these, and nobody else of us is here: a lock is what a killed run left.
        unlink(os.path.join(os.path.dirname(self.refs), f"{ref}.lock"))
        self.git("update-ref", "-m", "intellistream.sage", ref, commit)

    def has_own_commits(self, *fetched_commits: str) -> bool:
        """Whether a branch or HEAD has commits that came from no remote.

        :param fetched_commits: commits that are known to have come from one.
        """
        fetched = self.commit("FETCH_HEAD")
        others = [commit for commit in (*fetched_commits, fetched) if commit and self.commit(commit)]
        tips = ["HEAD"] if self.commit("HEAD") else []
        options = ["--max-count=1", *tips, "--branches", "--not", "--remotes", "--tags", *others, "--"]
        return bool(self.git("rev-list", *options))

    def unsaved_work(self, fetched_commits: t.Sequence[str] = ()) -> list[str]:
        """What would be lost if all of this repository was removed, a sentence each.

        :param fetched_commits: commits that are known to have come from a remote.
        """
        losses = [f"{self.path} has a {operation} that was not finished" for operation in sorted(self.in_progress())]
        empty = self.git("hash-object", "-t", "tree", "/dev/null").strip()
        tree = "HEAD" if self.commit("HEAD") else empty
        difference = self.against(tree)
        losses += [
            f"{os.path.join(self.path, name)} was changed or added and not committed"
            for name in sorted({*self.staged(tree), *difference.changed, *difference.untracked})
        ]
        if self.has_own_commits(*fetched_commits):
            losses.append(f"{self.path} has commits that are on no remote")
        if self.commit("refs/stash"):
            losses.append(f"{self.path} has a stash")
        links = self.submodule_commits()
        for name in self.checked_out_submodules():
            losses += Repository(os.path.join(self.path, name)).unsaved_work([links[name]] if name in links else [])
        return losses
