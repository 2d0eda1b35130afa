# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random sequences of installations, changes by others and rollbacks, against a plain model.

The model knows nothing of the engine: a list of moments, each with everything that was there, and a
list of what others changed. A rollback must bring every part back to what it was at its target's
moment, unless others changed that part since.
"""

from __future__ import annotations

import os
import typing as t

import hypothesis as h
import hypothesis.stateful as s
import pytest
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    ConflictError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE
from ansible_collections.intellistream.sage.tests.unit.property.model import FILES, HAND, NAMES, World

pytestmark = pytest.mark.property

# With SAGE_TEST_EXAMPLES=<number> as many random sequences, other ones each time.
MORE = int(os.environ.get("SAGE_TEST_EXAMPLES", "0"))
PINS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(("1.0", "2.0", "3.0")), min_size=1)
TARGETS = st.one_of(
    st.just("last"), st.sampled_from((PHASES[0], PHASES[2])), st.tuples(st.sampled_from("ipd"), st.integers(0, 30))
)


class Sequences(s.RuleBasedStateMachine):
    """A host, and all that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def teardown(self) -> None:
        self.world.remove()

    @s.rule(pins=PINS, ending=st.sampled_from(("finished",) * 4 + ("failed", "killed", "early")), again=st.booleans())
    def install(self, pins: dict[str, str], ending: str, again: bool) -> None:
        """An installation, as the role makes it."""
        try:
            self.world.install(pins, ending, again)
        except (ConflictError, CaptureError, StoreError) as error:
            self.world.refused(error)

    @s.rule(to=TARGETS, kinds=st.sampled_from(((), (), (), ("venv",))), force=st.sampled_from((False, False, True)))
    def undo(self, to: t.Any, kinds: tuple[str, ...], force: bool) -> None:
        """A rollback to anything."""
        self._undo(to, kinds=kinds, force=force)

    @s.rule(to=TARGETS, nth=st.integers(1, 120), force=st.booleans(), then=st.none() | TARGETS)
    def undo_killed(self, to: t.Any, nth: int, force: bool, then: t.Any) -> None:
        """A rollback that is killed; the next one finishes it."""
        name, moment = self.world.target(to)
        if name is not None:
            self.world.killed(name, nth, force)
            again, later = self.world.target(then) if then is not None else (name, moment)
            self.world.finish(again or name, moment if again is None else later, moment, force)

    def _undo(self, to: t.Any, **options: t.Any) -> None:
        name, moment = self.world.target(to)
        if name is not None:
            self.world.undo(name, moment, **options)

    @s.rule(paths=st.sets(st.sampled_from(FILES), min_size=1), settle=st.booleans(), what=st.integers(0, 2))
    def point(self, paths: set[str], settle: bool, what: int) -> None:
        """A rollback point made by hand around a change of files."""
        self.world.point(sorted(paths), settle, what)

    @s.rule(pins=PINS)
    def point_of_packages(self, pins: dict[str, str]) -> None:
        """A rollback point made by hand around an installer."""
        try:
            self.world.point_of_packages(pins)
        except CaptureError as error:
            self.world.refused(error)

    @s.rule(name=st.sampled_from((*NAMES, HAND)), known=st.booleans())
    def others_install(self, name: str, known: bool) -> None:
        self.world.others_install(name, known)

    @s.rule(name=st.sampled_from((*NAMES, HAND)))
    def others_uninstall(self, name: str) -> None:
        self.world.others_uninstall(name)

    @s.rule(name=st.sampled_from(NAMES), in_place=st.sampled_from((False, False, False, True)))
    def others_edit_library(self, name: str, in_place: bool) -> None:
        self.world.others_edit(f"venv/{SITE}/{name}/__init__.py", f"dist {name}", in_place)

    @s.rule(name=st.sampled_from(NAMES))
    def others_edit_script(self, name: str) -> None:
        self.world.others_edit(f"venv/bin/{name}", f"dist {name}", True, script=True)

    @s.rule()
    def others_edit_activate(self) -> None:
        self.world.others_edit("venv/bin/activate", "activate", True, script=True)

    @s.rule(path=st.sampled_from(FILES), in_place=st.booleans())
    def others_edit_file(self, path: str, in_place: bool) -> None:
        self.world.others_edit(path, path, in_place, script=True)


TestSequences = Sequences.TestCase
TestSequences.settings = h.settings(
    max_examples=MORE or 100,
    stateful_step_count=20 if MORE else 14,
    derandomize=not MORE,
    deadline=None,
    database=None,
    print_blob=False,
    # SAGE_TEST_SHRINK=0 shows what it finds at once.
    phases=[h.Phase.generate] if os.environ.get("SAGE_TEST_SHRINK") == "0" else list(h.Phase),
    suppress_health_check=list(h.HealthCheck),
)


@pytest.mark.property
@pytest.mark.parametrize("nth", range(84, 122, 6))
def test_an_undo_to_an_older_state_removes_what_another_had_put_back(nth: int) -> None:
    """It was killed after it had put files of a distribution back, and before their RECORD; they stayed."""
    machine = Sequences()
    try:
        for dummy in range(2):
            machine.install(again=False, ending="finished", pins={"pack": "1.0"})
        machine.others_install(known=False, name="pack")
        machine.undo_killed(force=True, nth=nth, then=("p", 3), to="last")
    finally:
        machine.teardown()


@pytest.mark.property
def test_directories_of_what_another_removed_stay_away() -> None:
    """No RECORD lists them: they came back, empty, with an installation that had failed."""
    machine = Sequences()
    try:
        machine.install(again=False, ending="finished", pins={"pack": "1.0"})
        machine.install(again=False, ending="failed", pins={"other": "1.0"})
        machine.others_uninstall(name="pack")
        machine.undo(force=False, kinds=(), to="last")
    finally:
        machine.teardown()
