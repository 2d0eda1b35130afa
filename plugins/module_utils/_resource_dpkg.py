# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian packages: what a change is going to install, upgrade and remove, captured as real packages.

Each existing package that will change is written as a C(.deb) of what is on disk now. What such a
file cannot hold lies below C(extra/<key>/), at its full path. The facts of a capture::

    files, bytes        what lies in the content directory
    arch                the native architecture
    changes             [{name, arch, before, after}]: what will be installed, upgraded, removed, by the resolver;
                        arch is that of what is there now, else that of what comes
    packages            key (name:arch) → of each package that is there now (also as config-files) and will change:
        version, want   as recorded ("install", "hold", "deinstall"…)
        state           "installed" or "config-files"
        auto            apt installed it only because others need it
        deb             name of its package file in the content directory; null for config-files
        conffiles       path → {"md5": as recorded (what the package had brought), "flags": "", "obsolete"…,
                        "now": what was there (P(_dpkg_database.fingerprint))}
        missing         paths of its list that were not there (somebody deleted them); they are not in the .deb;
                        neither are configuration files that are no files (any more), but these are in extra
        leftovers       full real paths of what lay beside its configuration: .dpkg-dist, .dpkg-old, .ucf-old, ~ …
        extra           full real paths of what has an item extra/<key>/<path>: each conffile that was there,
                        each leftover, and files of /var/lib/dpkg/info that dpkg would write differently or
                        (for config-files) that must come back
        xattrs          path → {name: hex}: file capabilities and other extended attributes (not SELinux labels)
        times           path → mtime in ns of files and links, where seconds are not enough
        overrides       path → "owner group mode": the statoverrides that concern it
        inexact         reasons why an undo of its change may not be exact
    inexact             those reasons, each with its key, and those of what comes, for people
    incoming            key → reasons, of the versions that come, where their scripts are known already
    auto                keys of packages that were asked for, are there and do not change, but for apt's auto mark
    unknown             keys of what comes and whose maintainer scripts cannot be known yet
    diversions          [[path, to, by]] by or of captured packages
    known               key → "version letters" (letters as C(dpkg -l): ii, hi, rc) of all that was there

Other paths are the package's own names; what is diverted is found by P(Database.diverted).

Items: a section with an empty name has the file C(status): the recorded stanzas of all captured
packages, whole. Then a section per package, its name the key, its info the package file's name: an item
for the package file, then for each of C(extra) one below C(extra/<key>), as P(_captured.copy) made it;
links and directories have items but nothing in the content directory.

C(left) returns {"packages": key → {"version", "state", "want", "auto", "conffiles": path → fingerprint},
"inexact": key → reasons} of each package in C(changes) that is there after the change, C(known) as above.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _dpkg_incoming, _dpkg_plan, _dpkg_scripts
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_database import (
    ADMIN,
    Database,
    Package,
    fingerprint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, ChangeFailed
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, How, Layer, Resource, Undo

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_plan import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._manifest import Writer

_UNKNOWN = "its scripts are not known before it is downloaded"
# What the state of a package that is not properly there says of its scripts.
_FAILED = {
    "half-installed": "it was unpacked or removed halfway: its preinst, prerm or postrm failed, or dpkg was ended",
    "unpacked": "it is unpacked but not configured: its postinst did not run, or what it depends on failed",
    "half-configured": "its postinst failed",
    "triggers-awaited": "it waits for another package's trigger",
    "triggers-pending": "its trigger did not run",
}


class _View(t.NamedTuple):
    """The packages of this host and what will change, computed together.

    :ivar stamp: of dpkg's record.
    :ivar captured: what is there now and will change, with all instances of what must be the same in all.
    """

    stamp: tuple[int, ...]
    database: Database
    changes: list[Change]
    captured: list[Package]


class DpkgResource(Resource):
    """Debian packages that a request changes.

    :param packages: as P(_dpkg_plan.resolve); not needed when C(changes) are given.
    :param state: V(present), V(latest) or V(absent).
    :param changes: mappings C(name), C(arch), C(before), C(after); given ones are not resolved.
    """

    kind = "dpkg"
    settles = True

    def __init__(self, packages: list[str], state: str = "present", changes: t.Sequence[Facts] = ()) -> None:
        _dpkg_plan.check(packages, state)
        self.packages = packages
        self.state = state
        self.changes = list(changes)
        self.path = ADMIN
        self._seen: _View | None = None

    def plan(self) -> list[str]:
        view = self._view()
        incoming, unknown = _dpkg_incoming.reasons(view.changes, self.packages)
        lines = []
        for change in view.changes:
            name = change.name if change.arch in (view.database.native, "all") else change.key
            package = view.database.packages.get(change.key)
            if change.before is not None and package is not None:
                why = _dpkg_scripts.reasons(_dpkg_scripts.installed(view.database.info(package)))
                lines.append(_line("-", name, change.before, why))
            if change.after is not None:
                why = [_UNKNOWN] if change.key in unknown else incoming.get(change.key, [])
                lines.append(_line("+", name, change.after, why))
        return lines

    def observe(self) -> Facts:
        database = Database()
        names = {one.partition("=")[0].partition("/")[0] for one in self.packages if not one.startswith("/")}
        names.update(str(one["name"]) for one in self.changes)
        known = database.known()
        if names != {_dpkg_plan.EVERYTHING}:
            known = {key: said for key, said in known.items() if names & {key, key.rpartition(":")[0]}}
        return {"status": list(_stamp()), "versions": known}

    def differences(self, recorded: Facts) -> list[str]:
        if recorded.get("status") == list(_stamp()):
            return []
        known = Database().known()
        return [
            f"package {key} is {known.get(key, 'not there')}, it was {said}"
            for key, said in (recorded.get("versions") or {}).items()
            if known.get(key) != said
        ]

    def need(self, device: int | None = None) -> tuple[int, int]:
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_capture import needs

        view = self._view()
        found = [needs(view.database, package) for package in view.captured]
        return 1 + sum(one[0] for one in found), sum(one[1] for one in found)

    def capture(self, where: PrivateDir, items: Writer) -> Facts:
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_capture import Capture
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_lock import held

        with held(ADMIN):
            view = self._view()
            incoming, unknown = _dpkg_incoming.reasons(view.changes, self.packages)
            with Capture(view.database, where, items) as capture:
                capture.stanzas(view.captured)
                facts = {package.key: capture.take(package) for package in view.captured}
                capture.settle()
            if _stamp() != view.stamp:
                raise CaptureError(
                    "Packages were changed while they were being captured.",
                    untouched="everything.",
                    advice="Find out who changed them in spite of dpkg's lock, then run again.",
                )
            return {
                "files": capture.files,
                "bytes": capture.bytes,
                "arch": view.database.native,
                "changes": [change._asdict() for change in view.changes],
                "packages": facts,
                "inexact": _uncertain(facts, incoming, unknown),
                "incoming": incoming,
                "auto": self._marked(view),
                "unknown": unknown,
                "diversions": _diversions(view),
                "known": view.database.known(),
            }

    def left(self, manifest: Facts) -> Facts:
        database = Database()
        _check_change(database)
        auto = database.auto()
        facts: Facts = {"packages": {}, "inexact": {}, "known": database.known()}
        for one in manifest["changes"]:
            package = database.get(one["name"], one["arch"])
            if package is None:
                continue
            diverted = database.diverted(package)
            facts["packages"][package.key] = {
                "version": package.version,
                "state": package.state,
                "want": package.want,
                "auto": package.key in auto,
                "conffiles": {path: fingerprint(diverted.get(path, path)) for path in package.conffiles()},
            }
            why = _dpkg_scripts.reasons(_dpkg_scripts.installed(database.info(package)))
            if why:
                facts["inexact"][package.key] = why
        return facts

    def undo(self, layers: t.Sequence[Layer], how: How) -> Undo:
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_undo import DpkgUndo

        return DpkgUndo(self, layers, how)

    def _view(self) -> _View:
        """What is there and what will change; computed once, and again if somebody else changed packages since."""
        stamp = _stamp()
        if self._seen is None or self._seen.stamp != stamp:
            database = Database()
            _check_state(database)
            if self.changes:
                changes = _dpkg_plan.given(database, self.changes)
            else:
                changes = _dpkg_plan.resolve(database, self.packages, self.state)
            self._seen = _View(stamp, database, changes, _captured(database, changes))
        return self._seen

    def _marked(self, view: _View) -> list[str]:
        """What is asked for, is there, and stays: apt or Ansible may mark it as wanted for itself."""
        named = {one.partition("=")[0].partition(":")[0] for one in self.packages}
        changing = {package.key for package in view.captured}
        auto = view.database.auto()
        return sorted(key for key in auto - changing if key.rpartition(":")[0] in named)


def _stamp() -> tuple[int, ...]:
    info = os.stat(os.path.join(ADMIN, "status"))
    return (info.st_ino, info.st_size, info.st_mtime_ns)


def _line(sign: str, name: str, version: str, why: t.Sequence[str]) -> str:
    return f"[{sign}] {name} {version}" + (f" ({'; '.join(why)})" if why else "")


def _uncertain(facts: Facts, incoming: t.Mapping[str, list[str]], unknown: t.Iterable[str]) -> list[str]:
    found = [f"{key}: {why}" for key, one in facts.items() for why in one["inexact"]]
    found += [f"{key}: {why}" for key, reasons in incoming.items() for why in reasons]
    found += [f"{key}: {_UNKNOWN}" for key in unknown]
    return list(dict.fromkeys(found))


def _captured(database: Database, changes: t.Iterable[Change]) -> list[Package]:
    found: dict[str, Package] = {}
    for change in changes:
        package = database.packages.get(change.key)
        if package is None:
            continue
        for one in database.named(package.name) if package.shared else [package]:
            found[one.key] = one
    return list(found.values())


def _diversions(view: _View) -> list[list[str]]:
    names = {package.name for package in view.captured}
    paths = {path for package in view.captured for path in view.database.paths(package)}
    return [list(one) for one in view.database.diversions() if one.by in names or one.path in paths]


def _check_state(database: Database) -> None:
    """Refuse what could not be put back.

    :raises CaptureError: with what is wrong.
    """
    if os.geteuid() != 0:
        raise CaptureError(
            "Packages can only be captured by root: others cannot read all of their files.",
            untouched="everything.",
            advice="Run it with become: true.",
        )
    unfinished = [f"{one.key} {one.version} ({one.state})" for one in database.unfinished()]
    if not database.pending() and not unfinished:
        return
    what = f"these are not completely installed: {', '.join(unfinished)}" if unfinished else "dpkg was ended halfway"
    raise CaptureError(
        f"Packages cannot be captured now: {what}.",
        untouched="everything.",
        advice="Run `dpkg --configure -a` and, if that does not help, `apt-get --fix-broken install`; then run again.",
        packages=[one.key for one in database.unfinished()],
    )


def _check_change(database: Database) -> None:
    """See whether a change really succeeded.

    :raises ChangeFailed: it did not; with the packages and what their state says.
    """
    failed = {one.key: _FAILED.get(one.state, "it has to be reinstalled") for one in database.unfinished()}
    if database.pending() and not failed:
        failed["dpkg"] = "it was ended halfway"
    if failed:
        raise ChangeFailed(
            "The change of packages did not succeed: " + "; ".join(f"{key}: {why}" for key, why in failed.items()),
            untouched="what has changed so far.",
            advice="Roll back, or mend the packages (`dpkg --configure -a`).",
            packages=sorted(failed),
        )
