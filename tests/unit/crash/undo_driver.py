# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and rollback, each time in a child that a tracer can be put on before it begins; see C(driver.py)."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import keeper
from ansible_collections.intellistream.sage.tests.unit.crash import driver
from ansible_collections.intellistream.sage.tests.unit.crash.undo_places import CASES, SITUATIONS, act

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine


class Unclear(SageError):
    """What a module would show as a traceback."""


def action(name: str) -> t.Callable[[Engine], None]:
    """An action as the driver calls it."""

    def carry_out(engine: Engine) -> None:
        try:
            act(pathlib.Path(engine.root).parent, name)
        except OSError as error:
            raise Unclear(repr(error)) from error

    return carry_out


def main() -> None:
    """All is imported once, so that no call of the children is an import's."""
    # A tracer waits for all that its process has begun.
    keeper._SECONDS = 0
    where = pathlib.Path(tempfile.mkdtemp())
    for number, (name, situation) in enumerate(CASES):
        SITUATIONS[situation](where / str(number))
        act(where / str(number), name)
    shutil.rmtree(where)
    driver.ACTIONS.update({name: action(name) for name, dummy in CASES})
    driver.main()


if __name__ == "__main__":
    main()
