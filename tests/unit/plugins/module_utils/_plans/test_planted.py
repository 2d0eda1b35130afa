# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others have planted in a wheelhouse is neither written through nor waited for."""

from __future__ import annotations

import hashlib
import os
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.plugins.module_utils._plans import fetch_wheels
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel

if t.TYPE_CHECKING:
    import pathlib

NAME = "one-1.0-py3-none-any.whl"
CONTENT = b"one"


class House(t.NamedTuple):
    """A wheelhouse, a wheel that it lacks, and somebody's file."""

    directory: pathlib.Path
    wheel: Wheel
    theirs: pathlib.Path

    def fetch(self) -> list[str]:
        """Fetch the wheel."""
        return fetch_wheels.fetch([self.wheel], str(self.directory), Index())


@pytest.fixture
def house(tmp_path: pathlib.Path) -> House:
    source, directory = tmp_path / NAME, tmp_path / "wheels"
    source.write_bytes(CONTENT)
    directory.mkdir()
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    wheel = Wheel(NAME, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", url=source.as_uri())
    return House(directory, wheel, theirs)


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_x10_no_link_is_written_through(house: House, plant: t.Callable[[str, str], None]) -> None:
    for name in (f".{NAME}.{os.getpid()}.partial", f".{NAME}.partial"):
        plant(str(house.theirs), str(house.directory / name))
    assert house.fetch() == [NAME]
    assert house.theirs.read_text() == "theirs"
    assert (house.directory / NAME).read_bytes() == CONTENT


def test_x10_a_link_to_nowhere_is_replaced_and_its_target_not_made(house: House) -> None:
    target = house.directory / "made"
    (house.directory / NAME).symlink_to(target)
    assert house.fetch() == [NAME]
    assert not target.exists()
    assert not (house.directory / NAME).is_symlink()


def test_x10_a_pipe_is_not_waited_for(house: House, tmp_path: pathlib.Path) -> None:
    _wheels = pytest.importorskip("ansible_collections.intellistream.sage.plugins.plugin_utils._wheels")
    os.mkfifo(house.directory / NAME)
    with pytest.raises(InputError, match="named pipe"):
        _wheels.bundle([house.wheel], str(house.directory), str(tmp_path))


def test_x10_the_lock_of_a_wheelhouse_is_no_link(house: House) -> None:
    _plans = pytest.importorskip("ansible_collections.intellistream.sage.plugins.plugin_utils._plans")
    target = house.directory / "made"
    (house.directory / ".sage-wheels.lock").symlink_to(target)
    with pytest.raises(_plans.StorageError), _plans.alone(str(house.directory), "sage-wheels"):
        pass
    assert not target.exists()
