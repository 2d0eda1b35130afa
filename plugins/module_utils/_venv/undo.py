"""The way back to the distributions a virtual environment had.

Everything is computed first, from three sides: what was captured, what the installation was to
leave, what is there now. Check mode shows the computation, a run executes it. The order is such
that an interrupted undo can be computed again: a distribution's RECORD goes last. What was
captured is read a distribution at a time, so memory does not follow the size of the environment.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import versions as base_versions
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._base.fork import split_over_two_processes
from ansible_collections.intellistream.sage.plugins.module_utils._content import aside as content_aside
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import whole as content_whole
from ansible_collections.intellistream.sage.plugins.module_utils._content.hardlinks import put_links
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import TEMPORARY, put_back
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions, undo_goals, undo_strays
from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution, Row

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.undo_goals import Target


# What uv makes in an environment that it finds without it.
_LOCK = ".lock"


class VenvUndo(Undo):
    """Takes an environment back through its captures; the oldest of each distribution wins.

    :param path: the environment.
    :param layers: oldest first; the environment existed at each.
    """

    def __init__(self, path: str, layers: t.Sequence[Layer], how: UndoOptions) -> None:
        super().__init__()
        self.path = path
        self.layers = layers
        self.how = how
        self.targets = undo_goals.targets(layers)
        self.loose = undo_goals.loose(layers[0])
        self.dirs = undo_goals.directories(layers, self.targets.values())
        unfinished = [layer.manifest["captured_ns"] for layer in layers if not layer.completed]
        self.since: int | None = min(unfinished) if unfinished else None
        self.erase: list[str] = []
        self.aside: list[str] = []
        self.infos: list[str] = []
        self.litter = undo_strays.Litter([], [])
        self.broken = ""
        venv = Tree.open(path)
        if venv is None:
            self.conflicts.append(f"{path} was removed by somebody; only what was captured of it could be put back")
            return
        with venv:
            self._compute(venv)
        self.broken = f"{path}.broken-{how.keep_broken}" if how.keep_broken and self.touches() else ""
        self.kept += [f"{self.broken} (the environment as it was)"] if self.broken else []

    def _compute(self, venv: Tree) -> None:
        registered = distributions.by_name(distributions.installed(venv))
        self._leave_older(registered)
        captured = {path for target in self.targets.values() for path in target.paths()}
        own = set(self.loose.paths())
        erase: set[str] = set()
        theirs: set[str] = set()
        suspects: dict[str, int] = {}
        for name, target in sorted(self.targets.items()):
            now = registered.get(name, [])
            target.here = target.version in [one.version for one in now]
            of_others = self._judge_versions(name, target, now)
            # An interrupted undo may have emptied one and not removed it.
            self.infos += [one.info for one in now]
            extra = 0
            for one in now:
                rows, installed_ns = self._rows(venv, one)
                suspects.update(undo_goals.suspects(venv, rows, installed_ns))
                theirs.update(rows if one in of_others else ())
                new = [path for path in rows if path not in captured]
                extra += len(new)
                # The installer failed at somebody's directory that is in the place of a file.
                erase.update(path for path in new if not venv.is_directory(path))
            self._describe(name, target, now, extra, self._count(venv, target))
        if suspects:
            self._judge_edits(venv, registered, suspects)
        if self.how.resumed:
            erase.update(self._half_put(venv, captured | own | erase))
        others = [one for name, several in registered.items() if name not in self.targets for one in several]
        # What lies in its own registration is nobody else's.
        registrations = tuple(f"{info}/" for info in self.infos)
        shared = {path for path in erase if not path.startswith(registrations)}
        erase -= distributions.owned_by(venv, others, shared)
        lock = venv.lstat(_LOCK)
        if lock is not None and lock.st_size == 0:
            erase.add(_LOCK)
        self.erase = sorted(erase - own)
        lost = {path for target in self.targets.values() for path in target.untouchable}
        self.aside = sorted({*self.aside, *(theirs & {*captured, *self.erase})} - lost)
        self._judge_loose(venv)
        self.plan["restore"] += self._modes(venv, mend=False)
        if not self.targets or any(layer.spec.get("all") for layer in self.layers):
            self._name_uncovered(registered)
        if self.since is not None:
            known = captured | erase | own | set(self.aside)
            self.litter = undo_strays.find(venv, others, known, self.since)
            self.plan["remove"] += [f"{venv.name(path)} (kept aside)" for path in self.litter.entries]

    def _half_put(self, venv: Tree, explained: set[str]) -> t.Iterator[str]:
        """What an interrupted undo had put back on its way to a newer state than this one goes to.

        No RECORD may list it yet, since that comes last; it is told by being exactly what a newer capture has.
        """
        for layer in self.layers[1:]:
            for section in layer.items.sections if layer.items is not None else ():
                if section.name not in self.targets:
                    continue
                newer = undo_goals.Target(layer, section)
                with newer.store() as store:
                    for path, item in newer.files():
                        if path in explained or venv.lstat(path) is None:
                            continue
                        if not content_item.difference(venv, path, item, store, path):
                            yield path

    def _name_uncovered(self, registered: t.Mapping[str, list[Distribution]]) -> None:
        """Where nobody said what the change would do: what is otherwise than at the capture, and in no capture."""
        before = self.layers[0].manifest["distributions"]
        for name in sorted({*before, *registered} - set(self.targets)):
            versions = [one.version for one in registered.get(name, ())]
            if versions != ([before[name]] if name in before else []):
                was, now = before.get(name, "absent"), " and ".join(versions) or "gone"
                self.inexact.append(
                    f"{name} in {self.path} was {was} and is {now}: that change was not captured, so it stays"
                )

    def _leave_older(self, registered: t.Mapping[str, list[Distribution]]) -> None:
        """What was added before a date stays; what was replaced then is put back all the same."""
        if self.how.erase_after is None:
            return
        for name, target in list(self.targets.items()):
            if target.version is None and target.layer.time <= self.how.erase_after:
                self.kept += [f"{name} {one.version}" for one in registered.get(name, ())]
                del self.targets[name]

    def _judge_versions(self, name: str, target: Target, now: list[Distribution]) -> list[Distribution]:
        """Name what others did; returns what they installed."""
        allowed = set(target.allowed) - {undo_goals.ABSENT}
        of_others = []
        for one in now:
            if "" in allowed or any(base_versions.same_version(one.version, known) for known in allowed):
                continue
            of_others.append(one)
            self.conflicts.append(
                f"{name} {one.version} in {self.path} was installed by somebody else "
                f"(captured: {target.version or 'none'}, installed: {' or '.join(sorted(allowed)) or 'none'})"
            )
        gone = undo_goals.ABSENT in target.allowed or self.how.resumed or self.since is not None
        if target.version and not now and not gone:
            self.conflicts.append(f"{name} in {self.path} was removed by somebody else (captured: {target.version})")
        return of_others

    def _rows(self, venv: Tree, one: Distribution) -> tuple[dict[str, Row], int]:
        """What a registered distribution consists of, and when it was installed."""
        rows = distributions.record(venv, one.info, prefix=os.path.realpath(self.path), strict=False)
        info = venv.lstat(f"{one.info}/RECORD")
        if rows is None or info is None:
            # An installer was killed: what it left is put aside with all other litter.
            if self.since is not None:
                return {}, 0
            rows = {}
        for relative, is_directory in venv.walk(one.info):
            if not is_directory:
                rows.setdefault(relative, Row((), -1))
        return rows, info.st_mtime_ns if info is not None else 0

    def _count(self, venv: Tree, target: Target) -> int:
        """How many files of a distribution that is there in the captured version differ."""
        if target.version is None or not target.here:
            return 0
        with target.store() as store:
            differing = target.differing(venv, store)
            for path, item in differing:
                live, kept = venv.lstat(path), store.lstat(path) if item.shared else None
                if live is None or kept is None or not os.path.samestat(live, kept):
                    continue
                # It was never replaced, so the store shares its inode: what it was may be nowhere any more.
                if venv.digest(path) != item.value:
                    target.untouchable.add(path)
                    self.conflicts.append(
                        f"{venv.name(path)} was edited in place by somebody; its captured content was a hard link "
                        "and is lost, so it stays as it is"
                    )
        return len(differing) - len(target.untouchable)

    def _judge_edits(
        self, venv: Tree, registered: t.Mapping[str, list[Distribution]], suspects: t.Mapping[str, int]
    ) -> None:
        """Tell edits among files that do not look as RECORD says.

        Distributions share files more often than they should: the one installed last wrote it, and none edited it.
        """
        explained: dict[str, set[str]] = {path: set() for path in suspects}
        for name, target in self.targets.items():
            for one in registered.get(name, ()):
                for path, row in self._rows(venv, one)[0].items():
                    if path in explained:
                        explained[path].update(row.digests)
            for path, item in target.files():
                if path in explained:
                    explained[path].add(item.value)
        for path, changed_ns in suspects.items():
            if venv.digest(path) in explained[path]:
                continue
            self.aside.append(path)
            if self.since is not None and changed_ns >= self.since:
                # Most likely half written by the installer that was killed; kept in case it was not.
                self.plan["remove"].append(f"{venv.name(path)} (kept aside)")
            elif not any(path in target.untouchable for target in self.targets.values()):
                self.conflicts.append(f"{venv.name(path)} was edited by somebody")

    def _judge_loose(self, venv: Tree) -> None:
        with self.loose.store() as store:
            differing = [path for path, dummy in self.loose.differing(venv, store)]
        if "pyvenv.cfg" not in differing:
            # No installer touches these unless the environment is made anew: what differs was edited by people.
            self.loose.untouchable.update(path for path in differing if venv.lstat(path) is not None)
        self.plan["restore"] += [venv.name(path) for path in differing if path not in self.loose.untouchable]

    def _describe(self, name: str, target: Target, now: list[Distribution], extra: int, differing: int) -> None:
        versions = [one.version for one in now]
        self.plan["erase"] += [f"{name} {version}" for version in versions if version != target.version]
        if target.version is None:
            return
        if target.version not in versions:
            self.plan["install"].append(f"{name} {target.version}")
        elif differing or (extra and versions == [target.version]):
            self.plan["restore"].append(f"{name} {target.version} ({differing + extra} files)")

    def redo(self) -> Facts | None:
        if not self.touches() or self.since is not None:
            return None
        left = [{"name": name, "version": one.version or undo_goals.ABSENT} for name, one in self.targets.items()]
        return {"kind": "venv", "path": self.path, "distributions": left}

    def _gone(self, untouched: str) -> RollbackError:
        return RollbackError(
            f"{self.path} is gone; there is nothing to put the captured files back into.",
            untouched=untouched,
            advice="Install again, or roll back to where it was made.",
        )

    def check(self) -> None:
        venv = Tree.open(self.path)
        if venv is None:
            raise self._gone("everything.")
        with venv:
            for target in [*self.targets.values(), self.loose]:
                target.check(venv)

    def execute(self) -> None:
        if self.broken and not self.how.resumed:
            content_whole.keep_copy(self.path, self.broken)
        venv = Tree.open(self.path)
        if venv is None:
            raise self._gone("what was captured; it can still be used.")
        with venv:
            for directory in self._half_made():
                venv.unlink(f"{directory}/{TEMPORARY}")
            # While the sources still tell whose it is: the next undo could not say that of what a killed one left.
            undo_strays.remove_bytecode(venv, [*self.erase, *self.aside, *self.litter.entries])
            content = [path for path in self.erase if not _in_info(path)]
            info = sorted((path for path in self.erase if _in_info(path)), key=_record_last)
            self._set_aside(venv, [*sorted({*self.aside} - {*info}), *self.litter.entries])
            for relative in content:
                venv.unlink(relative)
            # While RECORD still tells what belonged to it: nothing is left that nobody knows of.
            undo_strays.prune(venv, self._touched(), self._stay(venv))
            for target in [*self.targets.values(), self.loose]:
                self._put(venv, target)
            self._set_aside(venv, sorted({*self.aside} & {*info}, key=_record_last))
            for relative in info:
                venv.unlink(relative)
            undo_strays.prune(venv, self._touched(), self._stay(venv))
            self._modes(venv, mend=True)
            venv.flush()

    def _set_aside(self, venv: Tree, paths: t.Sequence[str]) -> None:
        if paths:
            with content_aside.Aside(venv, self.layers[-1].where) as aside:
                for relative in paths:
                    aside.take(relative)

    def _put(self, venv: Tree, target: Target) -> None:
        with target.store() as store:
            # What is not registered differs as a whole.
            whole = [] if target.here else list(target.known())
            put = [] if whole else target.differing(venv, store)
            changed = [one[0] for one in whole] + [path for path, dummy in put]
            # Before the sources change: what was compiled from the others is nobody's then.
            undo_strays.remove_bytecode(venv, changed)
            content = [one for one in whole if not _in_info(one.path)]
            others = set(
                split_over_two_processes(lambda part: [one.path for one in put_links(store, venv, part)], content)
            )
            put += [(one.path, one.item) for one in whole if one.path in others or _in_info(one.path)]
            for path, item in sorted(put, key=lambda one: (_in_info(one[0]), *_record_last(one[0]))):
                put_back(store, path, venv, path, item)

    def _touched(self) -> list[str]:
        """Directories in which perhaps nothing is left, deepest first."""
        also = [*self.litter.directories, *self.infos, *self._half_made()]
        return undo_strays.directories([*self.erase, *self.litter.entries], also)

    def _half_made(self) -> set[str]:
        """Directories that an interrupted undo may have made, or was filling, on its way to whatever state."""
        return {name for layer in self.layers for name in layer.manifest["dirs"]} if self.how.resumed else set()

    def _stay(self, venv: Tree) -> set[str]:
        """Directories that stay, whether or not something is in them."""
        return {*self.dirs, *distributions.sites(venv), "bin"}

    def _modes(self, venv: Tree, mend: bool) -> list[str]:
        """Directories whose mode is not the captured one, after mending that if asked to."""
        wrong = []
        for name, mode in self.dirs.items():
            try:
                fd = venv.enter(name)
            except FileNotFoundError:
                continue
            now = os.fstat(fd).st_mode & 0o7777
            if now != mode and mend:
                os.fchmod(fd, mode)
            elif now != mode:
                wrong.append(f"{venv.name(name)} has mode {now:04o}, had {mode:04o}")
        return wrong

    def verify(self) -> list[str]:
        venv = Tree.open(self.path)
        if venv is None:
            return [f"{self.path} is gone"]
        left: list[str] = []
        with venv:
            registered = distributions.by_name(distributions.installed(venv))
            for name, target in sorted(self.targets.items()):
                versions = [one.version for one in registered.get(name, ())]
                if versions != ([target.version] if target.version is not None else []):
                    left.append(f"{name} is {' and '.join(versions) or 'absent'}, was {target.version or 'absent'}")
                left += [f"{venv.name(path)} has lost what it was" for path in sorted(target.untouchable)]
                left += target.verify(venv)
            left += self.loose.verify(venv)
            left += self._modes(venv, mend=False)
            left += [
                f"{venv.name(path)} is still there"
                for path in [*self.erase, *self.litter.entries]
                if venv.lstat(path) is not None
            ]
            left += [
                f"{venv.name(path)} is still there, and nothing is in it"
                for path in undo_strays.empty(venv, self._touched(), self._stay(venv))
            ]
        return left


def _in_info(path: str) -> bool:
    return f"{distributions.INFO}/" in path


def _record_last(path: str) -> tuple[bool, str]:
    return path.endswith(f"{distributions.INFO}/RECORD"), path
