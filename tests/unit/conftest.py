# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Other checks run beside these on few cores: a pause of a second says nothing about a test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
