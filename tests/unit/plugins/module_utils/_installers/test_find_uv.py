# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import fetch_uv, find_uv, interpreter
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse

if t.TYPE_CHECKING:
    import pathlib


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A host without uv."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere" / "python"))
    if os.path.exists("/usr/bin/uv") or os.path.exists("/bin/uv"):
        pytest.skip("uv is part of this system")
    return tmp_path


def fake(path: pathlib.Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho uv 1.0\n")
    path.chmod(0o755)
    return str(path)


def test_none(place: pathlib.Path) -> None:
    assert find_uv.choose("auto", None, None) == ("pip", "", "uv is not on this host", False)
    assert find_uv.choose("pip", None, None).name == "pip"
    with pytest.raises(InputError, match=r"uv is not on this host.*sage_uv"):
        find_uv.choose("uv", None, None)
    choice = find_uv.choose("auto", None, str(place / "tools"))
    assert choice.fetch
    assert choice.uv == str(place / "tools" / "bin" / "uv")


@pytest.mark.parametrize("where", ["bin/uv", "home/.local/bin/uv", "home/.cargo/bin/uv", "tools/bin/uv", "nowhere/uv"])
def test_places(place: pathlib.Path, where: str) -> None:
    path = fake(place / where)
    assert find_uv.choose("auto", None, str(place / "tools")) == ("uv", path, "", False)


def test_one_that_does_not_run_is_none(place: pathlib.Path) -> None:
    path = place / "bin" / "uv"
    fake(path)
    path.write_text("#!/bin/sh\nexit 1\n")
    assert find_uv.find(None, None) == ""


def test_named(place: pathlib.Path) -> None:
    path = fake(place / "x" / "uv")
    assert find_uv.find(path, None) == path
    with pytest.raises(InputError, match="does not run"):
        find_uv.find("/nowhere/uv", None)


@pytest.fixture
def index(tmp_path: pathlib.Path) -> Index:
    return Index(find_links=(str(tmp_path / "links"),), no_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("with_pip", [True, False], ids=["by its pip", "by ensurepip"])
@pytest.mark.parametrize("works", [True, False])
def test_fetch(tmp_path: pathlib.Path, index: Index, with_pip: bool, works: bool) -> None:
    python = interpreter.probe(sys.executable)
    if not (python.pip if with_pip else python.ensurepip):
        pytest.skip("this Python lacks it")
    script = "#!/bin/sh\necho uv 1.0\n" if works else "#!/bin/sh\nexit 1\n"
    wheelhouse.make_wheel(tmp_path / "links", "uv", "1.0", modules={"uv-1.0.data/scripts/uv": script})
    tools = tmp_path / "deep" / "tools"
    choice = find_uv.InstallerChoice("uv", str(tools / "bin" / "uv"), fetch=True)
    made = fetch_uv.obtain(choice, "auto", str(tools), python._replace(pip=with_pip), index, 120)
    if works:
        assert made == ("uv", choice.uv, "uv was not on this host, it was fetched", False)
        assert find_uv.works(choice.uv)
        assert os.listdir(tmp_path / "deep") == ["tools"]
    else:
        assert made.name == "pip"
        assert "does not run" in made.reason
        assert os.listdir(tmp_path / "deep") == []


@pytest.mark.slow
def test_fetch_fails(tmp_path: pathlib.Path, index: Index) -> None:
    (tmp_path / "links").mkdir()
    python = interpreter.probe(sys.executable)
    tools = tmp_path / "tools"
    choice = find_uv.InstallerChoice("uv", str(tools / "bin" / "uv"), fetch=True)
    made = fetch_uv.obtain(choice, "auto", str(tools), python, index, 120)
    assert made.name == "pip"
    assert made.reason.startswith("uv is not on this host and cannot be fetched: ")
    with pytest.raises(InstallerError):
        fetch_uv.obtain(choice, "uv", str(tools), python, index, 120)
    assert sorted(os.listdir(tmp_path)) == ["links"]
