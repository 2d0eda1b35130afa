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
"""
