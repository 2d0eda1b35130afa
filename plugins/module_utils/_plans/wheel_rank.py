"""Which wheels run on the hosts of a group, and how well; asked on the controller."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._plans.host_group import LIBC

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._plans.host_group import HostGroup

# What names of wheels said before they named the version of glibc.
_OLD_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


class WheelRank(t.NamedTuple):
    """How well a wheel suits; the greatest is best.

    :ivar platform: 0 for any, 2 for the C library's, 3 for the machine's own; then the version of the C library.
    :ivar python: 0 for any Python 3, 1 to 3 the closer it is; then the minor version.
    :ivar build: number and rest of its build tag.
    """

    platform: tuple[int, int, int]
    python: tuple[int, int]
    build: tuple[int, str]


def rank(filename: str, group: HostGroup) -> WheelRank | None:
    """How well a wheel suits the hosts of a group; None: it does not run there.

    :param filename: as wheels are named (PEP 427).
    """
    if not filename.endswith(".whl"):
        return None
    parts = filename[: -len(".whl")].split("-")
    if len(parts) not in (5, 6):
        return None
    build = re.match(r"(\d*)(.*)", parts[2] if len(parts) == 6 else "")
    platforms = [
        rank_of_platform
        for rank_of_platform in (_platform(tag, group) for tag in parts[-1].split("."))
        if rank_of_platform
    ]
    pythons = [
        rank_of_python
        for tag in parts[-3].split(".")
        for abi in parts[-2].split(".")
        if (rank_of_python := _python(tag, abi, group))
    ]
    if not platforms or not pythons or not build:
        return None
    return WheelRank(max(platforms), max(pythons), build=(int(build[1] or -1), build[2]))


def _platform(tag: str, group: HostGroup) -> tuple[int, int, int] | None:
    if tag == "any":
        return (0, 0, 0)
    if group.system != "linux":
        return None
    if tag == f"linux_{group.machine}":
        return (3, 0, 0)
    family, dummy, architecture = tag.partition("_")
    libc = LIBC.match(group.libc)
    if not libc:
        return None
    version = (int(libc[2]), int(libc[3]))
    if family in _OLD_MANYLINUX and architecture == group.machine:
        needed, kind = _OLD_MANYLINUX[family], "glibc"
    else:
        match = re.match(r"^(many|musl)linux_(\d+)_(\d+)_(.+)$", tag)
        if not match or match[4] != group.machine:
            return None
        needed, kind = (int(match[2]), int(match[3])), "glibc" if match[1] == "many" else "musl"
    return (2, *needed) if kind == libc[1] and needed[0] == version[0] and needed <= version else None


def _python(tag: str, abi: str, group: HostGroup) -> tuple[int, int] | None:
    name, major, minor, free = group.of_python()
    match = re.match(r"^([a-z]+)(\d)(\d*)$", tag)
    if not match or int(match[2]) != major:
        return None
    of = int(match[3]) if match[3] else None
    if match[1] == "py":
        fits = abi == "none" and (of is None or of <= minor)
        return (0, of or 0) if fits else None
    if match[1] != name:
        return None
    if abi == "abi3" and name == "cp" and not free:
        return (2, of) if of is not None and of <= minor else None
    if of is not None and of != minor:
        return None
    if abi == "none":
        return (1, minor)
    own = abi == f"cp{major}{minor}{free}" if name == "cp" else abi.startswith(group.python)
    return (3, minor) if own and of == minor else None
