# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that lead to a host's state."""

from __future__ import annotations


class ModuleDocFragment:
    """Options O(root), O(checkpoint_dir), O(lock_timeout)."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - The directory SAGE is installed in.
      - The state lies in C(.sage/checkpoints) below it, private to the user the module runs as.
      - Neither the directory nor one above it may belong to another user when the module runs as root.
    type: path
    required: true
  checkpoint_dir:
    description:
      - Another place for the state than C(.sage/checkpoints) below O(root).
      - If not set, the environment variable E(SAGE_CHECKPOINT_DIR) of the managed host is used.
    type: path
  repackage_dir:
    description:
      - Another place for captured content than C(store) in the state, such as a larger disk. Each state has a
        directory of its own in it.
      - Remembered in the state, so it need not be given again. It cannot be changed while there is captured content.
      - If not set, the environment variable E(SAGE_REPACKAGE_DIR) of the managed host is used.
    type: path
  lock_timeout:
    description:
      - How many seconds to wait while another process changes the same state.
    type: int
    default: 60
  lease:
    description:
      - The lease that a run has on O(root). While it is at work, other runs are refused, by name.
      - The role gives O(lease.seconds) and O(lease.wait), and the action on the controller the rest. Where nothing is
        given, the lease is for this call only.
    type: dict
    suboptions:
      seconds:
        description:
          - After how many seconds without a call the run counts as dead, when it has no process on this host.
          - A run whose process its own controller knows to be gone counts as dead at once.
        type: float
        default: 600
      wait:
        description:
          - How many seconds to wait for another run to end.
        type: float
        default: 0
      one_of_many:
        description:
          - The run takes the leases of several hosts, and has some. Of two such runs that each have what the other one
            needs, one gives way at once, and the other waits a minute for that. O(lease.wait) does not count then.
        type: bool
        default: false
      hold:
        description:
          - Keep the lease after this call, even if no installation is at work.
        type: bool
        default: false
      prunes:
        description:
          - Keep the lease after this call where it leaves captures that M(intellistream.sage.sage_retention) may
            remove, which the run then calls next.
        type: bool
        default: false
      release:
        description:
          - Give the lease back with this call, even if an installation is unfinished.
        type: bool
        default: false
      brief:
        description:
          - The lease is for this call only, unless the run has it already.
        type: bool
        default: false
      run:
        description:
          - The id of the run; set by the action.
        type: str
        default: ""
      controller:
        description:
          - The name of its controller; set by the action.
        type: str
        default: ""
      pid_namespace:
        description:
          - A hash of the controller's machine, boot and namespace of processes; set by the action.
        type: str
        default: ""
      pid:
        description:
          - The process of Ansible; set by the action.
        type: int
        default: 0
      started:
        description:
          - When that process started; set by the action.
        type: str
        default: ""
      user:
        description:
          - Who started it; set by the action.
        type: str
        default: ""
      host:
        description:
          - The inventory's name of this host; set by the action.
        type: str
        default: ""
      dead:
        description:
          - Runs whose processes the controller knows to be gone; set by the action.
        type: list
        elements: str
        default: []
"""
