# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans and captures consist of, for type checkers only: in module_utils it would be sent to every host."""

from __future__ import annotations

import typing as t


class _Source(t.TypedDict, total=False):
    path: str
    editable: bool


class PlannedDistribution(_Source):
    """One distribution of a plan, as modules return it and take it.

    C(version): None if only building would tell. C(group): C(sage) or C(third_party). C(action): C(add), C(replace) or
    C(keep). C(from_version): the one that is installed, None if none. C(hashes): C(sha256:…) of acceptable files, empty
    if unknown. C(path), C(editable): only of one that comes from a source directory.
    """

    name: str
    version: str | None
    group: str
    action: str
    from_version: str | None
    hashes: list[str]


class NamedVersion(t.TypedDict):
    """A distribution in short."""

    name: str
    version: str | None


class RepositoryState(t.TypedDict):
    """What an undo needs to know of a repository, as a manifest has it.

    C(head), C(staged), C(work): object names of the commit, of the index as a tree, of the files as a tree.
    C(branch): None when HEAD is detached.
    C(added): files announced with C(git add --intent-to-add). C(nested): other repositories in the work tree.
    C(directory): git's, relative to the work tree.
    C(gitdirs), C(sections): names of submodules that have a repository there, and that the configuration names.
    C(modules): the same of each submodule, by its path.
    """

    head: str
    branch: str | None
    staged: str
    work: str
    added: list[str]
    nested: list[str]
    directory: str
    gitdirs: list[str]
    sections: list[str]
    modules: dict[str, RepositoryState]
