# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters about durations and moments; documented in files of their names."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible.errors import AnsibleTemplatePluginError


def sage_seconds(duration: t.Any) -> float:
    """The seconds of a duration."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _moments

    try:
        return _moments.seconds(duration)
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"{error}.") from error


def sage_seconds_until(moment: t.Any) -> float:
    """The seconds until a moment."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _moments

    try:
        return _moments.seconds_until(moment, dt.datetime.now(dt.timezone.utc).astimezone())
    except ValueError as error:
        raise AnsibleTemplatePluginError(f"{error}.") from error


def sage_task_timeout(seconds_left: t.Any, undo: t.Any) -> int:
    """After how many seconds a task is cut off, so that an undo fits into what is left of the window."""
    from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import estimate

    try:
        return estimate.cut(float(seconds_left), float(undo))
    except (TypeError, ValueError) as error:
        raise AnsibleTemplatePluginError(f"{error}.") from error


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., float]]:
        """Name → filter."""
        return {
            "sage_seconds": sage_seconds,
            "sage_seconds_until": sage_seconds_until,
            "sage_task_timeout": sage_task_timeout,
        }
