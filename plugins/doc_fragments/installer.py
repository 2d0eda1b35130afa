# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options about the tool that installs."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation shared by the modules that call pip or uv."""

    DOCUMENTATION = r"""
options:
  installer:
    description:
      - The tool that installs.
      - V(auto) is uv when it can be had, else pip. uv is many times faster.
      - V(uv) fails when uv cannot be had.
    type: str
    choices: [auto, uv, pip]
    default: auto
  uv:
    description:
      - The uv to use, a path or a name on C(PATH) of the host.
      - Without it, uv is looked for on C(PATH), in O(tools), in C(~/.local/bin), in C(~/.cargo/bin) and beside
        the interpreter that Ansible runs on.
    type: path
  tools:
    description:
      - Directory for a uv that M(intellistream.sage.sage_venv) fetches from the index when the host has none,
        usually C(<sage_root>/.sage/tools).
      - Without it nothing is fetched.
    type: path
  timeout:
    description:
      - Seconds that one call of pip or uv may take; V(0) is no limit.
      - One that takes longer is ended together with everything it has started.
    type: int
    default: 0
"""
