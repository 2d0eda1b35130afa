# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import bench, template, tool

__all__ = ["bench", "template", "tool"]
