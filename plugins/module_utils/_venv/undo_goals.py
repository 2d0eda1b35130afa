"""What each distribution of an environment has to become again: the oldest capture of each wins."""

from __future__ import annotations

import itertools
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import names
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._base.fork import split_over_two_processes
from ansible_collections.intellistream.sage.plugins.module_utils._content import hardlinks
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.hardlinks import Known
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Section
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Row

# The version that stands for "it will not be there" in what a change is going to leave.
ABSENT = "-"


class Target:
    """What one distribution, or what belongs to the environment itself, has to become again.

    :ivar version: the captured version; None: it was not there.
    :ivar layer: the capture that decides.
    :ivar allowed: versions that captures and installations explain; empty string: any.
    :ivar untouchable: paths that are left as they are.
    :ivar here: the captured version is registered, so that perhaps nothing has to be done.
    """

    def __init__(self, layer: Layer, section: Section | None) -> None:
        self.version = section.version if section is not None else None
        self.layer = layer
        self.allowed: list[str] = []
        self.untouchable: set[str] = set()
        self.here = True
        self._section = section
        # Of the content that was checked, in the order of the files; nothing but zeros where it is not a hard link
        # that still looks as it was captured.
        self._seen = bytearray()

    def files(self) -> t.Iterator[tuple[str, Item]]:
        """Path and item of all that was captured of it, read anew each time."""
        if self._section is not None and self.layer.items is not None:
            for path, item in self.layer.items.read(self._section):
                if path not in self.untouchable:
                    yield path, item

    def known(self, part: slice = slice(None)) -> t.Iterator[Known]:
        """M(files), not parsed where M(check) has seen a hard link that looks as it was captured.

        :param part: only these, where nothing is untouchable.
        """
        if self._section is None or self.layer.items is None:
            return iter(())
        paths = itertools.islice(self.layer.items.paths(self._section), part.start, part.stop)
        lines = itertools.islice(self.layer.items.lines(self._section), part.start, part.stop)
        first = (part.start or 0) * hardlinks.LOOKS.size
        seen = itertools.chain(
            hardlinks.LOOKS.iter_unpack(memoryview(self._seen)[first:]), itertools.repeat(hardlinks.UNSEEN)
        )
        if self.untouchable:
            wanted = ((path, line) for path, line in zip(paths, lines) if path not in self.untouchable)
            return (Known(path, line, looks) for (path, line), looks in zip(wanted, seen))
        # Thousands: nothing is done in a loop of our own.
        return map(Known, paths, lines, seen)

    def paths(self) -> t.Iterator[str]:
        """The paths of M(files)."""
        if self._section is not None and self.layer.items is not None:
            yield from self.layer.items.paths(self._section)

    def store(self) -> Tree:
        """Where the captured content is; the caller closes it."""
        return Tree.of(self.layer.where)

    def differing(self, venv: Tree, store: Tree) -> list[tuple[str, Item]]:
        """What is not as it was captured. A file that is the very inode in the store is not read."""
        return [(path, item) for path, item in self.files() if content_item.difference(venv, path, item, store, path)]

    def check(self, venv: Tree) -> None:
        """Check by hash what will be put back.

        :raises StoreError: it is missing or damaged.
        """
        seen = bytearray()
        with self.store() as store:
            for path, item in self.files():
                looks = hardlinks.UNSEEN
                if item.kind == FILE and not (self.here and not content_item.difference(venv, path, item, store, path)):
                    found = hardlinks.looks(content_item.verify(store, path, item))
                    looks = found if item.shared and found[1:] == item[2:7] else looks
                seen += hardlinks.LOOKS.pack(*looks)
        self._seen = seen

    def verify(self, venv: Tree) -> list[str]:
        """Every difference that is left."""
        number = len(self._seen) // hardlinks.LOOKS.size
        if self.untouchable or not number:
            return self._differences(venv, slice(None))
        return split_over_two_processes(
            lambda part: self._differences(venv, slice(part[0], part[-1] + 1)), range(number)
        )

    def _differences(self, venv: Tree, part: slice) -> list[str]:
        left = []
        with self.store() as store:
            for one in hardlinks.not_linked(venv, store, self.known(part)):
                try:
                    why = content_item.difference(venv, one.path, one.item, store, one.path)
                except UnsafePath as error:
                    why = error.what
                if why:
                    left.append(f"{venv.name(one.path)} {why}")
        return left


def targets(layers: t.Sequence[Layer]) -> dict[str, Target]:
    """Name → target of each distribution that the captures are about, oldest first."""
    found: dict[str, Target] = {}
    for layer in layers:
        sections = {one.name: one for one in (layer.items.sections if layer.items is not None else ()) if one.name}
        listed = layer.spec.get("distributions") or []
        wanted = {names.canonical(one["name"]): str(one.get("version") or "") for one in listed}
        for name in {**wanted, **sections}:
            section = sections.get(name)
            target = found.get(name)
            if target is None:
                target = found[name] = Target(layer, section)
            target.allowed += [wanted[name]] if name in wanted else []
            target.allowed += [section.version] if section is not None else []
            # Nobody knew what the change would do: it may have done anything.
            target.allowed += ["", ABSENT] if layer.spec.get("all") else []
    return found


def loose(layer: Layer) -> Target:
    """What belongs to the environment itself."""
    sections = layer.items.sections if layer.items is not None else []
    return Target(layer, next((one for one in sections if not one.name), None))


def suspects(venv: Tree, rows: t.Mapping[str, Row], installed_ns: int) -> t.Iterator[tuple[str, int]]:
    """Files that do not look as RECORD says, with the time of their last change."""
    for path in split_over_two_processes(lambda part: _unlike(venv, part, installed_ns), list(rows.items())):
        info = venv.lstat(path)
        if info is not None:
            yield path, info.st_ctime_ns


def _unlike(venv: Tree, rows: t.Iterable[tuple[str, Row]], installed_ns: int) -> list[str]:
    last, here, found = "", -1, []
    for path, row in rows:
        if not row.sums:
            continue
        directory, dummy, name = path.rpartition("/")
        try:
            if directory != last or here < 0:
                here, last = venv.enter(directory), directory
            info = os.lstat(name, dir_fd=here)
        except (FileNotFoundError, NotADirectoryError):
            here = -1
            continue
        as_recorded = len(row.sums) == 1 and info.st_size == row.size and info.st_mtime_ns <= installed_ns
        if stat.S_ISREG(info.st_mode) and not as_recorded:
            found.append(path)
    return found


def directories(layers: t.Sequence[Layer], wanted: t.Iterable[Target]) -> dict[str, int]:
    """The directories that must be there again, with their modes.

    Those that only a newer capture lists are wanted for what is put back there: they may have been made by a change
    that is undone.
    """
    modes: dict[str, int] = {}
    for layer in layers:
        modes = {**layer.manifest["dirs"], **modes}
    if len(layers) == 1:
        return modes
    kept = set(layers[0].manifest["dirs"])
    for target in wanted:
        for path in target.paths() if target.version is not None else ():
            directory = path.rpartition("/")[0]
            while directory and directory not in kept:
                kept.add(directory)
                directory = directory.rpartition("/")[0]
    return {name: mode for name, mode in modes.items() if name in kept}
