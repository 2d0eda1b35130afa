"""What is wrong in a farm, and what killed runs left there."""

from __future__ import annotations

import os
import re
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, digest_of
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import farm as footprint_farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import keeper

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

# Files that are kept there; what begins with a dot is half of one.
_OURS = re.compile("unsettled|reserve|collected|crowded|(newest|replaced|keeper|copied)-[0-9a-f]{16}")
_TEMPORARY = re.compile(r"\.(copy|newest|copy-[0-9a-f]{16}[.][0-9]+|unsettled\.tmp|sage-flush\.tmp)")
_PARTS = re.compile("parts-[0-9a-f]{16}")
_LINK = re.compile("([0-9a-f]+)\\.[0-9a-f]+\\.-?[0-9a-f]+")


class FarmProblems(t.NamedTuple):
    """What was found in a farm, by names relative to it.

    :ivar damaged: links and copies that are not what their names say.
    :ivar temporary: of captures that were killed.
    :ivar foreign: what this collection keeps nowhere there.
    """

    damaged: list[str]
    temporary: list[str]
    foreign: list[str]


def look(directory: PrivateDir) -> FarmProblems:
    """Look at a farm; all copies are read, nothing is changed."""
    problems = FarmProblems([], [], [])
    with Tree.of(directory) as tree:
        farm = footprint_farm.Farm(tree)
        at_work = keeper.is_at_work(farm)
        for name, is_directory in tree.listing(""):
            if is_directory and name == footprint_farm.COPIES:
                _look_at_copies(tree, problems)
            elif is_directory and name.startswith(footprint_farm.LINKS):
                _look_at_links(tree, name, name == farm.generation, problems)
            elif not is_directory and _TEMPORARY.fullmatch(name):
                problems.temporary.extend([] if at_work else [name])
            elif is_directory and _PARTS.fullmatch(name):
                problems.damaged.extend(
                    f"{name}/{part}" for part, dummy in tree.listing(name) if not _is_part(tree, name, part)
                )
            elif is_directory or not _OURS.fullmatch(name):
                problems.foreign.append(name)
    return problems


def remove(directory: PrivateDir) -> None:
    """Remove what is damaged, since nothing goes by it, and what killed captures left."""
    problems = look(directory)
    with Tree.of(directory) as tree:
        for name in [*problems.damaged, *problems.temporary]:
            fd, last = tree.parent(name)
            if stat.S_ISDIR(os.lstat(last, dir_fd=fd).st_mode):
                # Through the open directory; rmtree itself follows no link.
                shutil.rmtree(f"/proc/self/fd/{fd}/{last}")
            else:
                os.unlink(last, dir_fd=fd)


def _is_part(tree: Tree, directory: str, name: str) -> bool:
    try:
        return digest_of(tree.open_file(f"{directory}/{name}")) == name
    except UnsafePath:
        return False


def _look_at_copies(tree: Tree, problems: FarmProblems) -> None:
    for path, is_directory in tree.walk(footprint_farm.COPIES):
        if is_directory and path.count("/") == 1:
            continue
        name = path.rpartition("/")[2]
        try:
            is_sound = not is_directory and digest_of(tree.open_file(path)) == name
        except UnsafePath:
            is_sound = False
        if not is_sound and path.count("/") == 2:
            problems.damaged.append(path)


def _look_at_links(tree: Tree, generation: str, current: bool, problems: FarmProblems) -> None:
    """Links of another generation are known by their names alone."""
    for directory, dummy in tree.listing(generation):
        with os.scandir(tree.enter(f"{generation}/{directory}")) as children:
            for child in sorted(children, key=lambda child: child.name):
                match = _LINK.fullmatch(child.name)
                is_file = child.is_file(follow_symlinks=False)
                if match is None or not is_file or (current and int(match[1], 16) != child.inode()):
                    problems.damaged.append(f"{generation}/{directory}/{child.name}")
