"""What of a repository and of its submodules is captured, and where it is pinned."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._git import command
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError
from ansible_collections.intellistream.sage.plugins.module_utils._git.repository import Repository

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RepositoryState


def taken_away(directory: str, ref: str) -> str:
    """Where repositories of submodules are that an undo took away, and that undoing it brings back.

    :param directory: git's, of the outer repository.
    :param ref: of the capture that was made before that undo.
    """
    return os.path.join(directory, "sage", os.path.basename(ref))


def capture(path: str, ref: str) -> RepositoryState:
    """Pin what is there, submodules too, by a ref; returns what an undo needs to know.

    :param path: of the work tree, absolute.
    :param ref: its full name, such as C(refs/sage/0123).
    :raises GitError: something cannot be captured.
    """
    repository = Repository(path)
    for operation in sorted(repository.in_progress()):
        raise GitError(f"a {operation} is in progress in {repository.path}")
    for name in repository.flagged():
        raise GitError(f"{repository.path}/{name} has a conflict, or git was told not to look at it")
    head = repository.commit("HEAD")
    if head is None:
        raise GitError(f"{repository.path} has no commit")
    snapshot = repository.snapshot(exact=True)
    tree = repository.git("rev-parse", f"{head}^{{tree}}").strip()
    clean = (snapshot.staged, snapshot.work) == (tree, tree)
    repository.pin(ref, head if clean else repository.commit_snapshot(snapshot, "captured by intellistream.sage"))
    modules: dict[str, RepositoryState] = {}
    for name in repository.checked_out_submodules():
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise GitError(f"the name of the submodule {name!r} is not UTF-8") from error
        modules[name] = capture(os.path.join(path, name), ref)
    return {
        "head": head,
        "branch": repository.branch(),
        "staged": snapshot.staged,
        "work": snapshot.work,
        "added": snapshot.added,
        "nested": snapshot.nested,
        "directory": os.path.relpath(os.path.realpath(repository.directory), os.path.realpath(repository.path)),
        "gitdirs": sorted(repository.gitdirs()),
        "sections": sorted(repository.sections()),
        "modules": modules,
    }


def release(path: str, state: RepositoryState, ref: str) -> None:
    """Remove the pins of a capture; what is gone is no error.

    :param path: of the work tree.
    :param state: what P(capture) returned for I(ref).
    :raises GitError: git failed in a repository that is there.
    """
    for name, inner in state["modules"].items():
        release(os.path.join(path, name), inner, ref)
    # A submodule need not be checked out now; its repository may still be there.
    directory = os.path.normpath(os.path.join(path, state["directory"]))
    if os.path.isdir(directory):
        shutil.rmtree(taken_away(directory, ref), ignore_errors=True)
        # Its work tree need not be there.
        command.git("/", f"--git-dir={directory}", f"--work-tree={directory}", "update-ref", "-d", ref)
