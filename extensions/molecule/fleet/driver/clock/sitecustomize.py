# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A clock that goes wrong by SAGE_TEST_SHIFT seconds, for the Python programs that find this file in PYTHONPATH.

A container has no clock of its own. So what the collection sees of the time on a host is changed, and neither the times
that the kernel gives to files nor what sshd and the journal see. That is the harder case: the two do not even agree.
"""

from __future__ import annotations

import os
import time

SHIFT = float(os.environ.get("SAGE_TEST_SHIFT", "0"))
_time, _time_ns, _get = time.time, time.time_ns, time.clock_gettime
_localtime, _gmtime, _strftime, _ctime = time.localtime, time.gmtime, time.strftime, time.ctime

time.time = lambda: _time() + SHIFT
time.time_ns = lambda: _time_ns() + int(SHIFT * 1e9)
time.clock_gettime = lambda clock: _get(clock) + (SHIFT if clock == time.CLOCK_REALTIME else 0)
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.strftime = lambda form, moment=None: _strftime(form, time.localtime() if moment is None else moment)
time.ctime = lambda seconds=None: _ctime(time.time() if seconds is None else seconds)
