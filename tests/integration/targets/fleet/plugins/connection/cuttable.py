# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The local connection, for hosts that cannot be reached while the file CUT/<host> is there."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cuttable
short_description: The local connection, with a cable to pull
version_added: 1.0.0
description:
  - For the tests.
extends_documentation_fragment:
  - connection_pipelining
options:
  # What the local connection asks for when a task becomes somebody.
  become_success_timeout:
    description: As there.
    type: int
    default: 10
  become_strip_preamble:
    description: As there.
    type: bool
    default: true
  cut:
    description: The directory with a file for each host that cannot be reached.
    type: path
    required: true
    env:
      - name: FLEET_CUT
  name:
    description: The host.
    vars:
      - name: inventory_hostname
"""

import os
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    """See DOCUMENTATION."""

    transport = "cuttable"

    def _path(self, suffix: str = "") -> str:
        return os.path.join(self.get_option("cut"), self.get_option("name") + suffix)

    def _look(self) -> None:
        if os.path.exists(self._path()):
            raise AnsibleConnectionFailure("the cable is out")

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> t.Any:
        """Run a command, if the cable is in; pull it before the answer when HOST.lose says so."""
        self._look()
        done = super().exec_command(cmd, in_data, sudoable)
        if os.path.exists(self._path(".lose")):
            os.rename(self._path(".lose"), self._path())
        self._look()
        return done

    def put_file(self, in_path: str, out_path: str) -> None:
        """Send a file, if the cable is in."""
        self._look()
        super().put_file(in_path, out_path)
