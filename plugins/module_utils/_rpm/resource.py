"""Packages of rpm: those that a change is going to replace or remove, each as a real package again.

The facts of a capture, beyond C(files) and C(bytes)::

    "dbpath":  "/var/lib/rpm"
    "tid":     1763769600         the newest INSTALLTID there was; that of an undo has to be larger
    "history": 17                 the id of dnf's newest transaction then; 0 without dnf
    "changes": [{"key", "name", "arch", "before", "after"}]      "optional": true where dnf removes what nothing
                                  needs any more; Ansible's module asks for that only by autoremove
    "known":   {key: evr}         all that was installed
    "marks":   {key: reason}      dnf's reason for each of those; {} without dnf's history
    "packages": {key: {           what the change replaces or removes
        "name", "arch", "evr", "nevra",
        "file":        "foo-1-1.noarch.rpm"     in the content directory
        "installonly": false                    several versions may be installed
        "reason":      "user", "dependency", "weak-dependency", "group", "clean", "unknown"; "" without dnf
        "tid", "time":                          its INSTALLTID and INSTALLTIME
        "config":      {path: item}             each %config file as it was; absent ones too
        "extra":       {path: [at, item]}       what no package file holds: ghosts, what has another type than the
                                                package says, C(.rpmnew), C(.rpmsave), C(.rpmorig) of its
                                                configuration. C(at) is the content's place below the content
                                                directory, "" for anything but a file. Leftovers that are not
                                                listed here were not there.
        "missing":     [path]                   files of the package that were not there; ghosts in the saved one
        "states":      {path: state}            of files that rpm does not have as installed (1 replaced, 2 not
                                                installed, 3 net shared, 4 wrong colour)
        "inexact":     [reason]                 what an undo cannot promise, for people
    }}
    "overwritten": {path: [at, item]}              what is in the way of what is to come, and of no package that is
                                                   replaced; its configuration's leftovers, too
    "shared": {path: [[key, state]]}               the packages that such a path is of
    "unkept": {key: [reason]}                      what else of that could not be kept
    "inexact": [text]             all such reasons, each with its key

A key is C(name.arch), of what may be installed in several versions C(name-version-release.arch). C(evr) is
C([epoch:]version-release). An item is a L(_captured.Item) as a list. Ghost directories are only listed
themselves, not what is in them. What is listed is brought back where it is gone; a ghost that is there
belongs to whoever writes it.

M(RpmResource.after) returns C(known) and C(config) of the changed packages as they are after the change,
C(inexact) (key → reasons) of what is there then, and C(unplanned) (key → C(name), C(arch), C(before), C(after),
C(ours): in the same transaction as what was planned) of all that changed without being planned. Which packages
dnf's versionlock holds is not part of any capture.

In the list of items, each captured package has two sections: C(@ key evr file) with the content
directory's own files (the package, C(extra/…)), paths relative to that directory; and
C(@ key evr files) with each path of the package as it was, relative to C(/), for verifying an undo:
content, mode, owner, link target, extended attributes, with C(a) for what was missing. Devices are left out.
C(@ incoming) has the file C(incoming): the paths that the change is going to make and that are not there,
directories too, each ended by a NUL; only those that are known, and missing where none is.
"""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy, CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import Directories
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import capture as rpm_capture
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import (
    database,
    dnf_history,
    lock,
    overwrites,
    undo_litter,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import plan as rpm_plan
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import PackageChange
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions


class RpmResource(Resource):
    """Packages that a change is about.

    :param packages: names as dnf takes them, or package files; C(*) for all there are.
    :param state: C(present), C(latest) or C(absent).
    :param changes: exactly what is going to change, when that is known; then nobody is asked.
    """

    kind = "rpm"
    settles = True

    def __init__(self, packages: list[str], state: str = "present", changes: t.Sequence[Facts] = ()) -> None:
        self.packages, self.state, self.changes = packages, state, changes
        self._ts = database.transaction_set()
        self.path = database.dbpath()
        self._cookie = ""
        self._planned: list[PackageChange] | None = None
        self._incoming: dict[str, t.Sequence[str] | None] = {}

    def _plan(self) -> list[PackageChange]:
        """The changes, by key."""
        if self._planned is None:
            self._wait()
            self._cookie = database.cookie(self._ts)
            if self.changes:
                self._planned = sorted((self._told(one) for one in self.changes), key=lambda one: str(one["key"]))
            else:
                self._planned = rpm_plan.plan(self._ts, self.packages, self.state, self._incoming)
        return self._planned

    def _told(self, change: t.Mapping[str, t.Any]) -> PackageChange:
        """One of the changes that were given, with its key."""
        name, arch, before, after = (change.get(field) for field in ("name", "arch", "before", "after"))
        name = str(name)
        there = [one for one in database.named(self._ts, name) if not arch or one.arch == arch]
        same = [one for one in there if before and one.evr == before]
        if before and not same:
            raise CaptureError(
                f"{name} {before} is not installed, so it can be neither replaced nor removed.",
                untouched="everything.",
                advice="Tell the changes as they are now.",
            )
        found = (same or there)[:1]
        arch = str(arch or (found[0].arch if found else "noarch"))
        several = found[0].installonly if found else name in database.installonly_names()
        version = str(before or after).rpartition(":")[2]
        key = f"{name}-{version}.{arch}" if several else f"{name}.{arch}"
        if after:
            self._incoming[key] = overwrites.files_in(str(change.get("file") or ""))
        return {"key": key, "name": name, "arch": arch, "before": before or None, "after": after or None}

    def _wait(self) -> None:
        if os.geteuid() != 0:
            raise CaptureError(
                "Packages of the system can only be captured by root.", untouched="everything.", advice="Use become."
            )
        try:
            lock.wait()
        except Busy as error:
            raise CaptureError(
                error.what, untouched="everything.", advice="Wait for that to end, then run again."
            ) from error

    def _existing(self) -> list[Package]:
        """What the plan replaces or removes.

        :raises CaptureError: one is there twice.
        """
        found = []
        for change in self._plan():
            if not change["before"]:
                continue
            there = [one for one in database.named(self._ts, change["name"]) if one.key == change["key"]]
            if len(there) > 1:
                versions = " and ".join(one.evr for one in there)
                raise CaptureError(
                    f"{change['key']} is installed twice ({versions}): an earlier change of it failed.",
                    untouched="everything.",
                    advice=f"Remove one of them (dnf remove --duplicates, or rpm -e {there[0].nevra}), then run again.",
                )
            found += there
        return found

    def _in_the_way(self, directories: Directories) -> overwrites.Look:
        """What is to come overwrites this, beside what it replaces."""
        existing = (database.header_at(self._ts, one.offset) for one in self._existing())
        own = {path for header in existing for path in header["FILENAMES"] or ()}
        return overwrites.look(self._ts, self._incoming, own, directories)

    def plan(self) -> list[str]:
        with Directories() as directories:
            scripts = {one.key: rpm_capture.look(self._ts, one, directories).inexact[:1] for one in self._existing()}
        changes = self._plan()
        names = [one["name"] for one in changes]
        lines = []
        for one in changes:
            name = one["key"] if names.count(one["name"]) > 1 else one["name"]
            why = "".join(f" ({reason})" for reason in scripts.get(one["key"], []))
            if one.get("optional"):
                why = f"{why} (if what nothing needs any more is removed, too)"
            lines += [f"[-] {name} {one['before']}{why}"] if one["before"] else []
            lines += [f"[+] {name} {one['after']}"] if one["after"] else []
        return lines

    def planned(self) -> list[PackageChange]:
        return self._plan()

    def observe(self) -> Facts:
        return {"stamp": database.cookie(self._ts), "packages": self._versions()}

    def _versions(self) -> dict[str, list[str]]:
        """The installed versions of what was named; files and patterns are left out."""
        names = {one.partition(" ")[0] for one in self.packages} | {str(one["name"]) for one in self.changes}
        found: dict[str, list[str]] = {}
        for name in sorted(names):
            if not name.endswith(".rpm") and not set(name) & set("*?[/@"):
                found[name] = sorted(f"{one.evr}.{one.arch}" for one in database.named(self._ts, name))
        return found

    def differences(self, recorded: Facts) -> list[str]:
        if recorded.get("stamp") == database.cookie(self._ts):
            return []
        now = self._versions()
        return [
            f"{name} was {' and '.join(versions) or 'not installed'}, is {' and '.join(now[name]) or 'not installed'}"
            for name, versions in (recorded.get("packages") or {}).items()
            if name in now and now[name] != versions
        ]

    def need(self, device: int | None = None) -> tuple[int, int]:
        with Directories() as directories:
            needs = [rpm_capture.look(self._ts, one, directories).need for one in self._existing()]
            needs.append(self._in_the_way(directories).need)
        return sum(need[0] for need in needs), sum(need[1] for need in needs)

    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        changes, tid = self._plan(), int(time.time())
        reasons = dnf_history.reasons()
        packages: dict[str, Facts] = {}
        inexact: list[str] = []
        written: list[str] = []
        size = 0
        with Tree.of(where) as store:
            for number, package in enumerate(self._existing()):
                with Directories() as directories:
                    look = rpm_capture.look(self._ts, package, directories)
                made = rpm_capture.capture(look, where, store, items, number, tid)
                reason = reasons.get((package.name, package.arch), "unknown") if reasons else ""
                packages[package.key] = {**made.facts, "reason": reason}
                inexact += [f"{package.key}: {why}" for why in made.facts["inexact"]]
                written += made.written
                size += made.size
            with Directories() as directories:
                way = self._in_the_way(directories)
                overwritten, copies, length = overwrites.capture(way, directories, store, items)
            inexact += [f"{key}: {why}" for key, reasons in way.unkept.items() for why in reasons]
            written += copies
            size += length
            brought = self._brought(where, items, way)
            written += brought
            size += sum(os.stat(name, dir_fd=where.fd).st_size for name in brought)
            storage_store.flush(store, written)
        known = database.installed(self._ts)
        self._still()
        return {
            "files": len(written),
            "bytes": size,
            "dbpath": self.path,
            "tid": max((one.tid for there in known.values() for one in there), default=0),
            "history": dnf_history.last(),
            "changes": changes,
            "known": {key: database.versions(there) for key, there in known.items()},
            "marks": {
                key: reasons.get((there[0].name, there[0].arch), "unknown") for key, there in known.items() if reasons
            },
            "packages": packages,
            **overwritten,
            "inexact": inexact,
        }

    def _brought(self, where: PrivateDir, items: ItemWriter, way: overwrites.Look) -> list[str]:
        """List what the change is going to make, as far as that is known: killed, rpm leaves it unowned."""
        coming = [path for paths in self._incoming.values() for path in paths or ()]
        return undo_litter.expect(where, items, [*coming, *way.leftovers])

    def _still(self) -> None:
        """Nobody changed packages while they were captured.

        :raises CaptureError: somebody did, or is about to.
        """
        who = lock.holder()
        if who or database.cookie(self._ts) != self._cookie:
            raise CaptureError(
                f"Packages were changed while they were captured, by {who or 'somebody else'}.",
                untouched="everything.",
                advice="Wait for that to end, then run again.",
            )

    def after(self, layer: Layer) -> Facts:
        from ansible_collections.intellistream.sage.plugins.module_utils._rpm.settle import left

        return left(self._ts, layer.manifest, self.state)

    def unchanged(self, layer: Layer) -> bool:
        return not layer.manifest.get("changes")

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo import RpmUndo

        return RpmUndo(self, layers, options)
