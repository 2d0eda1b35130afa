# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in miniature, all that may happen to it, and what a rollback of it has to give."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    ConflictError,
    InputError,
    RollbackError,
    SageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest as Wanted
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.crash.test_undo import attempt
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE, TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import Snapshot, changes, snapshot

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, Transition

NAMES = ("pack", "other", "fresh")
HAND = "handmade"
FILES = ("config", "extra", "conf.d/one")
# Nothing of this is about disks, and there is much of it.
_MEMORY = "/dev/shm"
_DIST = re.compile(rf"venv/(?:bin|{re.escape(SITE)})/(\w+?)(?:-[\d.]+\.dist-info)?(?:/.*)?$")
Parts = dict[str, Snapshot]


def part_of(path: str) -> str:
    """The part of the host that a path belongs to: others change one of them at a time."""
    match = _DIST.match(path)
    if match is not None and match[1] in (*NAMES, HAND):
        return f"dist {match[1]}"
    if path == "venv/bin/activate":
        return "activate"
    return "venv" if path.partition("/")[0] == "venv" else path


def of_venv(part: str) -> bool:
    """Whether a rollback of environments only is about this part."""
    return part.startswith("dist ") or part in ("venv", "activate")


class Moment(t.NamedTuple):
    """What there was at a time."""

    time: str
    parts: Parts


class World:
    """The host and the model of it.

    :ivar moments: what there was before each step, oldest first.
    :ivar theirs: (number of the moment before, part, what it was after) of each change by others.
    :ivar unkept: numbers of the moments before rollbacks in part that kept nothing of what they took back.
    :ivar known: rollback points and installations, with the number of the moment they stand for.
    """

    def __init__(self) -> None:
        self.path = pathlib.Path(
            tempfile.mkdtemp(prefix="sage-sequence-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
        )
        (self.path / "root").mkdir()
        self.data = self.path / "data"
        (self.data / "conf.d").mkdir(parents=True)
        self.engine = Engine(str(self.path / "root"))
        self.venv = TinyVenv(self.data / "venv")
        self.moments: list[Moment] = []
        self.theirs: list[tuple[int, str, Snapshot]] = []
        self.unkept: list[int] = []
        self.known: dict[str, int] = {}
        self.precious: set[str] = set()
        self.unseen: dict[str, int] = {}
        self.count = 0
        self.inputs = 0
        self.lossy = self.over = False

    def remove(self) -> None:
        """Clean up."""
        shutil.rmtree(self.path)

    # What there is.

    def look(self) -> Parts:
        """Everything, apart by parts."""
        parts: Parts = {}
        for path, what in snapshot(self.data).items():
            parts.setdefault(part_of(path), {})[path] = what
        return parts

    def moment(self) -> int:
        """A new moment; far enough from what was before and what comes after to be told by the clock."""
        parts = self.look()
        # More than a tick of the clock that file systems stamp with.
        time.sleep(0.003)
        self.moments.append(Moment(dt.datetime.now().astimezone().isoformat(timespec="milliseconds"), parts))
        time.sleep(0.002)
        return len(self.moments) - 1

    def changes(self) -> list[Change]:
        with self.engine.reading() as session:
            return session.history()

    def history(self) -> list[Installation]:
        return installations(self.changes())

    def note(self, moment: int) -> None:
        """What was recorded since stands for this moment."""
        for one in self.changes():
            self.known.setdefault(one.install_id, moment)
            for point in one.points:
                self.known.setdefault(point["point"], moment)

    def unchanged(self, before: Parts) -> None:
        """Nothing happened."""
        after = self.look()
        assert {name: changes(before.get(name, {}), after.get(name, {})) for name in {*before, *after}} == {
            name: {} for name in {*before, *after}
        }

    def refused(self, error: SageError) -> None:
        """A change was refused before it began."""
        assert not isinstance(error, StoreError) or self.lossy, error
        self.unchanged(self.moments[-1].parts)

    # What installations do.

    def call(self, inputs: t.Any, *transitions: Transition, recover: bool = False) -> dict[str, t.Any]:
        return {**checkpoint(self.engine, Wanted(inputs, True, {}, list(transitions), recover), False)}

    def recover(self, inputs: t.Any) -> tuple[dict[str, t.Any], bool]:
        """Begin as the role does; and whether there was something to take back first."""
        result = self.call(inputs, recover=True)
        if result["recover"] is None:
            return result, False
        rollback(self.engine, RollbackRequest(**result["recover"]), False)
        return self.call(inputs), True

    def install(self, pins: dict[str, str], ending: str, again: bool) -> None:
        """An installation as the role makes it: first it recovers what a killed one left."""
        if self.over:
            return
        self.inputs += 0 if again and self.inputs else 1
        moment = self.moment()
        inputs = {PHASES[0]: {"want": self.inputs // 2}, PHASES[2]: {"want": self.inputs}}
        current = self.history()[-1:]
        started = [name for one in current for name in PHASES if one.phases[name].status == "started"]
        result, recovered = self.recover(inputs)
        if recovered and started:
            self.check(self._phase(current[0], started[0]), self.moments[moment].parts, True, ())
        moment = self.moment()
        self.note(moment)
        todo = result["resume"]["phases_to_run"]
        venv: dict[str, t.Any] = {"kind": "venv", "path": str(self.venv.path)}
        if PHASES[0] in todo:
            files = {"kind": "files", "paths": [str(self.data / "config"), str(self.data / "conf.d")]}
            self.call(None, {"phase": PHASES[0], "status": "started", "capture": [venv, files]})
            self.note(moment)
            if not self.venv.path.exists():
                self.venv.make()
            self._write("config", f"config of {self.inputs}")
            if ending == "early":
                self.unseen.update(dict.fromkeys(FILES, moment))
                return
            self._write("conf.d/one", f"one of {self.inputs}")
            self.call(None, {"phase": PHASES[0], "status": "completed"})
        if PHASES[2] in todo:
            self.call(None, {"phase": PHASES[1], "status": "skipped"})
            moment = self.moment()
            listed = [{"name": name, "version": version} for name, version in pins.items()]
            self.call(None, {"phase": PHASES[2], "status": "started", "capture": [{**venv, "distributions": listed}]})
            self.note(moment)
            for number, (name, version) in enumerate(pins.items()):
                if ending == "killed" and number == len(pins) - 1:
                    # What it was to replace is renamed, and what it was to install is half there.
                    package = self.venv.site / name
                    if package.exists():
                        package.rename(self.venv.site / f"~{name[1:]}")
                    self.venv.install(name, version, register=False)
                    return
                self.venv.install(name, version)
            if ending == "failed":
                self.call(None, {"phase": PHASES[2], "status": "failed", "data": "told so"})
                return
        if todo:
            verified(self.engine)
            rest: list[Transition] = [{"phase": phase, "status": "completed"} for phase in todo if phase in PHASES[2:]]
            self.call(None, *rest)

    def _points(self) -> list[Point]:
        points = [point for one in self.changes() for point in one.points]
        return sorted(points, key=lambda point: point["seq"])

    def _write(self, path: str, text: str) -> None:
        # As ansible.builtin.template: a new file takes the place of the old one.
        target = self.data / path
        target.parent.mkdir(exist_ok=True)
        new = target.with_name("new")
        new.write_text(text)
        new.rename(target)

    def point(self, paths: list[str], settle: bool, what: int) -> None:
        """A rollback point by hand, a change of what it captured, and a look at what that left."""
        if self.over:
            return
        moment = self.moment()
        spec = {"kind": "files", "paths": [str(self.data / path) for path in paths]}
        made = backup(self.engine, [spec], None, "by hand", False)["rollback_point"]
        self.note(moment)
        for path in paths:
            if what == 2:
                (self.data / path).unlink(missing_ok=True)
            elif what == 1:
                self._write(path, f"point {moment}")
            else:
                (self.data / path).write_text(f"point {moment}")
        self.unseen.update(dict.fromkeys(() if settle else paths, moment))
        if settle:
            settled(self.engine, made["id"], False)

    def point_of_packages(self, pins: dict[str, str]) -> None:
        """A rollback point by hand, and an installer."""
        if self.over or not self.venv.path.exists() or not all(self._sane(name) for name in pins):
            return
        moment = self.moment()
        listed = [{"name": name, "version": version} for name, version in pins.items()]
        spec = {"kind": "venv", "path": str(self.venv.path), "distributions": listed}
        backup(self.engine, [spec], None, "packages", False)
        self.note(moment)
        for name, version in pins.items():
            self.venv.install(name, version)

    # What others do.

    def _others(self, part: str) -> None:
        self.theirs.append((len(self.moments) - 1, part, self.look().get(part, {})))

    def _treasure(self) -> str:
        self.count += 1
        text = f"of somebody else {self.count}\n" * 3
        self.precious.add(hashlib.sha256(text.encode()).hexdigest())
        return text

    def _sane(self, name: str) -> bool:
        """An installer could work on it: it is absent, or registered."""
        infos = list(self.venv.site.glob(f"{name}-*.dist-info"))
        return len(infos) <= 1 and all((info / "RECORD").exists() for info in infos)

    def others_install(self, name: str, known: bool) -> None:
        """Another version, which nobody else has, or one that installations use too."""
        if self.over or not self.venv.path.exists() or not self._sane(name):
            return
        self.moment()
        if known:
            self.venv.install(name, "2.0")
        else:
            text = self._treasure()
            self.venv.install(name, f"7.{self.count}", {f"{name}/__init__.py": text, f"../../../bin/{name}": text})
        self._others(f"dist {name}")

    def others_uninstall(self, name: str) -> None:
        if self.over or name not in self.venv.installed() or not self._sane(name):
            return
        self.moment()
        self.venv.uninstall(name)
        self._others(f"dist {name}")

    def others_edit(self, path: str, part: str, in_place: bool, script: bool = False) -> None:
        """An edit by somebody else, by an editor that writes into the file or one that replaces it."""
        target = self.data / path
        if self.over or not target.is_file():
            return
        if part.startswith("dist ") and not (self._sane(part[5:]) and part[5:] in self.venv.installed()):
            # Nobody tells this edit from what a killed installer left.
            return
        self.moment()
        mode, text = target.stat().st_mode & 0o7777, self._treasure()
        if not in_place:
            target.unlink()
        elif not script and target.stat().st_nlink > 1:
            # Its other name is in the store: the one thing that a hard link cannot keep.
            self.lossy = True
        target.write_text(text)
        target.chmod(mode)
        self._others(part)

    # Rollbacks.

    def target(self, wanted: t.Any) -> tuple[str | None, int]:
        """The name of a target, and the moment it stands for; None when there is none of the kind."""
        history = self.changes() if self.known and not self.over else []
        if not history:
            return None, 0
        installed = installations(history)
        if isinstance(wanted, str):
            if wanted != "last":
                return (wanted, self._phase(installed[-1], wanted)) if installed else (None, 0)
            # The last installation that began, or went on, or a point made by hand if that is newer.
            begun = [(one.seq, one.install_id, one.in_force) for one in installed]
            begun += [(point["seq"], one.install_id, one.in_force) for one in installed for point in one.points]
            by_hand = [(one.seq, one.points[0]["point"], one.in_force) for one in history if one.origin == "hand"]
            newest = max([*begun, *by_hand], default=None)
            if newest is None:
                return None, 0
            return "last", self.known[newest[1]] if newest[2] else -1
        kind, number = wanted
        if kind == "d":
            moment = number % len(self.moments)
            return self.moments[moment].time, moment
        ids = {one.install_id for one in history}
        names = [name for name in self.known if (name in ids) == (kind == "i")]
        name = names[-1 - number % len(names)] if names else None
        return name, self.known[name] if name is not None else 0

    def _phase(self, current: Installation, phase: str) -> int:
        wanted = PHASES[PHASES.index(phase) :]
        found = [one for one in current.points if one.get("phase") in wanted and not one.get("undone")]
        # Nothing to take back is nothing to do.
        return self.known[found[0]["point"]] if found else -1

    def undo(self, name: str, moment: int, **options: t.Any) -> None:
        """A rollback, predicted first, and checked against the model."""
        now = self.moment()
        before = self.moments[now].parts
        everything = snapshot(self.path)
        expected = self._try(name, True, options)
        assert changes(everything, snapshot(self.path)) == {}
        result = self._try(name, False, options)
        if isinstance(result, RollbackError) and "is gone" in result.what:
            assert isinstance(expected, RollbackError)
            self.unchanged(before)
            return
        if isinstance(result, RollbackError):
            # Only an edit into a file whose other name is in the store is beyond repair.
            assert self.lossy, result
            self.over = True
            return
        if isinstance(result, SageError):
            assert type(result) is type(expected), (result, expected)
            assert isinstance(result, (ConflictError, InputError)) or self.lossy, result
            # Only what was not kept cannot be named by a date.
            assert not isinstance(result, InputError) or re.search("not kept|removed .* whole", result.what), result
            self.unchanged(before)
            return
        assert {**result, "redo_point": None} == expected
        self.note(now)
        if options.get("kinds") and result["changed"] and result["redo_point"] is None:
            self.unkept.append(now)
        if not result["changed"]:
            # Also when the target was left behind by a rollback that cannot be taken back.
            self.unchanged(before)
            if name == "last":
                return
        if not self._reachable(moment):
            return
        unfinished = result["redo_point"] is None
        kinds = options.get("kinds") or ()
        self.check(moment, before, bool(options.get("force")) or unfinished, kinds, self._certain(moment, result))
        again = self._try(name, True, options)
        assert isinstance(again, SageError) or not again["changed"], (name, again)

    def _reachable(self, moment: int) -> bool:
        """Whether what had been changed by then was not undone since without having been kept."""
        points = self._points()
        kept = {name for point in points if point.get("redo") for name in point["redo"]["points"]}
        return moment >= 0 and not any(
            point.get("undone") and point["point"] not in kept and point["undone"] >= self.moments[moment].time
            for point in points
            if self.known[point["point"]] < moment
        )

    def _try(self, name: str, check_mode: bool, options: dict[str, t.Any]) -> t.Any:
        try:
            return rollback(self.engine, RollbackRequest(name, **options), check_mode)
        except SageError as error:
            return error

    def killed(self, name: str, nth: int, force: bool) -> None:
        """A rollback that ends at one of its calls."""
        now = self.moment()
        attempt(lambda: rollback(self.engine, RollbackRequest(name, force=force), False) and None, nth, None)
        self.note(now)
        self.unseen.update(dict.fromkeys(FILES, now))

    def finish(self, name: str, moment: int, begun: int, force: bool) -> None:
        """A rollback after one that was killed on its way to the moment C(begun)."""
        undoing = [one.undoing for one in self.changes() if one.undoing]
        if undoing:
            # It is finished, unless what was there before it is asked for and was kept.
            kept = self.known.get(str(undoing[0]["redo"]), -1)
            if not (0 <= moment <= kept or 0 <= moment <= begun):
                moment = begun
        before, between = self.moments[-1].parts, self.look()
        if not undoing:
            # The one that was to be killed had come to its end, and what this one keeps is what there is now.
            self.moment()
        expected, result = self._try(name, True, {"force": force}), self._try(name, False, {"force": force})
        if isinstance(result, SageError):
            assert type(result) is type(expected), (result, expected)
            gone = isinstance(result, RollbackError) and "is gone" in result.what
            assert gone or isinstance(result, (ConflictError, InputError)) or self.lossy, result
            self.over = self.over or any(one.undoing for one in self.changes()) or isinstance(result, RollbackError)
            return
        assert {**result, "redo_point": None} == expected
        self.note(len(self.moments) - 1)
        if not result["changed"]:
            # The one that was to be killed had come to its end, or had nothing to do.
            assert not undoing, self.story(moment)
            self.unchanged(between)
        if self._reachable(moment) and (result["changed"] or moment == begun):
            self.check(moment, before, True, (), self._certain(moment, result))
            again = self._try(name, True, {"force": force})
            assert isinstance(again, SageError) or not again["changed"], (name, again)

    def _certain(self, moment: int, result: t.Any) -> bool:
        """Whether the environment has to be as it was: not where it is said that a rollback in part kept nothing."""
        return bool(result["exact"]) or not any(number >= moment for number in self.unkept)

    def check(self, moment: int, before: Parts, aside: bool, kinds: t.Sequence[str], certain: bool = True) -> None:
        """Every part is what it was, but for what others changed since; of that nothing is lost.

        :param certain: also what is in the environment.
        """
        was, after = self.moments[moment].parts, self.look()
        for part in {*was, *before, *after}:
            if not certain and of_venv(part):
                continue
            if kinds and not of_venv(part):
                assert changes(before.get(part, {}), after.get(part, {})) == {}, part
                continue
            different = changes(was.get(part, {}), after.get(part, {}))
            theirs = [value for number, name, value in self.theirs if number >= moment and name == part]
            assert not different or after.get(part, {}) in theirs, (part, different, theirs, self.story(moment))
        # Where nobody looked at what a change left, an edit since is not told from it.
        before = {name: part for name, part in before.items() if self.unseen.get(name, -1) < moment}
        lost = self._hashes(before) - self._hashes(after)
        if lost and (aside or "venv" not in was):
            lost -= self._stored()
        if lost and aside and "venv" not in was:
            # What an unfinished installation made is removed with all that was edited in it.
            lost -= self._hashes({name: part for name, part in before.items() if of_venv(name)})
        assert not lost or self.lossy, (lost, self.story(moment))

    def story(self, moment: int) -> str:
        """What was recorded, for people."""
        lines = [f"to moment {moment} of {len(self.moments)}: {self.moments[moment].time}"]
        for point in self._points():
            told = {
                name: point.get(name) for name in ("phase", "time", "undone", "redo", "incomplete") if point.get(name)
            }
            lines.append(f"{point['point']} at moment {self.known[point['point']]}: {told}")
        return "\n".join(lines)

    def _hashes(self, parts: Parts) -> set[str]:
        return {str(what[4]) for part in parts.values() for what in part.values() if what[0] == "file"} & self.precious

    def _stored(self) -> set[str]:
        return {
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.path.rglob("*")
            if path.is_file() and not path.is_symlink()
        }
