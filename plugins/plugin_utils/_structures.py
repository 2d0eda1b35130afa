# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans and captures consist of, for type checkers only: in module_utils it would be sent to every host."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Section


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


class ItemWriter(t.Protocol):
    """P(_content.manifest.Writer), which writes the items of one capture."""

    def section(self, name: str = "", version: str = "", info: str = "") -> None:
        """Begin a section."""

    def add(self, path: str, item: Item) -> None:
        """Write one item; an empty path is the section's own."""

    def write(self, lines: t.Iterable[str]) -> None:
        """Write lines of P(_content.manifest.linked_line)."""


class ItemReader(t.Protocol):
    """P(_content.manifest.Items), which reads the items of one capture."""

    sections: list[Section]

    def read(self, section: Section) -> t.Iterator[tuple[str, Item]]:
        """Path and item of each line of a section."""

    def paths(self, section: Section) -> t.Iterator[str]:
        """The path of each line of a section."""

    def lines(self, section: Section) -> t.Iterator[bytes]:
        """The lines of a section."""
