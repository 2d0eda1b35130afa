# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change did besides its plan: undone where that can be, told where it cannot, and never called exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import (
    ORIGINAL,
    UPGRADED,
    Host,
    example,
    files_of,
)
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("tool", ["dnf", "rpm"])
def test_what_came_with_the_change_goes_with_it(host: Host, repository: Repository, tool: str, settled: bool) -> None:
    example(repository)
    point = host.capture("foo", state="latest")
    repository.add("more", "1", files={"/opt/more/data": "1"})
    if tool == "dnf":
        dnf("install", "foo-2", "more")
    else:
        run("rpm", "-U", *(repository.where / f"{name}.rpm" for name in (*UPGRADED, "more-1-1.noarch")))
    if settled:
        host.settle(point)
    told = host.undo(check=True)
    assert told["plan"]["erase"] == ["bar 2-1", "foo 2-1", "goo 1-1", "more 1-1"]
    result = host.undo()
    assert (result["plan"], result["exact"], result["inexact"]) == (told["plan"], True, [])
    assert installed() == ORIGINAL
    assert host.differences() == []


@pytest.mark.parametrize("settled", [True, False])
def test_what_was_upgraded_with_it_and_not_captured_is_told(host: Host, repository: Repository, settled: bool) -> None:
    example(repository)
    repository.add("base", "1", files={"/opt/base": "1"})
    dnf("install", "base")
    point = host.capture("foo", state="latest")
    if settled:
        # After the plan was made, the repository gets another one.
        repository.build("foo", "3", files=files_of("3"), fields=["Requires: base >= 2"])
    repository.add("base", "2", files={"/opt/base": "2"})
    dnf("upgrade", "foo", "base")
    if settled:
        host.settle(point)
    why = "base: was 1-1 and became 2-1 with the change, which had not planned it: it was not captured and stays"
    for check in (True, False):
        result = host.undo(check=check)
        assert (result["exact"], result["inexact"]) == (False, [why])
    assert installed() == ["bar-1-1.noarch", "base-2-1.noarch", "foo-1-1.noarch"]
    assert all("base" in line for line in host.differences())


def test_what_others_did_meanwhile_stays_and_is_told(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("theirs", "1", files={"/opt/theirs": "1"})
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    dnf("install", "theirs")
    host.settle(point)
    result = host.undo()
    why = "theirs: was not installed and became 1-1 meanwhile, by somebody else: it stays"
    assert (result["exact"], result["inexact"]) == (False, [why])
    assert installed() == sorted([*ORIGINAL, "theirs-1-1.noarch"])


def test_what_others_took_back_is_not_told(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("theirs", "1", files={"/opt/theirs": "1"})
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    dnf("install", "theirs")
    host.settle(point)
    dnf("remove", "theirs")
    assert host.undo()["exact"]
    assert host.differences() == []


@pytest.mark.parametrize("gone", [False, True])
def test_an_older_capture_brings_it_back(host: Host, repository: Repository, gone: bool) -> None:
    example(repository)
    first = host.capture("bar", state="latest")
    dnf("upgrade", "bar")
    host.settle(first)
    second = host.capture("foo", state="latest")
    more = "Conflicts: bar" if gone else "Requires: bar >= 3"
    repository.build("foo", "3", files=files_of("3"), fields=[more])
    repository.add("bar", "3", files={"/opt/bar/data": "3"})
    dnf("install", "--allowerasing", "foo-3")
    assert installed() == (["foo-3-1.noarch"] if gone else ["bar-3-1.noarch", "foo-3-1.noarch"])
    host.settle(second)
    result = host.undo(to=first)
    assert (result["exact"], result["inexact"]) == (True, [])
    assert host.differences(0) == []
