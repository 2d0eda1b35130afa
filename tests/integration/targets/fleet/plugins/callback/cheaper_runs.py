# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saves processor time in runs of the tests: archives of modules are kept, and Ansible waits instead of looking."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cheaper_runs
type: aggregate
short_description: Use less processor time, for the tests
version_added: 1.0.0
description:
  - Each run of Ansible finds out anew what each of its modules imports and packs that, which costs more than the task
    itself on the controller. The archive depends on nothing but the sources, and contains no arguments. Ansible keeps
    the archives of a run in its temporary directory; this makes them those of all runs with the same directory, which
    has to be a new one when sources have changed. Where Ansible does not look there, nothing is different.
  - While a task runs, Ansible looks a thousand times a second whether it has ended. This makes it fifty times. There is
    an option for that, V(internal_poll_interval), but no environment variable.
options:
  directory:
    description: Where the archives are kept; without it each run builds its own.
    type: path
    env:
      - name: SAGE_TEST_MODULES
    ini:
      - section: cheaper_runs
        key: directory
"""

import os
import typing as t

from ansible import constants
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cheaper_runs"
    # ansible-test names the callbacks that it enables, and no others: it is there wherever its directory is.
    CALLBACK_NEEDS_ENABLED = False

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """Before the first task."""
        constants.DEFAULT_INTERNAL_POLL_INTERVAL = 0.02
        directory = self.get_option("directory")
        if directory:
            os.makedirs(directory, exist_ok=True)
            os.symlink(directory, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
