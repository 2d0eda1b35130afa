# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sage_lock_text; documented in the file of its name."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleTemplatePluginError


def sage_lock_text(path: str) -> str:
    """The text of a lock file on the controller."""
    from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
    from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile

    try:
        text = lockfile.read_file(path)
    except SageError as error:
        raise AnsibleTemplatePluginError(f"{path}: {error}") from error
    except OSError as error:
        raise AnsibleTemplatePluginError(f"The lock file {path} cannot be read: {error.strerror}.") from error
    if text is None:
        raise AnsibleTemplatePluginError(f"The lock file {path} does not exist.")
    return text


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[[str], str]]:
        """Name → filter."""
        return {"sage_lock_text": sage_lock_text}
