# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says that its lock file is: only a lock file is written on the controller (X10)."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin
from ansible_collections.intellistream.sage.plugins.plugin_utils import _lock_check

HASHES = ("sha256:" + "ab" * 32, "sha256:" + "cd" * 32)
PINS = [
    Pin("isage", "0.3.2.4", hashes=HASHES, url="https://index.example/isage-0.3.2.4-py3-none-any.whl"),
    Pin(
        "numpy",
        "2.1",
        hashes=HASHES[:1],
        marker="python_version < '3.14'",
        url="https://index.example/numpy-2.1.tar.gz",
    ),
    Pin("sage-apps", None, path="/opt/sage/src with blanks", editable=False),
]
EDITABLE = Pin("sage-dev", None, path="/opt/sage/src", editable=True)
COMPILED = "# made by uv\nisage[full]==0.3.2.4 \\\n    --hash=sha256:ab\n    # via -r requirements.in\n"


@pytest.mark.parametrize("text", [lockfile.text([*PINS, EDITABLE], "requirements", "3.11"), COMPILED, ""])
def test_x10_a_requirements_file_of_ours_is_one(text: str) -> None:
    _lock_check.check(text, "/srv/requirements.txt")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")
def test_x10_a_pylock_of_ours_is_one() -> None:
    _lock_check.check(
        lockfile.text([pin._replace(hashes=pin.hashes[:1]) for pin in PINS], "pylock", "3.11"), "/srv/pylock.toml"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("--index-url https://mine.example/\nisage==1\n", "is no pin"),
        ("isage==1 --hash=sha256:ab --index-url=https://mine.example/\n", "is no pin"),
        ("isage==1 \\\n    --extra-index-url https://mine.example/\n", "is no pin"),
        ("-r /etc/passwd\n", "is no pin"),
        ("isage @ https://mine.example/isage.whl\n", "is no pin"),
        ("isage>=1\n", "is no pin"),
        ("root:x:0:0:root:/root:/bin/bash\n", "is no pin"),
        ("isage==1\x1b[2J\n", "line 1 has characters that cannot be shown"),
        ("isage==1\n\u202e==1\n", "line 2 has characters that cannot be shown"),
        ("x" * (33 << 20), "no lock file has more than"),
    ],
)
def test_x10_what_a_host_plants_in_a_requirements_file_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InstallerError, match=problem):
        _lock_check.check(text, "/srv/requirements.txt")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")
@pytest.mark.parametrize(
    "text", ["", "[", 'lock-version = "2.0"\n', 'lock-version = "1.0"\npackages = 1\n', "[[packages]]\n"]
)
def test_x10_what_is_no_pylock_is_refused(text: str) -> None:
    with pytest.raises(InstallerError, match="not the lock file that it was asked for"):
        _lock_check.check(text, "/srv/pylock.toml")
