# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._plans.host_group import HostGroup
from ansible_collections.intellistream.sage.plugins.plugin_utils import _wheels

TOML = pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python cannot read TOML")
GROUP = "linux-x86_64-glibc2_36-cp311"
LOCK = 'lock-version = "1.0"\n\n'
DEBIAN = HostGroup("linux", "x86_64", "glibc2_36", "cp311")
DATA = {
    "one-1.0-cp311-cp311-manylinux_2_28_x86_64.whl": b"one",
    "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl": b"newer",
    "one-1.0-py3-none-any.whl": b"pure",
    "two-2.0-py3-none-any.whl": b"two",
}


def sha(name: str) -> str:
    return hashlib.sha256(DATA[name]).hexdigest()


def package(name: str, version: str, *wheels: str) -> str:
    listed = ", ".join(f'{{ url = "http://x/{one}?a=b", hashes = {{ sha256 = "{sha(one)}" }} }}' for one in wheels)
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\nwheels = [{listed}]\n'


def planned(name: str, version: str, **more: t.Any) -> dict[str, t.Any]:
    hashes = [f"sha256:{sha(one)}" for one in DATA if one.startswith(f"{name}-")]
    return {"name": name, "version": version, "hashes": hashes, "action": "add", **more}


def needed(text: str, *distributions: dict[str, t.Any], directory: str = "/nowhere") -> list[str]:
    return [wheel.file for wheel in _wheels.needed(text, distributions, DEBIAN, "/locks/pylock.toml", directory)]


@TOML
def test_the_wheel_for_the_hosts_platform() -> None:
    text = LOCK + package("one", "1.0", *[name for name in DATA if name.startswith("one")])
    assert needed(text, planned("one", "1.0")) == ["one-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"]


@TOML
def test_only_what_changes() -> None:
    text = LOCK + package("two", "2.0", "two-2.0-py3-none-any.whl")
    assert needed(text, planned("two", "2.0", action="keep")) == []
    assert needed(text, planned("two", "2.0", path="/src")) == []
    assert needed(text, planned("two", "2.0", action="replace")) == ["two-2.0-py3-none-any.whl"]


@TOML
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (package("one", "1.0", "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"), "has one-1.0-cp312-cp312-manylinux"),
        ('[[packages]]\nname = "one"\nversion = "1.0"\nsdist = { url = "http://x/one.tgz" }\n', "only its source"),
        ('[[packages]]\nname = "one"\nversion = "1.0"\n', "names no file of it"),
        (package("one", "1.1", "one-1.0-py3-none-any.whl"), "has none with the right hash"),
    ],
)
def test_no_wheel(text: str, why: str) -> None:
    with pytest.raises(InputError, match=f"There is no wheel for {GROUP} of: one 1.0 .*{why}") as caught:
        needed(LOCK + text, planned("one", "1.0"))
    assert caught.value.untouched == "every host; nothing was sent."


@TOML
def test_a_lock_file_without_names_of_files(tmp_path: pathlib.Path) -> None:
    for name, data in DATA.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "two-2.0-1-py3-none-any.whl").write_bytes(b"another build")
    text = f"two==2.0 --hash=sha256:{sha('two-2.0-py3-none-any.whl')}\n"
    assert needed(text, planned("two", "2.0"), directory=str(tmp_path)) == ["two-2.0-py3-none-any.whl"]


@TOML
def test_the_bundle(tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    for name, data in DATA.items():
        (tmp_path / name).write_bytes(data)
    text = LOCK + package("one", "1.0", "one-1.0-py3-none-any.whl") + package("two", "2.0", "two-2.0-py3-none-any.whl")
    wheels = _wheels.needed(text, [planned("one", "1.0"), planned("two", "2.0")], DEBIAN, "x", "y")
    path, sized = _wheels.bundle(wheels, str(tmp_path), str(tmp_path / "run"))
    assert pathlib.Path(path).read_bytes() == b"puretwo"
    assert [wheel.size for wheel in sized] == [4, 3]
    assert _wheels.bundle(wheels, str(tmp_path), str(tmp_path / "run")) == (path, sized)
    (tmp_path / "two-2.0-py3-none-any.whl").write_bytes(b"other")
    # What was checked and put together stays what it is.
    assert _wheels.bundle(wheels, str(tmp_path), str(tmp_path / "run")) == (path, sized)
    with pytest.raises(StoreError, match="is not the wheel that the lock file names"):
        _wheels.bundle(wheels[1:], str(tmp_path), str(tmp_path / "run"))
    name = os.path.basename(path)
    assert sorted(os.listdir(tmp_path / "run")) == [name, f"{name}.json"]
