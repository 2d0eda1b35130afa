# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A library that no Python of the host has is an error of the work; all else passes through."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary
from ansible_collections.intellistream.sage.plugins.module_utils._calls.respawn import respawning

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# The work takes it and looks at nothing of it.
MODULE = t.cast("AnsibleModule", None)


def test_a_library_that_no_python_has_is_named() -> None:
    pytest.importorskip("ansible.module_utils.common.respawn")

    def work(module: AnsibleModule) -> t.Mapping[str, object]:
        raise NeedsLibrary("sage_no_such_library")

    with pytest.raises(NeedsLibrary) as caught:
        respawning(work)(MODULE)
    assert caught.value.library == "sage_no_such_library"


def test_the_result_of_the_work_is_returned() -> None:
    assert respawning(lambda module: {"changed": False})(MODULE) == {"changed": False}
