# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many hosts come at a time; documented in a file of its name."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleTemplatePluginError


def sage_serial(given: object) -> list[str]:
    """The keyword serial of a play, by the one reading of C(sage_serial)."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _inputs

    try:
        return _inputs.batches(given)
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"sage_serial {error}.") from error


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        """Name → filter."""
        return {"sage_serial": sage_serial}
