# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""C(UV_LINK_MODE=symlink): the files of a package are links into uv's cache, which somebody may clean."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._venv.test_resource import Host
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import UV

if TYPE_CHECKING:
    from pathlib import Path


def _uv(host: Host, *words: str, mode: str = "symlink") -> None:
    base = host.root.parent
    environment = {"PATH": os.environ["PATH"], "UV_CACHE_DIR": f"{base}/cache", "UV_LINK_MODE": mode}
    subprocess.run([UV, *words], check=True, env=environment, capture_output=True)


@pytest.mark.skipif(not UV, reason="there is no uv here")
def test_v4_f8_links_into_a_cache_are_refused_and_the_advice_helps(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "wheels").mkdir()
    host = Host(tmp_path)
    _uv(host, "venv", "-p", sys.executable, str(host.venv.path))
    wheelhouse.make_wheel(str(tmp_path / "wheels"), "linked", "1.0", ())
    python = f"{host.venv.path}/bin/python"
    install = ("pip", "install", "--offline", "--no-index", "-f", f"{tmp_path}/wheels", "-p", python)
    _uv(host, *install, "linked")
    before = host.look()
    with pytest.raises(CaptureError, match=r"linked 1\.0 cannot be captured: .* is a link to .*cache") as caught:
        host.capture("linked==2.0")
    assert "UV_LINK_MODE" in caught.value.advice
    assert host.look() == before
    # What the change does not replace is nobody's concern.
    host.capture("other==1.0")
    _uv(host, *install, "--reinstall", "linked", mode="copy")
    host.capture("linked==2.0")
