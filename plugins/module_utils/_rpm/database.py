"""What rpm has installed, read through rpm's own Python module."""

from __future__ import annotations

import importlib
import os
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError

GHOST, CONFIG = 1 << 6, 1 << 0
NORMAL = 0
#: What rpm leaves beside configuration files.
LEFTOVERS = (".rpmnew", ".rpmsave", ".rpmorig")
_DNF_CONF = "/etc/dnf/dnf.conf"
# dnf's own default, for hosts without it.
_INSTALLONLY = (
    "kernel",
    "kernel-PAE",
    "installonlypkg(kernel)",
    "installonlypkg(kernel-module)",
    "installonlypkg(vm)",
    "multiversion(kernel)",
)


def rpm_module() -> t.Any:
    """rpm's Python module; it has no type hints.

    :raises CaptureError: this interpreter has none.
    """
    try:
        return importlib.import_module("rpm")
    except ImportError as error:
        raise CaptureError(
            f"{sys.executable} has no Python module rpm ({error}), so rpm packages can neither be captured nor undone.",
            untouched="everything.",
            advice="Install python3-rpm, and use the system's own Python as ansible_python_interpreter.",
        ) from error


def dnf_module() -> t.Any:
    """dnf 4's Python module; None when this interpreter has none."""
    try:
        return importlib.import_module("dnf")
    except ImportError:
        return None


class Package(t.NamedTuple):
    """An installed package.

    :ivar key: C(name.arch), or C(name-version-release.arch) of what may be installed in several versions.
    :ivar offset: its place in rpm's database, as C(addErase) takes it.
    :ivar time: when it was installed, seconds since the epoch.
    :ivar tid: of the transaction that installed it.
    """

    key: str
    name: str
    arch: str
    evr: str
    nevra: str
    offset: int
    time: int
    tid: int
    installonly: bool


class File(t.NamedTuple):
    """A path of a package, as its header has it.

    :ivar mode: with the file's type.
    :ivar digest: of the pristine content, in hex, by the header's own algorithm.
    :ivar state: 0 is normal.
    """

    path: str
    flags: int
    state: int
    mode: int
    user: str
    group: str
    size: int
    mtime: int
    digest: str
    link: str
    inode: int

    @property
    def ghost(self) -> bool:
        """It belongs to the package, which does not hold it."""
        return bool(self.flags & GHOST)

    @property
    def config(self) -> bool:
        """It is configuration."""
        return bool(self.flags & CONFIG)


def unsigned(rpm: t.Any) -> int:
    """The flag with which packages need no signature; what is repackaged has none."""
    return int(vars(rpm)["_RPMVSF_NOSIGNATURES"])


def transaction_set() -> t.Any:
    """A transaction set that reads the database; signatures of what is installed are not checked again."""
    rpm = rpm_module()
    ts = rpm.TransactionSet()
    ts.setVSFlags(unsigned(rpm) | int(vars(rpm)["_RPMVSF_NODIGESTS"]))
    return ts


def dbpath() -> str:
    """Where rpm's database is."""
    return os.path.normpath(str(rpm_module().expandMacro("%{_dbpath}")))


def cookie(ts: t.Any) -> str:
    """Changes with each change of the database."""
    ts.openDB()
    return str(ts.dbCookie() or "")


def evr_of(header: t.Any) -> str:
    """C([epoch:]version-release) of a header; an epoch of 0 is none."""
    epoch = header["EPOCH"]
    return (f"{epoch}:" if epoch else "") + f"{header['VERSION']}-{header['RELEASE']}"


def arch_of(header: t.Any) -> str:
    """The architecture of a header; keys have none."""
    return str(header["ARCH"] or "(none)")


def installonly_names() -> frozenset[str]:
    """What packages that may be installed in several versions provide."""
    names = list(_INSTALLONLY)
    try:
        with open(_DNF_CONF, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        option, dummy, value = line.partition("=")
        if option.strip() == "installonlypkgs":
            names += value.replace(",", " ").split()
    return frozenset(names)


def is_installonly(header: t.Any, names: t.AbstractSet[str]) -> bool:
    """Whether a package may be installed in several versions at once."""
    return header["NAME"] == "gpg-pubkey" or not names.isdisjoint(header["PROVIDENAME"])


def key_of(header: t.Any, names: t.AbstractSet[str]) -> str:
    """The key of the package with a header."""
    if is_installonly(header, names):
        return f"{header['NAME']}-{header['VERSION']}-{header['RELEASE']}.{arch_of(header)}"
    return f"{header['NAME']}.{arch_of(header)}"


def package_of(header: t.Any, names: t.AbstractSet[str]) -> Package:
    """The facts of an installed header."""
    return Package(
        key_of(header, names),
        header["NAME"],
        arch_of(header),
        evr_of(header),
        header["NEVRA"],
        int(header["DBINSTANCE"]),
        int(header["INSTALLTIME"] or 0),
        int(header["INSTALLTID"] or 0),
        is_installonly(header, names),
    )


def installed(ts: t.Any) -> dict[str, list[Package]]:
    """All that is installed, by key; more than one below a key are duplicates, a failed change's traces."""
    names = installonly_names()
    found: dict[str, list[Package]] = {}
    for header in ts.dbMatch():
        package = package_of(header, names)
        found.setdefault(package.key, []).append(package)
    return found


def versions(packages: t.Sequence[Package]) -> str | list[str] | None:
    """The version of what is below one key; several when it is there twice, None when it is not."""
    if len(packages) > 1:
        return sorted(one.evr for one in packages)
    return packages[0].evr if packages else None


def named(ts: t.Any, name: str) -> list[Package]:
    """The installed packages of a name."""
    names = installonly_names()
    return [package_of(header, names) for header in ts.dbMatch("name", name)]


def header_at(ts: t.Any, offset: int) -> t.Any:
    """The header at a place in the database.

    :raises CaptureError: there is none any more.
    """
    for header in ts.dbMatch(rpm_module().RPMDBI_PACKAGES, offset):
        return header
    raise CaptureError("rpm's database was changed by somebody else in the meantime.", advice="Run again.")


def files_of(header: t.Any) -> list[File]:
    """The paths of a header, in its order."""
    paths = header["FILENAMES"] or []
    if not paths:
        return []
    empty = [0] * len(paths)
    return list(
        map(
            File,
            paths,
            header["FILEFLAGS"] or empty,
            header["FILESTATES"] or empty,
            (mode & 0xFFFF for mode in header["FILEMODES"]),
            header["FILEUSERNAME"],
            header["FILEGROUPNAME"],
            header["LONGFILESIZES"],
            header["FILEMTIMES"],
            header["FILEDIGESTS"] or [""] * len(paths),
            header["FILELINKTOS"] or [""] * len(paths),
            header["FILEINODES"] or empty,
        )
    )


def state_of(ts: t.Any, package: Package, path: str) -> int:
    """The state that rpm has a path of an installed package in; 0 is normal."""
    files = files_of(header_at(ts, package.offset))
    return next((file.state for file in files if file.path == path), NORMAL)


def owners(ts: t.Any, path: str) -> list[Package]:
    """The installed packages that own a path."""
    names = installonly_names()
    return [package_of(header, names) for header in ts.dbMatch("basenames", path)]
