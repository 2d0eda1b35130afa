"""Debian packages: what a change is going to install, upgrade and remove, captured as real packages.

Each existing package that will change is written as a C(.deb) of what is on disk now. What such a
file cannot hold lies below C(extra/<key>/), at its full path. The facts of a capture::

    files, bytes        what lies in the content directory
    arch                the native architecture
    changes             [{name, arch, before, after, file}]: what will be installed, upgraded, removed, by the
                        resolver; arch is that of what is there now, else that of what comes; file: where the package
                        file of what comes was, if it was here
    packages            key (name:arch) → of each package that is there now (also as config-files) and will change,
                        or will lose files to one that comes:
        version, want   as recorded ("install", "hold", "deinstall"…)
        state           "installed" or "config-files"
        auto            apt installed it only because others need it
        deb             name of its package file in the content directory; null for config-files
        conffiles       path → {"md5": as recorded (what the package had brought), "flags": "", "obsolete"…,
                        "now": what was there (P(_dpkg.database.fingerprint))}
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
    taken               keys of those that will lose files, and do not change otherwise
    others              full real path → P(_dpkg.database.fingerprint) of what is nobody's and will be overwritten, or
                        is a directory that dpkg would remove with the package that comes
    impossible          reasons why something that is overwritten could not be captured
    auto                keys of packages that were asked for, are there and do not change, but for apt's auto mark
    unknown             keys of what comes and was not here: its scripts and files could not be known
    diversions          [[path, to, by]] by or of captured packages
    statoverrides       path → "owner group mode" of all of them
    known               key → "version letters" (letters as C(dpkg -l): ii, hi, rc) of all that was there

Other paths are the package's own names; what is diverted is found by P(Database.diverted).

Items: a section with an empty name has the file C(status): the recorded stanzas of all captured
packages, whole, and an item below C(others) for each of those. Then a section per package, its name the
key, its info the package file's name: an item for the package file, then for each of C(extra) one below
C(extra/<key>), as P(_content.item.copy) made it; links and directories have items but nothing in the content
directory.

C(after) returns {"packages": key → {"version", "state", "want", "auto", "conffiles": path → fingerprint},
"inexact": key → reasons} of each package in C(changes) that is there after the change, C(known) as above.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import overwrites, scripts, settle
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import plan as dpkg_plan
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    ADMIN,
    Database,
    Package,
    fingerprint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.incoming import Incoming
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.plan import PlannedChange
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import PackageChange
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions

_UNKNOWN = "its scripts, and what it overwrites, are not known before it is downloaded"


class _View(t.NamedTuple):
    """The packages of this host and what will change, computed together.

    :ivar stamp: of dpkg's record.
    :ivar captured: what is there now and will change, with all instances of what must be the same in all.
    :ivar incoming: the package files of what comes.
    """

    stamp: tuple[int, ...]
    database: Database
    changes: list[PlannedChange]
    captured: list[Package]
    incoming: Incoming


class DpkgResource(Resource):
    """Debian packages that a request changes.

    :param packages: as P(_dpkg.plan.resolve); not needed when C(changes) are given.
    :param state: V(present), V(latest) or V(absent).
    :param changes: mappings C(name), C(arch), C(before), C(after); given ones are not resolved.
    """

    kind = "dpkg"
    settles = True

    def __init__(self, packages: list[str], state: str = "present", changes: t.Sequence[Facts] = ()) -> None:
        dpkg_plan.check(packages, state)
        self.packages = packages
        self.state = state
        self.changes = list(changes)
        self.path = ADMIN
        self._seen: _View | None = None
        self._takes: tuple[object, overwrites.Taken] | None = None

    def plan(self) -> list[str]:
        view = self._view()
        incoming, unknown = view.incoming.reasons()
        lines = []
        for change in view.changes:
            name = change.name if change.arch in (view.database.native, "all") else change.key
            package = view.database.packages.get(change.key)
            if change.before is not None and package is not None:
                why = scripts.reasons(scripts.installed(view.database.info(package)))
                lines.append(_line("-", name, change.before, why))
            if change.after is not None:
                why = [_UNKNOWN] if change.key in unknown else incoming.get(change.key, [])
                lines.append(_line("+", name, change.after, why))
        return lines

    def planned(self) -> list[PackageChange]:
        return [
            {"name": change.name, "arch": change.arch, "before": change.before, "after": change.after}
            for change in self._view().changes
        ]

    def observe(self) -> Facts:
        database = Database()
        names = {one.partition("=")[0].partition("/")[0] for one in self.packages if not one.startswith("/")}
        names.update(str(one["name"]) for one in self.changes)
        known = database.known()
        if names != {dpkg_plan.EVERYTHING}:
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
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.capture import needs

        view = self._view()
        taken = self._taken(view)
        found = [needs(view.database, package) for package in [*view.captured, *taken.packages]]
        found.append(overwrites.size(taken.paths))
        return 1 + sum(one[0] for one in found), sum(one[1] for one in found)

    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.capture import Capture
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.lock import held

        if not self.changes:
            # What a change is going to overwrite is known once its package files are here.
            self._view().incoming.fetch()
        with held(ADMIN):
            view = self._view()
            incoming, unknown = view.incoming.reasons()
            taken = self._taken(view)
            captured = [*view.captured, *taken.packages]
            with Capture(view.database, where, items) as capture:
                capture.stanzas(captured)
                others = capture.others(taken.paths)
                facts = {package.key: capture.take(package) for package in captured}
                capture.flush()
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
                "changes": [
                    {**change._asdict(), "file": view.incoming.files.get(change.key)} for change in view.changes
                ],
                "packages": facts,
                "taken": [package.key for package in taken.packages],
                "others": others,
                "inexact": [*_uncertain(facts, incoming, unknown), *taken.impossible],
                "impossible": taken.impossible,
                "incoming": incoming,
                "auto": self._marked(view),
                "unknown": unknown,
                "diversions": _diversions(view.database, captured),
                "statoverrides": view.database.overrides(),
                "known": view.database.known(),
            }

    def after(self, layer: Layer) -> Facts:
        database = Database()
        settle.succeeded(database)
        auto = database.auto()
        facts: Facts = {"packages": {}, "inexact": {}, "known": database.known()}
        for one in layer.manifest["changes"]:
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
            why = scripts.reasons(scripts.installed(database.info(package)))
            if one["after"] is not None and package.version not in (one["before"], one["after"]):
                why.append(f"it is {package.version} instead of {one['after']}: what it overwrote is not known")
            if why:
                facts["inexact"][package.key] = why
        return facts

    def unchanged(self, layer: Layer) -> bool:
        return not layer.manifest.get("changes")

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo import DpkgUndo

        return DpkgUndo(self, layers, options)

    def _view(self) -> _View:
        """What is there and what will change; computed once, and again if somebody else changed packages since."""
        stamp = _stamp()
        if self._seen is None or self._seen.stamp != stamp:
            database = Database()
            settle.capturable(database)
            if self.changes:
                changes = dpkg_plan.given(database, self.changes)
            else:
                changes = dpkg_plan.resolve(database, self.packages, self.state)
            files = {now.key: str(one["file"]) for now, one in zip(changes, self.changes) if one.get("file")}
            incoming = Incoming(changes, self.packages, database.native, files)
            self._seen = _View(stamp, database, changes, _captured(database, changes), incoming)
        return self._seen

    def _taken(self, view: _View) -> overwrites.Taken:
        """What will be taken from others, as far as package files are here by now."""
        key = (view.stamp, len(view.incoming.files))
        if self._takes is None or self._takes[0] != key:
            self._takes = key, overwrites.find(view.database, view.changes, view.captured, view.incoming)
        return self._takes[1]

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


def _captured(database: Database, changes: t.Iterable[PlannedChange]) -> list[Package]:
    found: dict[str, Package] = {}
    for change in changes:
        package = database.packages.get(change.key)
        if package is None:
            continue
        for one in database.named(package.name) if package.shared else [package]:
            found[one.key] = one
    return list(found.values())


def _diversions(database: Database, captured: t.Iterable[Package]) -> list[list[str]]:
    names = {package.name for package in captured}
    paths = {path for package in captured for path in database.paths(package)}
    return [list(one) for one in database.diversions() if one.by in names or one.path in paths]
