# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback point that cannot be made says why, so that its caller can do something about it."""

from __future__ import annotations

import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_library_that_this_python_lacks_is_named_to_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_mode: bool
) -> None:
    """C(_calls.run) goes on in the system's Python then, which has it."""
    monkeypatch.setitem(sys.modules, "rpm", None)
    engine = Engine(str(tmp_path / "root"))
    with pytest.raises(NeedsLibrary, match="can import rpm"):
        backup(engine, [{"kind": "rpm", "packages": ["sage"]}], None, "", check_mode)
    with engine.reading() as session:
        assert session.installation is None
