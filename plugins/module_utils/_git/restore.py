"""The way back of a repository and of the submodules in it.

Files first, then the index, then branch and HEAD, then the submodules: until the index is
replaced it still knows which files the change brought, so an interrupted way is walked again.
"""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._git import command
from ansible_collections.intellistream.sage.plugins.module_utils._git.capture import taken_away
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError, lines
from ansible_collections.intellistream.sage.plugins.module_utils._git.compare import REMOVED, RepositoryComparison
from ansible_collections.intellistream.sage.plugins.module_utils._git.repository import Repository, unlink

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RepositoryState

_KEPT = "refs/sage/kept"
_TEXT = "kept by a rollback"


def restore(path: str, state: RepositoryState, ref: str, resumed: bool = False, redo: str = "") -> None:
    """Make the repository what it was; work that is not captured is kept below C(refs/sage/kept).

    :param path: of the work tree.
    :param state: what was captured.
    :param ref: what the capture is pinned by.
    :param resumed: an earlier attempt was interrupted.
    :param redo: the ref of a capture of what is there now, which has to be able to come back; empty for none.
    :raises GitError: git failed; can be called again.
    """
    repository = Repository(path)
    if resumed:
        _unlock(repository)
    _clear(repository)
    comparison = RepositoryComparison(path, state, ref)
    _keep(comparison)
    for number, name in enumerate(comparison.extra):
        _rescue(repository, Repository(os.path.join(path, name)), comparison.fetched_commits(name))
        _move_out(repository, path, name, f"work-{number}")
    for number, name in enumerate(comparison.new_gitdirs):
        if redo and not os.path.lexists(os.path.join(taken_away(repository.directory, redo), name)):
            _move_away(os.path.join(repository.modules_directory, name), taken_away(repository.directory, redo), name)
        else:
            _move_out(repository, repository.modules_directory, name, f"modules-{number}")
    _clear(repository)
    for name in comparison.new_sections:
        repository.git("config", "--local", "--remove-section", f"submodule.{name}")
    _files_and_index(repository, state)
    _refs(repository, state)
    for name, inner in state["modules"].items():
        if name in comparison.missing:
            _attach(comparison, name)
        restore(os.path.join(path, name), inner, ref, resumed, redo)


def _unlock(repository: Repository) -> None:
    """Remove the locks of the git that was killed together with the interrupted attempt."""
    unlink(f"{repository.index}.lock")
    for name in ("HEAD.lock", "config.lock"):
        unlink(os.path.join(repository.directory, name))
    for directory, dummy, files in os.walk(os.path.join(repository.refs, "heads")):
        for name in files:
            if name.endswith(".lock"):
                unlink(os.path.join(directory, name))


def _clear(repository: Repository) -> None:
    removed = os.path.join(repository.directory, REMOVED)
    if os.path.lexists(removed):
        shutil.rmtree(removed)


def _move_out(repository: Repository, root: str, name: str, new: str) -> None:
    """Take a directory away in one step: half a repository would not be known for one."""
    removed = os.path.join(repository.directory, REMOVED)
    os.makedirs(removed, 0o700, exist_ok=True)
    tree = Tree.open(root, follow=True)
    if tree is None:
        return
    with tree:
        fd, last = tree.parent(name)
        os.rename(last, os.path.join(removed, new), src_dir_fd=fd)
        above = os.path.dirname(name)
        while above and tree.rmdir(above):
            above = os.path.dirname(above)


def _move_away(path: str, root: str, name: str) -> None:
    new = os.path.join(root, name)
    os.makedirs(os.path.dirname(new), 0o700, exist_ok=True)
    os.rename(path, new)


def _keep(comparison: RepositoryComparison) -> None:
    repository = comparison.repository
    if comparison.own_conflicts():
        _pin_kept(repository, repository.commit_snapshot(repository.snapshot(), _TEXT))
    for operation in repository.in_progress():
        applying = os.path.lexists(os.path.join(repository.directory, "rebase-apply", "applying"))
        repository.git("am" if operation == "rebase" and applying else operation, "--quit")


def _pin_kept(repository: Repository, commit: str) -> None:
    repository.pin(f"{_KEPT}/{commit[:12]}", commit)


def _rescue(outer: Repository, repository: Repository, fetched_commits: t.Sequence[str]) -> None:
    """Bring the work in a submodule that goes away into the repository that stays."""
    links = repository.submodule_commits()
    for name in repository.checked_out_submodules():
        _rescue(outer, Repository(os.path.join(repository.path, name)), [links[name]] if name in links else [])
    if not repository.unsaved_work(fetched_commits):
        return
    _pin_kept(repository, repository.commit_snapshot(repository.snapshot(), _TEXT))
    tips = repository.git("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/stash").split()
    for commit in tips:
        if repository.git("rev-list", "--max-count=1", commit, "--not", "--remotes", "--tags", *fetched_commits, "--"):
            _pin_kept(repository, commit)
    every = f"+{_KEPT}/*:{_KEPT}/*"
    outer.git("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", repository.directory, every)


def _files_and_index(repository: Repository, state: RepositoryState) -> None:
    with repository.copied_index() as index:
        repository.forget_announced(index)
        # Files that are captured, untracked now, and still the same are not written again: so they keep
        # their time and rights.
        listed = repository.git("diff-index", "--cached", "--no-renames", "--diff-filter=D", state["work"], index=index)
        index_lines = []
        for line in listed.splitlines():
            facts, name = line.split("\t", 1)
            mode, dummy, blob = facts[1:].split()[:3]
            index_lines.append(f"{mode} {blob}\t{name}\n")
        repository.git("update-index", "--replace", "--index-info", index=index, stdin="".join(index_lines))
        repository.refresh(index)
        repository.git("read-tree", "--reset", "-u", state["work"], index=index)
        repository.git("read-tree", "--reset", state["staged"], index=index)
        if state["added"]:
            options = ("--intent-to-add", "--force", "--pathspec-from-file=-")
            repository.git("add", *options, index=index, stdin=lines(state["added"]))
        repository.refresh(index)
        _replace(repository.index, index)


def _replace(path: str, new: str) -> None:
    """Put an index in place as git does, by way of its lock."""
    lock, info = f"{path}.lock", os.stat(new)
    try:
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, info.st_mode & 0o777)
    except FileExistsError as error:
        raise GitError(f"another git is at work, or one was killed and left {lock}") from error
    with open(new, "rb") as source, os.fdopen(fd, "wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        # Its time tells git which files may have changed right after they were looked at.
        os.utime(target.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))
        os.fsync(target.fileno())
    os.rename(lock, path)


def _refs(repository: Repository, state: RepositoryState) -> None:
    head, branch = state["head"], state["branch"]
    current_branch, ref = repository.branch(), f"refs/heads/{branch}"
    # What HEAD or the branch leaves may be on no other name.
    left_behind = [repository.commit(name) for name in ([ref] if branch else []) + ([] if current_branch else ["HEAD"])]
    for commit in left_behind:
        if not commit or commit == head:
            continue
        options = ["--not", "--remotes", "--tags", head]
        if repository.git("rev-list", "--max-count=1", commit, *options, "--"):
            _pin_kept(repository, commit)
    text = ("-m", "intellistream.sage: rollback")
    if not branch:
        if current_branch or repository.commit("HEAD") != head:
            repository.git("update-ref", *text, "--no-deref", "HEAD", head)
        return
    if repository.commit(ref) != head:
        repository.git("update-ref", *text, ref, head)
    if current_branch != branch:
        repository.git("symbolic-ref", *text, "HEAD", ref)


def _attach(comparison: RepositoryComparison, name: str) -> None:
    """Give a submodule the repository back that lies in the outer one; nothing is fetched."""
    repository = comparison.repository
    path = os.path.join(repository.path, name)
    directory, taken_out = comparison.repository_paths(name)
    if not os.path.isdir(directory):
        if not os.path.isdir(taken_out):
            raise GitError(f"the repository of submodule {path} is gone")
        _move_away(taken_out, os.path.dirname(directory), os.path.basename(directory))
    # Before it is attached, since that is what ends this step.
    if not repository.sections() >= set(comparison.state["sections"]):
        repository.git("submodule", "--quiet", "init", "--", name)
    tree = Tree.open(repository.path, follow=True)
    if tree is None:
        raise GitError(f"{repository.path} is gone")
    with tree:
        fd = tree.enter(name, make=True)
        # Written aside: half of it would be a broken repository.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(".git.sage", flags, 0o644, dir_fd=fd), "w") as stream:
            stream.write(f"gitdir: {comparison.state['modules'][name]['directory']}\n")
            stream.flush()
            os.fsync(stream.fileno())
        work = os.path.relpath(os.path.realpath(path), os.path.realpath(directory))
        command.git(repository.path, "config", "--file", os.path.join(directory, "config"), "core.worktree", work)
        os.rename(".git.sage", ".git", src_dir_fd=fd, dst_dir_fd=fd)
