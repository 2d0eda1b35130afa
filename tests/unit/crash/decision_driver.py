# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a run and deciding, each time in a child that a tracer can be put on before it begins; see C(driver.py)."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._fleet import decide as fleet_decide
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.barrier import BarrierVote, DecisionQuery
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import open_log
from ansible_collections.intellistream.sage.tests.unit.crash import driver

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DecisionResult

RUN = "r1"
HOSTS = ["a", "b"]


class Unclear(SageError):
    """What a module would show without advice."""


def open_run(root: str) -> DecisionResult:
    """Before anything is changed on a host."""
    return fleet_decide.open_run(root, RUN, False, HOSTS)


def decide(root: str) -> DecisionResult:
    """At the barrier, all prepared."""
    return fleet_decide.decide(root, BarrierVote(RUN, "commit", HOSTS, HOSTS), False)


def resolve(root: str) -> DecisionResult:
    """A host that is in doubt asks, where the decision log is."""
    log = open_log(root)
    assert log is not None
    with log:
        return fleet_decide.resolve_doubt(root, DecisionQuery(RUN, log.identity, hosts=["a"]), False)


ACTS = {"open": open_run, "decide": decide, "resolve": resolve}


def _action(name: str) -> t.Callable[[Engine], None]:
    def carry_out(engine: Engine) -> None:
        try:
            ACTS[name](engine.root)
        except OSError as error:
            raise Unclear(repr(error)) from error

    return carry_out


def main() -> None:
    """All is imported once, so that no call of the children is an import's."""
    where = pathlib.Path(tempfile.mkdtemp())
    open_run(str(where / "log"))
    decide(str(where / "log"))
    resolve(str(where / "log"))
    shutil.rmtree(where)
    driver.ACTIONS.update({name: _action(name) for name in ACTS})
    driver.main()


if __name__ == "__main__":
    main()
