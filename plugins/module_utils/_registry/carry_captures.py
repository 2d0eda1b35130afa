# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What takes content into the store, one part per kind of resource that is always there.

A module that captures names this file, so that Ansible sends it to the host; what merely looks carries none of it,
as with C(_registry/carry_undos.py).
"""

from __future__ import annotations

import typing as t


def carry() -> None:
    """Do nothing: a module that calls this carries what captures."""


def files() -> t.Any:
    """M(_files.capture)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._files import capture as files_capture

    return files_capture


def git() -> t.Any:
    """M(_git.capture)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._git import capture as git_capture

    return git_capture


def venv() -> t.Any:
    """M(_venv.capture)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import capture as venv_capture

    return venv_capture
