"""What dpkg and apt have on record about the packages of this host; read, never written.

The files are read directly: starting C(dpkg-query) for each question would cost more than all the
answers. Their formats are those of deb(5), deb-conffiles and dpkg's own C(/var/lib/dpkg), unchanged
in all releases of dpkg this is for.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import typing as t

ADMIN = "/var/lib/dpkg"
EXTENDED = "/var/lib/apt/extended_states"
INSTALLED, CONFIG_FILES, NOT_INSTALLED = "installed", "config-files", "not-installed"
ALL = "all"
OBSOLETE = "obsolete"
# What dpkg, ucf and editors put beside a configuration file; dpkg removes most of it when it purges.
LEFTOVERS: tuple[str, ...] = (
    *(".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-tmp", ".dpkg-bak", ".dpkg-remove", ".dpkg-backup"),
    *(".ucf-new", ".ucf-old", ".ucf-dist", "~", ".bak", "%"),
)

_FIELD = re.compile(r"^([^\s:]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", re.MULTILINE)
_CONFFILE = re.compile(r"^ (/.*?) (\S+)((?: (?:obsolete|remove-on-upgrade))*)$")
_WANTS = {"unknown": "u", "install": "i", "hold": "h", "deinstall": "r", "purge": "p"}
_STATES = {
    NOT_INSTALLED: "n",
    CONFIG_FILES: "c",
    "half-installed": "H",
    "unpacked": "U",
    "half-configured": "F",
    "triggers-awaited": "W",
    "triggers-pending": "t",
    INSTALLED: "i",
}


class Conffile(t.NamedTuple):
    """A configuration file as dpkg has recorded it.

    :ivar md5: of what the package brought; V(newconffile) while it is only unpacked.
    :ivar flags: V(obsolete), V(remove-on-upgrade), both or none, as they are recorded.
    """

    md5: str
    flags: str = ""


class Package(t.NamedTuple):
    """A package that dpkg knows.

    :ivar want: V(install), V(hold), V(deinstall), V(purge) or V(unknown).
    :ivar error: V(ok) or V(reinstreq).
    :ivar state: V(installed), V(config-files), V(half-configured) and so on.
    :ivar stanza: what is recorded, as text with its final newline.
    """

    name: str
    arch: str
    version: str
    want: str
    error: str
    state: str
    stanza: str

    @property
    def key(self) -> str:
        """C(name:arch), unique on a host; C(all) is an architecture like others."""
        return f"{self.name}:{self.arch}"

    @property
    def letters(self) -> str:
        """What C(dpkg -l) prints in front: V(ii), V(hi), V(rc), V(iF)…"""
        error = "R" if self.error != "ok" else ""
        return _WANTS.get(self.want, "?") + _STATES.get(self.state, "?") + error

    @property
    def installed(self) -> bool:
        """It is there, completely and configured."""
        return self.state == INSTALLED and self.error == "ok"

    @property
    def shared(self) -> bool:
        """There may be one instance of it for each architecture."""
        return self.fields().get("multi-arch") == "same"

    def fields(self) -> dict[str, str]:
        """Name in lower case → value, continuation lines with their first blank."""
        return fields(self.stanza)

    def conffiles(self) -> dict[str, Conffile]:
        """Path → what is recorded of each configuration file, obsolete ones too."""
        found = {}
        for line in self.fields().get("conffiles", "").split("\n"):
            match = _CONFFILE.match(line)
            if match:
                found[match.group(1)] = Conffile(match.group(2), match.group(3).strip())
        return found


class Diversion(t.NamedTuple):
    """A diversion; C(by) is the package whose own files are not diverted, empty for a local one."""

    path: str
    to: str
    by: str


def fields(stanza: str) -> dict[str, str]:
    """The fields of one stanza in deb822 format, names in lower case."""
    return {match.group(1).lower(): match.group(2) for match in _FIELD.finditer(stanza)}


def fingerprint(path: str) -> str:
    """What is at a path, short enough to record: MD5 of a file, C(link <target>), C(dir), C(other); empty: nothing."""
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return f"link {os.readlink(path)}"
        if not stat.S_ISREG(info.st_mode):
            return "dir" if stat.S_ISDIR(info.st_mode) else "other"
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    with os.fdopen(fd, "rb") as stream:
        return md5(stream.read())


def md5(data: bytes) -> str:
    """MD5 in hex, as dpkg records it; also where it is forbidden for other purposes."""
    return hashlib.new("md5", data, usedforsecurity=False).hexdigest()


class Database:
    """A view of dpkg's records, read once.

    :param admin: dpkg's directory.
    :param extended: where apt keeps what was installed automatically.
    :ivar packages: key → package, in the order of the record; those that are not installed at all left out.
    :ivar native: this host's architecture.
    """

    def __init__(self, admin: str = ADMIN, extended: str = EXTENDED) -> None:
        self.admin = admin
        self._extended = extended
        self.packages: dict[str, Package] = {}
        self._names: dict[str, list[Package]] = {}
        for stanza in re.split(r"\n\n+", load(os.path.join(admin, "status")).strip("\n")):
            package = package_of(stanza)
            if package is not None and package.state != NOT_INSTALLED:
                self.packages[package.key] = package
                self._names.setdefault(package.name, []).append(package)
        own = [package.arch for package in self.named("dpkg") if package.arch != ALL]
        self.native = load(os.path.join(admin, "arch-native")).strip() or (own[0] if own else ALL)
        self._info: dict[str, list[str]] | None = None
        self._diversions: list[Diversion] | None = None

    def named(self, name: str) -> list[Package]:
        """All instances of a name, one per architecture."""
        return self._names.get(name, [])

    def get(self, name: str, arch: str = "") -> Package | None:
        """The instance that a version for C(arch) would take the place of; by default the native one's.

        C(all) and the native architecture take each other's place.
        """
        wanted = (self.native, ALL) if arch in ("", ALL, self.native) else (arch,)
        for package in self.named(name):
            if package.arch in wanted:
                return package
        return None

    def info(self, package: Package) -> dict[str, str]:
        """Suffix (V(list), V(postinst)…) → full path of each file dpkg has on a package."""
        if self._info is None:
            self._info = {}
            for name in os.listdir(os.path.join(self.admin, "info")):
                # Suffixes have no dot, names may: libfoo1.2 is not a file of libfoo1.
                base, dummy, suffix = name.rpartition(".")
                self._info.setdefault(base, []).append(suffix)
        for base in (package.key, package.name) if package.shared else (package.name, package.key):
            suffixes = self._info.get(base, [])
            if "list" in suffixes:
                return {suffix: os.path.join(self.admin, "info", f"{base}.{suffix}") for suffix in sorted(suffixes)}
        return {}

    def paths(self, package: Package) -> list[str]:
        """The paths a package owns, in the order of its archive, by the names it gave them; C(/.) is the root."""
        listed = self.info(package).get("list")
        return [line for line in load(listed).split("\n") if line] if listed else []

    def shared(self, package: Package, paths: t.Collection[str]) -> set[str]:
        """Those of some paths of a package that other packages own, too."""
        found: set[str] = set()
        others = (one for one in self.packages.values() if one.name != package.name) if paths else ()
        for other in others:
            found.update(set(paths).intersection(self.paths(other)))
        return found

    def diversions(self) -> list[Diversion]:
        """All diversions."""
        if self._diversions is None:
            lines = load(os.path.join(self.admin, "diversions")).split("\n")
            self._diversions = [
                Diversion(lines[at], lines[at + 1], "" if lines[at + 2] == ":" else lines[at + 2])
                for at in range(0, len(lines) - 2, 3)
            ]
        return self._diversions

    def diverted(self, package: Package) -> dict[str, str]:
        """Path as a package names it → where the package's own file really is, for what others have diverted."""
        return {one.path: one.to for one in self.diversions() if one.by != package.name}

    def overrides(self) -> dict[str, str]:
        """Path → C(owner group mode) of each statoverride, ids as C(#0)."""
        found = {}
        for line in load(os.path.join(self.admin, "statoverride")).split("\n"):
            parts = line.split(" ", 3)
            if len(parts) == 4:
                found[parts[3]] = " ".join(parts[:3])
        return found

    def auto(self) -> set[str]:
        """The keys of the packages that apt installed only because others need them."""
        found = set()
        for stanza in load(self._extended).split("\n\n"):
            values = fields(stanza.strip("\n"))
            if values.get("auto-installed") == "1":
                package = self.get(values.get("package", ""), values.get("architecture", ""))
                if package is not None:
                    found.add(package.key)
        return found

    def pending(self) -> list[str]:
        """What a killed dpkg left in its journal."""
        try:
            return sorted(os.listdir(os.path.join(self.admin, "updates")))
        except FileNotFoundError:
            return []

    def unfinished(self) -> list[Package]:
        """The packages that are neither properly there nor properly away."""
        return [
            one for one in self.packages.values() if one.state not in (INSTALLED, CONFIG_FILES) or one.error != "ok"
        ]

    def known(self) -> dict[str, str]:
        """Key → C(version letters) of all that is there."""
        return {key: f"{one.version} {one.letters}" for key, one in self.packages.items()}


def package_of(stanza: str) -> Package | None:
    """The package that a stanza of dpkg's record is about; None when it is about none."""
    values = fields(stanza)
    status = values.get("status", "").split()
    if "package" not in values or len(status) != 3:
        return None
    want, error, state = status
    return Package(
        values["package"], values.get("architecture", ""), values.get("version", ""), want, error, state, f"{stanza}\n"
    )


def load(path: str) -> str:
    """A whole file, its bytes kept whatever they are; empty when there is none."""
    try:
        with open(path, "rb") as stream:
            return os.fsdecode(stream.read())
    except FileNotFoundError:
        return ""
