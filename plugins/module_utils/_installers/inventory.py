"""What an environment has, in the words of an installation plan."""

from __future__ import annotations

import csv
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.versions import same_version
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._installers.marker import applies
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin, split, url_path
from ansible_collections.intellistream.sage.plugins.module_utils._venv import content, damage, distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter


# The hash of nothing, as RECORD spells it.
_EMPTY = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"


class Installed(t.NamedTuple):
    """One registered distribution.

    :param name: normalised.
    :param version: as its metadata directory spells it.
    :param info: absolute path of that directory.
    :param twice: registered more than once, as an interrupted upgrade leaves it.
    :param source: the directory it was built from; None for a file from an index.
    :param editable: installed as a reference to I(source) rather than a copy.
    :param damaged: what P(compared) found to differ from RECORD; empty where that was not asked.
    :param unread: what it could not read.
    :param published: absolute paths that are as an installation from the archive leaves them, whatever RECORD says.
    """

    name: str
    version: str
    info: str
    twice: bool = False
    source: str | None = None
    editable: bool = False
    damaged: tuple[damage.FileDifference, ...] = ()
    unread: tuple[damage.FileDifference, ...] = ()
    published: t.Collection[str] = ()

    @property
    def what_differs(self) -> str:
        """What differs, for people; empty when nothing does."""
        return damage.sentence(f"{self.name} {self.version}", self.damaged) if self.damaged else ""

    @property
    def what_is_unread(self) -> str:
        """What could not be read, for people; empty when all could."""
        return damage.sentence(f"{self.name} {self.version}", self.unread) if self.unread else ""


Inventory = dict[str, Installed]
Vouched = content.Vouched
Published = content.Published


def read(venv: str) -> Inventory:
    """All distributions registered in the environment at I(venv), by normalised name; empty when it is absent."""
    inventory: Inventory = {}
    tree = Tree.open(venv)
    if tree is None:
        return inventory
    with tree:
        grouped = distributions.by_name(distributions.importable(tree))
    for name, registered in grouped.items():
        info = os.path.join(venv, registered[0].info)
        source, editable = _origin(info)
        twice = len(registered) > 1
        inventory[name] = Installed(
            name, registered[0].version, info=info, twice=twice, source=source, editable=editable
        )
    return inventory


def compared(
    venv: str,
    inventory: Inventory,
    names: t.Iterable[str],
    vouched: Vouched | None = None,
    published: Published | None = None,
) -> Inventory:
    """The same inventory, with what differs from RECORD. Every file of these distributions is read.

    What cannot be read is not taken for damaged: to install through what bars it would make it worse.

    :param names: normalised; those that are not installed are passed over.
    :param vouched: as for P(_venv.content.differences).
    :param published: likewise.
    """
    chosen = [inventory[name] for name in dict.fromkeys(names) if name in inventory and not inventory[name].twice]
    tree = Tree.open(venv) if chosen else None
    if tree is None:
        return inventory
    with tree:
        registered = [
            distributions.Distribution(one.name, one.version, os.path.relpath(one.info, venv)) for one in chosen
        ]
        different = content.differences(tree, registered, vouched, published)
    as_published = {os.path.normpath(os.path.join(venv, path)) for path in published or ()}
    found = {}
    for one, files in zip(chosen, different):
        damaged = tuple(each for each in files if each.text in damage.DAMAGE)
        unread = tuple(each for each in files if each.text not in damage.DAMAGE)
        found[one.name] = one._replace(damaged=damaged, unread=unread, published=as_published)
    return {**inventory, **found}


def _origin(info: str) -> tuple[str | None, bool]:
    try:
        with open(os.path.join(info, "direct_url.json"), encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return None, False
    import json

    try:
        facts = json.loads(text)
        directory = facts.get("dir_info")
        if directory is None:
            return None, False
        return url_path(facts["url"]), bool(directory.get("editable"))
    except (ValueError, AttributeError, KeyError, TypeError):
        return None, False


def accept(venv: str, installed: Installed) -> dict[str, str]:
    """Take what differs from RECORD for right: as P(Published) has it, or nothing where that cannot be told."""
    tree = Tree.open(venv)
    if tree is None:
        return {}
    with tree:
        try:
            digests = {different.path: content.content(tree, different.path) for different in installed.damaged}
            for path in filter(digests.get, digests):
                # Its ctime is newer than RECORD then, so that a capture reads it.
                directory, name = tree.parent(path)
                info = os.lstat(name, dir_fd=directory)
                os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=directory, follow_symlinks=False)
            return digests
        except (SageError, OSError):
            return {}


def is_whole(installed: Installed) -> bool:
    """Whether it is registered once, and every file its RECORD lists is there and has not lost its content.

    Content that P(compared) found to differ counts as well.

    An installer that was killed, or could not write, may leave a distribution registered without its files, and a power
    cut may leave files empty. Byte code comes and goes by itself and does not count.
    """
    if installed.twice or installed.damaged:
        return False
    site = os.path.dirname(installed.info)
    rows = _listed(installed)
    return bool(rows) and all(
        _has_content(path, row) or os.path.normpath(path) in installed.published
        for row in rows
        for path in (os.path.join(site, row[0]),)
    )


def has_record(installed: Installed) -> bool:
    """Whether its RECORD lists anything. Without one no tool can take it away."""
    return bool(_listed(installed))


def count_files(installed: Installed) -> int:
    """How many files P(is_whole) looks at."""
    return len(_listed(installed))


def _listed(installed: Installed) -> list[list[str]]:
    """The rows of its RECORD, without byte code; none when that cannot be read."""
    try:
        with open(
            os.path.join(installed.info, "RECORD"), encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            return [row for row in csv.reader(file) if row and "__pycache__/" not in row[0]]
    except (OSError, csv.Error):
        return []


def _has_content(path: str, row: t.Sequence[str]) -> bool:
    """Whether a file is there, and not empty unless RECORD's hash says that it is to be."""
    try:
        size = os.lstat(path).st_size
    except OSError:
        return False
    return size > 0 or len(row) < 3 or row[2] in ("", "0") or row[1] == _EMPTY


def is_exact(pin: Pin, installed: Installed | None) -> bool:
    """Whether nothing has to be done for I(pin).

    A source directory that is not editable is never exact: its content may have changed under the same version.
    """
    return installed is not None and is_same(pin, installed) and is_whole(installed)


def is_same(pin: Pin, installed: Installed | None) -> bool:
    """Whether it is what I(pin) names, whole or not."""
    if installed is None or (pin.path is None) != (installed.source is None):
        return False
    if pin.path is not None:
        if (
            not pin.editable
            or not installed.editable
            or os.path.realpath(pin.path) != os.path.realpath(installed.source or "")
        ):
            return False
    return pin.version is None or same_version(pin.version, installed.version)


def requires(installed: Installed) -> tuple[str, ...]:
    """The C(Requires-Dist) lines of a registered distribution."""
    lines = []
    try:
        with open(os.path.join(installed.info, "METADATA"), encoding="utf-8", errors="replace") as file:
            for line in file:
                if line == "\n":
                    break  # the description follows
                if line.startswith("Requires-Dist:"):
                    lines.append(line.partition(":")[2].strip())
    except OSError:
        pass
    return tuple(lines)


def closure(
    roots: t.Iterable[str],
    inventory: Inventory,
    python: Interpreter,
    changing: t.Mapping[str, Pin],
) -> list[str]:
    """Names of everything that I(roots) need, as far as metadata tells.

    :param roots: requirements, extras included.
    :param python: whose markers decide on conditional requirements.
    :param changing: what is about to be installed, by name; their requirements count instead of the present ones.
    :returns: normalised names, those that are installed or about to be.
    """
    extras_by_name: dict[str, set[str]] = {}
    waiting = [split(root)[:2] for root in roots]
    while waiting:
        name, extras = waiting.pop()
        new = set(extras) - extras_by_name[name] if name in extras_by_name else {""} | set(extras)
        if not new:
            continue
        extras_by_name.setdefault(name, set()).update(new)
        installed = inventory.get(name)
        # Only pip tells what the new version needs; else what the old one needs is the best guess.
        lines = changing[name].requires if name in changing else ()
        lines = lines or (requires(installed) if installed else ())
        for line in lines:
            requirement, dummy, marker = line.partition(";")
            try:
                # An extra's own requirements, or (with "" among the new ones) those without a condition.
                if applies(marker, python.markers, frozenset(extras_by_name[name])):
                    waiting.append(split(requirement)[:2])
            except ValueError:
                continue
    return [name for name in extras_by_name if name in inventory or name in changing]
