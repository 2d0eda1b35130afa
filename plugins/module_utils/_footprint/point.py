"""What a rollback point keeps of some paths: a table of each from before the change, what the change touched, content.

C(<n>.before) and C(<n>.footprint) are of the n-th path. Content lies by its hash beside them, so that a point needs
nothing but itself: what was held in the root's farm until the change had ended is brought here then.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import keeper, settle
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import (
    Farm,
    Farms,
    name_for,
)
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE, Table, TableRow

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer

BEFORE, FOOTPRINT = "before", "footprint"
# A table in parts, see M(_footprint.table_parts): C(<n>.parts) has their hashes, and they lie in a directory.
PARTS = "parts"
# In a farm, for each path whose content it holds: the newest table of it.
NEWEST = "newest-"
# And what the change after that has replaced: a point has it, and nobody needs it in the farm.
REPLACED = "replaced-"
_STAGED = ".newest"


@contextlib.contextmanager
def anchor_of(path: str) -> t.Iterator[Anchor | None]:
    """The place of an absolute path; None where the directory that it would be in is missing."""
    parent = Tree.open(os.path.dirname(path), follow=True)
    if parent is None:
        yield None
        return
    with parent:
        yield Anchor(parent, os.path.basename(path))


def look(path: str, earlier: Table | None = None) -> Table:
    """A table of a path; an empty one where nothing is."""
    with anchor_of(path) as anchor:
        return anchor.look(earlier) if anchor is not None else Table({})


@contextlib.contextmanager
def farms_of(layers: t.Iterable[Layer]) -> t.Iterator[Farms]:
    """Where the content of some captures lies: in each itself, and in the root's farm what was never settled."""
    with contextlib.ExitStack() as stack:
        farms: list[Farm] = []
        for layer in layers:
            farms.append(Farm(stack.enter_context(Tree.of(layer.where))))
            if _is_shared(layer):
                farms.append(_holding(layer, stack))
        yield Farms(farms)


def _is_shared(layer: Layer) -> bool:
    """Whether what was held for a capture lies in the root's farm until the change has ended."""
    return layer.farm is not None and bool(layer.manifest.get("farm"))


def _holding(layer: Layer, stack: contextlib.ExitStack) -> Farm:
    directory = layer.farm if layer.farm is not None and _is_shared(layer) else layer.where
    return Farm(stack.enter_context(Tree.of(directory)))


def write_table(directory: PrivateDir, number: int, table: Table) -> str:
    """Keep the table of the C(number)-th path; returns its SHA-256 in hex."""
    return _write(directory, f"{number}.{BEFORE}", footprint_table.write(table))


def newest(farm: PrivateDir, path: str) -> Table | None:
    """The newest table of a path that this farm holds; None where there is none that can be used."""
    name = name_for(NEWEST, path)
    content = farm.read(name)
    try:
        return _parsed(content) if content is not None else None
    except StoreError:
        # It spares looking; what it says is also in its rollback point.
        return None


def note_newest(farm: PrivateDir, path: str, directory: PrivateDir, number: int) -> None:
    """Note the table that M(write_table) has kept as the newest of a path; not synced, since it only spares looking."""
    with Tree.of(farm) as tree:
        tree.unlink(name_for(REPLACED, path))
        _note(tree, name_for(NEWEST, path), [directory.read(f"{number}.{BEFORE}") or b""])


def _note(farm: Tree, name: str, lines: t.Iterable[bytes]) -> None:
    farm.unlink(_STAGED)
    fd = os.open(_STAGED, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=farm.fd)
    with os.fdopen(fd, "wb") as stream:
        stream.writelines(lines)
    os.rename(_STAGED, name, src_dir_fd=farm.fd, dst_dir_fd=farm.fd)


def tables(layer: Layer) -> t.Iterator[tuple[str, Table]]:
    """Each captured path and what was there.

    :raises StoreError: a table is gone or was changed.
    """
    for number, path in enumerate(layer.manifest["tables"]):
        yield path, _table(layer, number, path)


def _table(layer: Layer, number: int, path: str) -> Table:
    return _parsed(_content_of_table(layer, number, path))


@functools.lru_cache(maxsize=1)
def _parsed(content: bytes) -> Table:
    """A table from its file, whose hash was checked.

    The newest of a farm is that of the newest point, and a call reads both, or one of them twice.
    """
    return footprint_table.read(iter(content.splitlines()), BEFORE)


def began(layer: Layer, number: int, path: str) -> int:
    """When the table of the C(number)-th path was begun, nanoseconds since 1970; its rows are not read.

    :raises StoreError: it is gone or was changed.
    """
    head = _content_of_table(layer, number, path).partition(b"\n")[0]
    return footprint_table.read([head, b"end 0\n"], f"{number}.{BEFORE}").began


def _content_of_table(layer: Layer, number: int, path: str) -> bytes:
    content = table_content(layer.where, number)
    return _checked(layer.where, f"{number}.{BEFORE}", content, layer.manifest["tables"][path])


def table_content(directory: PrivateDir, number: int) -> bytes | None:
    """The table of the C(number)-th path, whole or in parts, its hash unchecked; None where it is gone."""
    whole = directory.read(f"{number}.{BEFORE}")
    listed = directory.read(f"{number}.{PARTS}") if whole is None else None
    if listed is None:
        return whole
    try:
        with Tree.of(directory) as tree:
            return b"".join(tree.read(f"{PARTS}/{digest}") for digest in listed.decode().split())
    except (FileNotFoundError, UnsafePath, ValueError):
        return None


def touched(layer: Layer) -> t.Iterator[tuple[str, Footprint]]:
    """Each captured path and what the change touched there: as it was settled, else by a look now.

    :raises StoreError: what was noted is gone or was changed.
    """
    recorded = (layer.after or {}).get("footprints") or {}
    for number, path in enumerate(layer.manifest["tables"]):
        if path in recorded:
            yield path, _footprint(layer, number, recorded[path])
        else:
            yield path, _touched_by_now(layer, path, _table(layer, number, path))


def _touched_by_now(layer: Layer, path: str, before: Table) -> Footprint:
    with anchor_of(path) as anchor, contextlib.ExitStack() as stack:
        if anchor is None:
            return Footprint(before, before._replace(rows={}), {}, late=before)
        farm = _holding(layer, stack)
        copied = keeper.copied(path, farm) if _is_shared(layer) else {}
        return settle.settle(anchor, before, farm, copied, layer.seen.get(path))._replace(late=before)


def _footprint(layer: Layer, number: int, digest: str) -> Footprint:
    name = f"{number}.{FOOTPRINT}"
    return settle.read(_read(layer.where, name, digest), name)


def unchanged(layer: Layer) -> bool:
    """Whether nothing that was captured was touched.

    What was captured again since is told by what was settled.
    """
    is_over = layer.manifest.get("farm") and layer.farm is None
    return all(footprint.is_empty() for dummy, footprint in touched(layer if is_over else layer._replace(after=None)))


def settled(layer: Layer) -> Facts:
    """Look at what the change after a capture left, note what it touched, and bring the content of that here.

    What lay in the farm, and lies there no more, was settled, and others have captured since: it stays as it is.

    :returns: what the ledger keeps of it: path → hash of the footprint.
    :raises OSError: there is no room.
    """
    digests = dict((layer.after or {}).get("footprints") or {})
    if layer.manifest.get("farm") and layer.farm is None and digests:
        return {"footprints": digests}
    stop_watching(layer)
    recorded = dict(touched(layer)) if digests else {}
    for number, (path, footprint) in enumerate(touched(layer._replace(after=None))):
        if path in recorded and recorded[path].is_like(footprint):
            continue
        _adopt(layer, footprint)
        digests[path] = _write(layer.where, f"{number}.{FOOTPRINT}", settle.write(footprint))
        if _is_shared(layer):
            with contextlib.ExitStack() as stack:
                replaced = footprint_table.write(footprint.before)
                _note(_holding(layer, stack).tree, name_for(REPLACED, path), replaced)
    return {"footprints": digests}


def stop_watching(layer: Layer) -> None:
    """From now on nobody copies what is written in place; what was copied stays held."""
    with contextlib.ExitStack() as stack:
        for path in layer.manifest["tables"] if _is_shared(layer) else ():
            keeper.stop(path, _holding(layer, stack))


def _adopt(layer: Layer, footprint: Footprint) -> None:
    if not _is_shared(layer):
        return
    with contextlib.ExitStack() as stack:
        own, farm = Farm(stack.enter_context(Tree.of(layer.where))), _holding(layer, stack)
        adopted = {}
        for path, row in footprint.before.rows.items():
            if row.type == FILE and path not in footprint.unheld:
                own.adopt(farm, row, footprint.before.generation)
                adopted[row.hash] = row
        own.flush(adopted)


class NeededFile(t.NamedTuple):
    """A file whose content an undo of a capture may need.

    :ivar top: the captured path.
    :ivar relative: of the file below it.
    :ivar generation: of the table that the row is from.
    :ivar settled: the capture has it, and not only the farm.
    """

    top: str
    relative: str
    row: TableRow
    generation: str
    settled: bool

    @property
    def full(self) -> str:
        """The absolute path."""
        return f"{self.top}/{self.relative}" if self.relative else self.top


def needed(layer: Layer) -> t.Iterator[NeededFile]:
    """All files whose content a capture has to have: what the change has replaced, or all while nobody knows that.

    :raises StoreError: a table is gone or was changed.
    """
    recorded = (layer.after or {}).get("footprints") or {}
    for number, path in enumerate(layer.manifest["tables"]):
        if path in recorded:
            # It has to be there for an undo, too.
            _content_of_table(layer, number, path)
            footprint = _footprint(layer, number, recorded[path])
            before, unheld = footprint.before, footprint.unheld
        else:
            before, unheld = _table(layer, number, path), {}
            if _is_shared(layer):
                with contextlib.ExitStack() as stack:
                    before = settle.with_copies(before, keeper.copied(path, _holding(layer, stack)))
        is_partly = path not in recorded and layer.manifest.get("partly")
        for relative, row in before.rows.items():
            if row.type == FILE and relative not in unheld and (row.hash or not is_partly):
                yield NeededFile(path, relative, row, before.generation, settled=path in recorded)


def lost(layer: Layer, thorough: bool) -> t.Iterator[str]:
    """What is gone or hurt of a capture's content.

    :param thorough: read all of it.
    """
    with farms_of([layer]) as all_farms:
        for file in needed(layer):
            farms = all_farms.first() if file.settled else all_farms
            if not farms.holds(file.row, file.generation):
                yield f"the captured content of {file.full} is gone from {layer.where.path}"
            elif thorough and not is_sound(farms, file):
                yield f"what was captured of {file.full} in {layer.where.path} is not what was captured"


def is_sound(farms: Farms, file: NeededFile) -> bool:
    """Whether content is held, and what its hash says; of what nobody has hashed the inode tells."""
    if not file.row.hash:
        return farms.holds(file.row, file.generation)
    try:
        return farms.digest(file.row, file.generation) == file.row.hash
    except (StoreError, UnsafePath, OSError):
        return False


def _write(directory: PrivateDir, name: str, lines: t.Iterable[bytes]) -> str:
    """Write a file of the store, durably; returns its SHA-256 in hex."""
    content = b"".join(lines)
    directory.write(name, content)
    return hashlib.sha256(content).hexdigest()


def _read(directory: PrivateDir, name: str, digest: str) -> t.Iterator[bytes]:
    return iter(_checked(directory, name, directory.read(name), digest).splitlines(keepends=True))


def _checked(directory: PrivateDir, name: str, content: bytes | None, digest: str) -> bytes:
    if content is None or hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(
            f"{directory.path}/{name} is {'gone' if content is None else 'not what was recorded'}.",
            untouched="everything.",
            advice="Restore the store from a copy, or roll back to another point.",
            file=f"{directory.path}/{name}",
        )
    return content
