"""A package as it is on disk now, as a package file, and what such a file cannot hold."""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import OBSOLETE
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.deb_file import (
    DIRECTORY,
    FILE,
    HARD,
    LINK,
    BadArchive,
    Deb,
    DebWriter,
    Entry,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.disk import Disk, kind

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database, Package

# What dpkg records in a stanza besides what the package itself says.
_RECORDED = re.compile(r"^(?:Status|Conffiles|Config-Version|Triggers-\w+):.*\n(?:[ \t].*\n)*", re.MULTILINE)
_MD5 = "0" * 32
_REMOVES = "remove-on-upgrade "


class Found(t.NamedTuple):
    """Something that will be packed.

    :ivar real: where it is, which may be another path than the package's own.
    """

    entry: Entry
    real: str
    info: os.stat_result


class Image:
    """What is on disk of a package.

    :ivar found: what will be packed, in the order of the package's list.
    :ivar missing: what of the list is not there.
    :ivar conffiles: those that will be packed.
    :ivar xattrs: path → extended attributes.
    :ivar times: path → mtime in ns, where seconds are not enough.
    :ivar size: bytes of all contents.
    :raises CaptureError: something cannot be packed; named, with the reason.
    """

    def __init__(self, database: Database, package: Package, disk: Disk) -> None:
        self.package = package
        self.found: list[Found] = []
        self.missing: list[str] = []
        self.xattrs: dict[str, dict[str, str]] = {}
        self.times: dict[str, int] = {}
        self._disk = disk
        self.info = database.info(package)
        if "list" not in self.info:
            # dpkg takes such a package for an empty one.
            raise CaptureError(
                f"{package.key} cannot be captured: dpkg's list of its files is missing.",
                untouched="everything.",
                advice=f"Reinstall it (apt-get install --reinstall {package.name}), then run again.",
                package=package.key,
            )
        self._paths = database.paths(package)
        self._above = {os.path.dirname(path) for path in self._paths}
        self._first: dict[tuple[int, int], str] = {}
        self._recorded = package.conffiles()
        self._shared = database.shared(package, [path for path in self._recorded if self._obsolete(path)])
        diverted = database.diverted(package)
        for path in self._paths:
            self._look(path, diverted.get(path, path))
        packed = {one.entry.path for one in self.found if one.entry.kind == FILE}
        self.conffiles = [path for path in self._recorded if path in packed]
        self.size = sum(one.entry.size for one in self.found)

    def _obsolete(self, path: str) -> bool:
        return OBSOLETE in self._recorded[path].flags.split()

    def _look(self, path: str, real: str) -> None:
        conffile = path in self._recorded
        if path in self._shared:
            # Another package has it now, and would not let this one have it again.
            return
        info = self._disk.lstat(real)
        if conffile and info is not None and stat.S_ISLNK(info.st_mode):
            # dpkg looks through links to configuration files, and leaves them in place.
            real, info = self._disk.target(real, info) or (real, info)
        if info is None:
            self.missing.append(path)
            return
        if conffile and not stat.S_ISREG(info.st_mode):
            # No package can have it as a configuration file: it is kept beside.
            return
        alias = path in self._above or os.path.dirname(path) == "/"
        if stat.S_ISLNK(info.st_mode) and alias and os.path.isdir(real):
            # A directory to the package, whatever the system has there: dpkg leaves it as it is.
            info = os.stat(real)
        entry = self._entry(path, real, info, conffile)
        self.found.append(Found(entry, real, info))
        if entry.kind != LINK:
            xattrs = self._disk.xattrs(real)
            if xattrs:
                self.xattrs[path] = xattrs
        if entry.kind in (FILE, LINK) and info.st_mtime_ns != entry.mtime * 10**9:
            self.times[path] = info.st_mtime_ns

    def _entry(self, path: str, real: str, info: os.stat_result, conffile: bool) -> Entry:
        rest = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, max(0, int(info.st_mtime)))
        if stat.S_ISDIR(info.st_mode):
            return Entry(path, DIRECTORY, "", 0, *rest)
        if stat.S_ISLNK(info.st_mode):
            return Entry(path, LINK, self._disk.readlink(real), 0, *rest)
        if not stat.S_ISREG(info.st_mode):
            raise _impossible(self.package, path, f"it is {kind(info)}")
        if info.st_nlink > 1 and not conffile:
            first = self._first.setdefault((info.st_dev, info.st_ino), path)
            if first != path:
                return Entry(path, HARD, first, 0, *rest)
        return Entry(path, FILE, "", info.st_size, *rest)

    def control(self, sums: t.Mapping[str, str]) -> dict[str, tuple[int, bytes]]:
        """What belongs into the control archive.

        :param sums: path → MD5 of what was packed; what is not there is left open, in the same size.
        """
        found = {"control": (0o644, os.fsencode(_RECORDED.sub("", self.package.stanza)))}
        for name, path in self.info.items():
            if name not in ("control", "list", "md5sums", "conffiles"):
                with open(path, "rb") as stream:
                    found[name] = (stat.S_IMODE(os.fstat(stream.fileno()).st_mode), stream.read())
        conffiles = "".join(f"{line}\n" for line in self._conffile_lines())
        if conffiles:
            found["conffiles"] = (0o644, os.fsencode(conffiles))
        if "md5sums" in self.info:
            found["md5sums"] = (0o644, os.fsencode("".join(self._sum_lines(sums))))
        return found

    def _conffile_lines(self) -> t.Iterator[str]:
        packed = set(self.conffiles)
        for line in self._listed("conffiles"):
            if line in packed or line.startswith(_REMOVES):
                packed.discard(line)
                yield line
        yield from (path for path in self.conffiles if path in packed)

    def _sum_lines(self, sums: t.Mapping[str, str]) -> t.Iterator[str]:
        """In the order the package had them, so that they are the same if nothing was changed."""
        files = {one.entry.path[1:] for one in self.found if one.entry.kind in (FILE, HARD)}
        own = files - {path[1:] for path in self.conffiles}
        listed = [line[34:] for line in self._listed("md5sums")]
        for path in [*listed, *sorted(own.difference(listed))]:
            if path in files:
                yield f"{sums.get(path, _MD5)}  {path}\n"

    def _listed(self, name: str) -> list[str]:
        if name not in self.info:
            return []
        with open(self.info[name], "rb") as stream:
            return [line for line in os.fsdecode(stream.read()).split("\n") if line]

    def differing(self, control: t.Mapping[str, tuple[int, bytes]]) -> list[str]:
        """The files dpkg has on the package that it would write differently from what is packed."""
        found = []
        for name, path in self.info.items():
            with open(path, "rb") as stream:
                now = stream.read()
            made = control[name][1] if name in control else b""
            if name == "list":
                # dpkg unpacks links last, whatever their place in the archive.
                ordered = sorted(self.found, key=lambda one: one.entry.kind == LINK)
                made = b"".join(os.fsencode(one.entry.path) + b"\n" for one in ordered)
            if made != now:
                found.append(path)
        return found


class Packed(t.NamedTuple):
    """A finished package file.

    :ivar differing: as M(Image.differing).
    """

    sha256: str
    size: int
    differing: list[str]


def pack(image: Image, disk: Disk, fd: int) -> Packed:
    """Write the package file, read it completely and compare; not yet synced.

    :param fd: an empty file, open for reading and writing.
    :raises CaptureError: a file changed meanwhile, or what was read is not what was written.
    """
    entries: list[Entry] = []
    sums: dict[str, str] = {}
    with DebWriter(fd, image.control({})) as deb:
        for entry, real, info in image.found:
            try:
                done = deb.add(entry, disk.content(real, info) if entry.kind == FILE else ())
            except BadArchive as error:
                raise _impossible(image.package, entry.path, "it was changed while it was read") from error
            entries.append(done)
            sums[entry.path[1:]] = sums[done.value[1:]] if done.kind == HARD else done.value
        control = image.control(sums)
        deb.finish(control)
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        read = Deb(fd)
        if read.control != {name: content for name, (dummy, content) in control.items()}:
            raise BadArchive("its control archive is not what was written")
        missing = iter(entries)
        for entry in read.entries():
            if entry != next(missing, None):
                raise BadArchive(f"{entry.path} in it is not what was written")
        if next(missing, None) is not None:
            raise BadArchive("it ends too early")
    except BadArchive as error:
        raise CaptureError(
            f"The package file that was written of {image.package.key} is damaged: {error}.",
            untouched="everything.",
            advice="Check the disk that the captured content is on, and its memory.",
            package=image.package.key,
        ) from error
    return Packed(read.sha256, read.size, image.differing(control))


def _impossible(package: Package, path: str, why: str) -> CaptureError:
    return CaptureError(
        f"{package.key} cannot be captured: {path} cannot be packed, {why}.",
        untouched="everything.",
        advice="Put what belongs there back, for instance by reinstalling the package.",
        path=path,
        package=package.key,
    )
