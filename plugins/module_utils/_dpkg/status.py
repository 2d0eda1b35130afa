"""dpkg's own record of what is installed: read with what a killed run left, and rewritten under dpkg's locks.

dpkg has no command that gives a package the checksums of its pristine configuration, an older
state or a list of files; so what was captured is written back as dpkg writes it itself.
"""

from __future__ import annotations

import os
import re
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import lock
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    ADMIN,
    EXTENDED,
    NOT_INSTALLED,
    Package,
    fields,
    load,
    package_of,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.atomic import replace

_STATUS, _UPDATES = f"{ADMIN}/status", f"{ADMIN}/updates"
# In the order dpkg takes them; apt takes the last one for a whole run.
_LOCKS = (f"{ADMIN}/lock-frontend", f"{ADMIN}/lock")
_DOWNLOADS = "/var/cache/apt/archives/lock"


def parse(text: str) -> dict[str, Package]:
    """The packages of a text in the format of C(status), by key; those that are not installed too."""
    found = {}
    for block in re.split(r"\n\n+", text.strip("\n")):
        one = package_of(block)
        if one is not None:
            # Of a package that is only half there, the version may be told of its configuration alone.
            one = one._replace(version=one.version or one.fields().get("config-version", ""))
            found[one.key] = one
    return found


def journal() -> list[str]:
    """What a run that was killed has not merged yet, in its order."""
    try:
        return sorted(name for name in os.listdir(_UPDATES) if name.isdigit())
    except FileNotFoundError:
        return []


def read() -> dict[str, Package]:
    """Everything dpkg knows, by key, as its next run would see it."""
    found = parse(load(_STATUS))
    for name in journal():
        for one in parse(load(f"{_UPDATES}/{name}")).values():
            # One instance of a package, unless it says otherwise; its architecture may change.
            for other in [each for each in found.values() if each.name == one.name and not each.shared]:
                del found[other.key]
            found[one.key] = one
    return found


def brief(one: Package | None) -> str:
    """Version, and the state when it is not the usual one, for people."""
    if one is None or one.state == NOT_INSTALLED:
        return "absent"
    return f"{one.version or 'no version'}{'' if one.installed else f' ({one.letters}, {one.state})'}"


class Locked:
    """dpkg's and apt's locks, as a context manager.

    :param timeout: seconds to wait for whoever holds them.
    :param downloads: also the one that apt takes to download.
    :raises Busy: they were not had in time.
    """

    def __init__(self, timeout: float, downloads: bool = False) -> None:
        self._paths = [*_LOCKS, *([_DOWNLOADS] if downloads and os.path.exists(_DOWNLOADS) else [])]
        self._timeout = timeout
        self._held: list[int] = []

    def __enter__(self) -> Locked:
        deadline = time.monotonic() + self._timeout
        try:
            for path in self._paths:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
                self._held.append(fd)
                holder = lock.wait(fd, max(deadline - time.monotonic(), 0))
                if holder is not None:
                    raise Busy(
                        f"{path} has been locked for {self._timeout:g} s by another run of apt or dpkg"
                        f"{f', process {holder}' if holder else ''}.",
                        untouched="all packages.",
                        advice="Wait for that run to end, then roll back again. A dead process holds no lock.",
                    )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        # Closing any descriptor of a file gives its record locks up, so each is opened once.
        while self._held:
            os.close(self._held.pop())


def write(path: str, text: str) -> None:
    """Write a file of dpkg's so that it is either the old or the new one, on disk when this returns."""
    replace(path, f"{path}-new", os.fsencode(text), 0o644)


def rewrite(wanted: t.Mapping[str, Package | None]) -> bool:
    """Give packages the record that was captured; for the caller that holds the locks.

    :param wanted: key → what dpkg shall know of it; None for nothing at all.
    :returns: whether anything was written.
    """
    old = parse(load(_STATUS))
    names = {one.name for one in wanted.values() if one is not None and not one.shared}
    left = {key: one for key, one in wanted.items() if one is not None}
    new: list[Package] = []
    for one in old.values():
        if one.key in left:
            new.append(left.pop(one.key))
        elif one.key not in wanted and one.name not in names:
            new.append(one)
    new += left.values()
    if new == list(old.values()):
        return False
    write(_STATUS, "\n".join(one.stanza for one in new) + "\n")
    return True


def mark(wanted: t.Mapping[tuple[str, str], bool]) -> bool:
    """Tell apt whether packages, (name, architecture), were installed only because others need them.

    :returns: whether anything was written.
    """
    text = load(EXTENDED)
    left, blocks = dict(wanted), []
    for block in re.split(r"\n\n+", text.strip("\n")):
        values = fields(block)
        which = (values.get("package", ""), values.get("architecture", ""))
        if which not in left:
            blocks += [block] if block else []
        elif left.pop(which):
            blocks.append(block if values.get("auto-installed") == "1" else _marked(*which))
    blocks += [_marked(*which) for which, auto in left.items() if auto]
    new = "".join(f"{block}\n\n" for block in blocks)
    if new == text:
        return False
    write(EXTENDED, new)
    return True


def _marked(name: str, arch: str) -> str:
    return f"Package: {name}\nArchitecture: {arch}\nAuto-Installed: 1"
