"""What a request would install, upgrade and remove: asked of apt's own resolver, never worked out from names.

apt only simulates here: it takes no lock, needs no network and changes no package.
"""

from __future__ import annotations

import fnmatch
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    InputError,
    InstallerError,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database, Package

EVERYTHING = "*"
STATES = ("present", "latest", "absent")
_NAME = re.compile(r"[a-z0-9*?\[][a-z0-9+.*?\[\]-]*(?::[a-z0-9-]+)?(?:[=/][A-Za-z0-9.+:~*-]+)?")
_LINE = re.compile(r"(Inst|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+) .*?\[([^\]]+)\]\))?")
# What apt says of a simulation and of what it does not change.
_CHATTER = re.compile(r"(?:Reading|Building|Calculating|Correcting|NOTE:|WARNING:|W:|Note,|Done)")
_QUIET = (
    # With it, apt would refuse what it is told to allow when it really runs.
    "APT::Get::Assume-Yes=false",
    # Simulated runs would be logged here.
    "Dir::Log::Planner=",
)
_TIMEOUT = 300


class PlannedChange(t.NamedTuple):
    """One package that changes.

    :ivar arch: of what is there now, else of what comes.
    :ivar before: the version that is there now; None for none.
    :ivar after: the version that will be there; None for none.
    """

    name: str
    arch: str
    before: str | None
    after: str | None

    @property
    def key(self) -> str:
        """As P(Package.key)."""
        return f"{self.name}:{self.arch}"


def check(packages: t.Sequence[str], state: str) -> None:
    """Check a request before anything is started.

    :raises InputError: a name that is none, or a state there is not.
    """
    if state not in STATES:
        raise InputError(f"Packages cannot be {state!r}.", advice=f"Use one of {', '.join(STATES)}.")
    if EVERYTHING in packages and (len(packages) > 1 or state != "latest"):
        raise InputError("All packages ('*') can only be asked for alone, with state latest.", untouched="everything.")
    for name in packages:
        local = name.startswith("/") and name.endswith(".deb") and "\0" not in name
        # apt would take a minus at the end for a wish to remove.
        if not local and name != EVERYTHING and (not _NAME.fullmatch(name) or name.endswith("-")):
            raise InputError(
                f"{name!r} is not the name of a package.",
                untouched="everything.",
                advice="Write name, name:arch, name=version or the full path of a .deb file.",
            )


def resolve(database: Database, packages: t.Sequence[str], state: str) -> list[PlannedChange]:
    """What will change, in the order apt would do it.

    :param packages: C(name), C(name:arch), C(name=version), the full path of a .deb file, or just C(*).
    :param state: V(present) leaves what is there; V(latest) upgrades it; V(absent) removes it.
    :raises CaptureError: apt cannot do what is wanted; the error has what it said.
    """
    check(packages, state)
    if list(packages) == [EVERYTHING]:
        return _simulate(database, ["dist-upgrade"])
    wanted = [name for name in packages if not _satisfied(database, name, state)]
    if not wanted:
        return []
    for path in wanted:
        if path.startswith("/") and not os.path.isfile(path):
            raise CaptureError(f"{path} is not there.", untouched="everything.", advice="Copy it to this host first.")
    return _simulate(database, ["remove" if state == "absent" else "install", "--", *wanted])


def given(database: Database, changes: t.Sequence[t.Mapping[str, t.Any]]) -> list[PlannedChange]:
    """Changes that somebody else has worked out, with what is really there now."""
    found = []
    for one in changes:
        name, arch, after = str(one["name"]), str(one.get("arch") or ""), one.get("after")
        found.append(_change(database, name, arch, None if after is None else str(after), arch))
    return found


def _satisfied(database: Database, name: str, state: str) -> bool:
    """Nothing has to change for this name; apt need not be asked, and might upgrade it if it were."""
    if name.startswith("/"):
        return False
    plain, dummy, version = name.partition("=")
    base, dummy, arch = plain.partition(":")
    package = database.get(base, arch)
    there = package is not None and package.installed
    if state == "absent":
        return not there and not (set(name) & set("*?["))
    if version:
        return there and package is not None and fnmatch.fnmatchcase(package.version, version)
    return state == "present" and (there or (not database.named(base) and _provided(database, base)))


def _provided(database: Database, name: str) -> bool:
    provides = re.compile(rf"(?:^|[\s,]){re.escape(name)}(?:$|[\s,(:])")
    return any(
        one.installed and "\nProvides:" in one.stanza and provides.search(one.fields().get("provides", ""))
        for one in database.packages.values()
    )


def _simulate(database: Database, request: t.Sequence[str]) -> list[PlannedChange]:
    options = [part for option in _QUIET for part in ("-o", option)]
    try:
        outcome = command.run(
            ["apt-get", "--simulate", "--quiet", *options, *request],
            env={"LC_ALL": "C", "LANGUAGE": "", "DEBIAN_FRONTEND": "noninteractive"},
            timeout=_TIMEOUT,
        )
    except InstallerError as error:
        raise CaptureError(error.what, untouched="everything.", advice=error.advice) from error
    if outcome.rc != 0:
        raise _refused(outcome)
    return parse(database, outcome.stdout)


def parse(database: Database, said: str) -> list[PlannedChange]:
    """The changes in what apt printed."""
    found: dict[str, PlannedChange] = {}
    for line in said.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        action, full, dummy, after, arch = match.groups()
        if action == "Inst" and after is None:
            continue
        name, dummy, named = full.partition(":")
        change = _change(database, name, named, after if action == "Inst" else None, arch or named)
        # A package that apt takes away and brings back appears twice.
        found.pop(change.key, None)
        found[change.key] = change
    return list(found.values())


def _change(database: Database, name: str, named: str, after: str | None, arch: str) -> PlannedChange:
    package: Package | None = database.get(name, named)
    before = package.version if package is not None and package.state != "config-files" else None
    return PlannedChange(name, package.arch if package is not None else arch or database.native, before, after)


def _refused(outcome: command.CommandOutcome) -> CaptureError:
    said = [line.rstrip() for text in (outcome.stdout, outcome.stderr) for line in text.splitlines() if line.strip()]
    lines = [line for line in said if not _CHATTER.match(line)] or outcome.last_lines()
    text = "\n".join(lines[-15:])
    return CaptureError(
        f"apt cannot do what is wanted; `{outcome.command}` said:\n{text}\n--",
        untouched="everything.",
        advice="Ask for what apt can do; refresh its lists (apt-get update) if they are old.",
        command=outcome.command,
        output=lines,
    )
