# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the modules that call pip or uv."""

from __future__ import annotations


class ModuleDocFragment:
    """The tool and the index, which all of them have; C(RESOLVING): what to resolve, for those that do.

    C(DISTRIBUTIONS): what a planned distribution is, for those that take some.
    """

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
  index_url:
    description:
      - URL of the package index to use instead of PyPI.
      - Credentials in it reach pip and uv through their environment and appear in no result.
      - Without it, what pip is configured with on the host (C(pip.conf), C(PIP_*)) applies, also to uv,
        which does not read that itself. Settings made for uv come first.
    type: str
  extra_index_urls:
    description:
      - Further indexes.
      - pip takes the best version that any index offers, uv stays with the first index that knows the name.
    type: list
    elements: str
    default: []
  find_links:
    description:
      - Directories on the host, or URLs of pages, with files to choose from.
    type: list
    elements: str
    default: []
  no_index:
    description:
      - Ask no index, use O(find_links) only.
    type: bool
    default: false
  ca_certificate:
    description:
      - Path on the host of a file with the certificates to trust, for an index behind a company's own CA.
      - Without it, C(SSL_CERT_FILE) or pip's C(cert) setting applies, else the host's own store.
    type: path
  offline:
    description:
      - Never touch the network.
      - uv then uses its cache and O(find_links), pip only O(find_links).
    type: bool
    default: false
"""

    RESOLVING = r"""
options:
  python:
    description:
      - The interpreter to resolve for while there is no environment, as in M(intellistream.sage.sage_venv).
    type: str
    default: auto
  minimum:
    description:
      - The oldest version of Python that will do.
    type: str
    default: '3.11'
  requirements:
    description:
      - What to install, for example V(isage[full]==0.3.2.4).
    type: list
    elements: str
    default: []
  constraints:
    description:
      - Versions to stay within, if a distribution is needed at all.
    type: list
    elements: str
    default: []
"""

    DISTRIBUTIONS = r"""
options:
  distributions:
    suboptions:
      name:
        description: Name of the distribution.
        type: str
        required: true
      version:
        description: Its version; may be left out with O(distributions[].path).
        type: str
      hashes:
        description: Hashes of acceptable files, such as V(sha256:...). With none any file of the version will do.
        type: list
        elements: str
        default: []
      path:
        description: Source directory that it is installed from, instead of from the index.
        type: path
      editable:
        description: A reference to O(distributions[].path) is installed rather than a copy.
        type: bool
        default: false
      group:
        description: From the plan; not used.
        type: str
      action:
        description: From the plan; not used, what has to be done is found out anew.
        type: str
      from_version:
        description: From the plan; not used.
        type: str
"""
