# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import find_python, interpreter

VERSION = "{}.{}.{}".format(*sys.version_info[:3])

if t.TYPE_CHECKING:
    import pathlib


def fake(directory: pathlib.Path, name: str, version: str) -> str:
    """An executable that answers like a Python of that version."""
    path = directory / name
    answer = (
        f'{{"executable": "{path}", "base": "{path}", "version": "{version}",'
        ' "pip": false, "ensurepip": true, "markers": {}}'
    )
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def bin_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/bin")
    monkeypatch.setattr(find_python, "candidates", lambda minimum: sorted(map(str, directory.iterdir())))
    return directory


def test_probe_this_one() -> None:
    found = interpreter.probe(sys.executable)
    assert found.version == VERSION
    assert found.executable == sys.executable
    assert found.minor == "{}.{}".format(*sys.version_info[:2])
    assert found.markers["sys_platform"] == sys.platform


def test_markers_are_those_of_packaging() -> None:
    markers = pytest.importorskip("packaging.markers")
    assert interpreter.probe(sys.executable).markers == {
        key: value for key, value in markers.default_environment().items() if key != "extra"
    }


def test_probe_of_something_else() -> None:
    with pytest.raises(InstallerError, match="does not answer like a Python"):
        interpreter.probe("/bin/true")
    with pytest.raises(InstallerError):
        interpreter.probe("/bin/false")


def test_newest_wins(bin_directory: pathlib.Path) -> None:
    for name, version in (("a", "3.9.2"), ("b", "3.12.1"), ("c", "3.11.9"), ("d", "3.12.0")):
        fake(bin_directory, name, version)
    broken = bin_directory / "e"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert find_python.find("auto", "3.11").version == "3.12.1"


def test_none_is_new_enough(bin_directory: pathlib.Path) -> None:
    fake(bin_directory, "python3", "3.9.2")
    with pytest.raises(InputError, match=r"needs Python 3\.11 or newer.*python3 is 3\.9\.2.*sage_python") as caught:
        find_python.find("auto", "3.11")
    assert caught.value.details["found"][0]["version"] == "3.9.2"


def test_none_at_all(bin_directory: pathlib.Path) -> None:
    with pytest.raises(InputError, match="no Python 3 at all"):
        find_python.find("auto", "3.11")


def test_named(bin_directory: pathlib.Path) -> None:
    path = fake(bin_directory, "python3.12", "3.12.1")
    for name in (path, "python3.12", "3.12"):
        assert find_python.find(name, "3.11").executable == path
    with pytest.raises(InputError, match=r"is Python 3\.12\.1.*3\.13 or newer"):
        find_python.find(path, "3.13")
    with pytest.raises(InputError, match="no interpreter /nowhere"):
        find_python.find("/nowhere", "3.11")


def test_minimum() -> None:
    with pytest.raises(InputError, match="not a version"):
        find_python.find("auto", "new")
    assert find_python.at_least("3.11.2", "3.11")
    assert find_python.at_least("3.14.0rc1", "3.14")
    assert not find_python.at_least("3.9.20", "3.11")


def test_candidates_name_each_once() -> None:
    paths = find_python.candidates("3.9")
    assert len(paths) == len(set(paths))
    assert paths
