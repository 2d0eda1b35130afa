# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What apt prints, as changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import plan
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database

if TYPE_CHECKING:
    import pathlib

SAID = """\
Reading package lists...
The following packages will be REMOVED:
  old
Inst of nothing
Remv old [1] [foo:amd64 ]
Inst bar [1] (2 localhost [all])
Inst goo (1:1-3 Debian:12.4/stable, Debian-Security:12/stable-security [amd64]) []
Inst foo [1.0~rc1] (2.0+b1 localhost, local-deb [all]) [lib:i386 ]
Inst lib:i386 [1] (2 Some (odd) name:1 [i386])
Purg gone [3]
Inst kept (9 localhost [all])
Conf bar (2 localhost [all])
"""


@pytest.fixture
def database(tmp_path: pathlib.Path) -> Database:
    there = [
        ("dpkg", "amd64", "1.21", "install ok installed"),
        ("old", "amd64", "1", "install ok installed"),
        ("bar", "all", "1", "install ok installed"),
        ("foo", "amd64", "1.0~rc1", "hold ok installed"),
        ("lib", "i386", "1", "install ok installed"),
        ("lib", "amd64", "1", "install ok installed"),
        ("gone", "all", "3", "deinstall ok config-files"),
        ("kept", "all", "8", "deinstall ok config-files"),
    ]
    (tmp_path / "status").write_text(
        "\n".join(f"Package: {n}\nStatus: {s}\nArchitecture: {a}\nVersion: {v}\n" for n, a, v, s in there)
    )
    return Database(str(tmp_path), str(tmp_path / "extended"))


def test_what_apt_says(database: Database) -> None:
    assert [tuple(one) for one in plan.parse(database, SAID)] == [
        ("old", "amd64", "1", None),
        ("bar", "all", "1", "2"),
        ("goo", "amd64", None, "1:1-3"),
        # What is there tells the architecture, also when what comes is for all.
        ("foo", "amd64", "1.0~rc1", "2.0+b1"),
        ("lib", "i386", "1", "2"),
        ("gone", "all", None, None),
        ("kept", "all", None, "9"),
    ]


def test_a_package_that_goes_and_comes_back_is_one_change(database: Database) -> None:
    said = "Remv bar [1]\nInst goo (1 x [all])\nInst bar [1] (2 x [all])\n"
    assert [tuple(one) for one in plan.parse(database, said)] == [
        ("goo", "all", None, "1"),
        ("bar", "all", "1", "2"),
    ]


def test_given_ones_have_what_is_really_there(database: Database) -> None:
    given: list[dict[str, Any]] = [
        {"name": "bar", "arch": "amd64", "before": "0", "after": "2"},
        {"name": "goo", "arch": "", "before": "7", "after": None},
        {"name": "lib", "before": None, "after": None},
    ]
    assert [tuple(one) for one in plan.given(database, given)] == [
        ("bar", "all", "1", "2"),
        ("goo", "amd64", None, None),
        ("lib", "amd64", "1", None),
    ]


@pytest.mark.parametrize(
    "packages",
    [
        ["*", "foo"],
        ["-y"],
        ["foo-"],
        ["foo bar"],
        ["foo\n"],
        ["FOO"],
        ["/x\0.deb"],
        ["/x.rpm"],
        [""],
        ["$(x)"],
        ["a;b"],
    ],
)
def test_requests_that_are_none(packages: list[str]) -> None:
    with pytest.raises(InputError):
        plan.check(packages, "latest")


@pytest.mark.parametrize("state", ["installed", "", "fixed"])
def test_states_that_are_none(state: str) -> None:
    with pytest.raises(InputError, match="present, latest, absent"):
        plan.check(["foo"], state)


def test_requests_that_are_fine() -> None:
    names = ["foo", "g++", "libx1.2:i386", "foo=1:2.0~rc1+x-1", "foo/stable-backports", "lib*-dev", "/x y/ü.deb", "0ad"]
    plan.check(names, "present")
    plan.check(["*"], "latest")
    with pytest.raises(InputError):
        plan.check(["*"], "present")
