# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events for tests of the record, which need only say what they are about."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Event


def event(fields: t.Mapping[str, t.Any]) -> Event:
    """An event with nothing but these fields, or one that no version writes."""
    return t.cast("Event", fields)
