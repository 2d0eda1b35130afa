# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options about where distributions come from."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation shared by the modules that call pip or uv."""

    DOCUMENTATION = r"""
options:
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
