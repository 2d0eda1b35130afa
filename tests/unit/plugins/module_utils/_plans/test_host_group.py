# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._plans import host_group
from ansible_collections.intellistream.sage.plugins.module_utils._plans.host_group import HostGroup
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheel_rank import rank

DEBIAN = HostGroup("linux", "x86_64", "glibc2_36", "cp311")
ALPINE = HostGroup("linux", "aarch64", "musl1_2", "cp312")
FREE = HostGroup("linux", "x86_64", "glibc2_36", "cp313t")


def test_this_host() -> None:
    group = host_group.of(sys.executable)
    assert group.system == sys.platform
    assert group.python.startswith("cp{}{}".format(*sys.version_info[:2]))
    assert group.minor == "{}.{}".format(*sys.version_info[:2])
    assert host_group.parse(group.name) == group
    assert "." not in group.name


@pytest.mark.parametrize("group", [DEBIAN, ALPINE, FREE, HostGroup("darwin", "arm64", "", "cp311")])
def test_name_and_back(group: HostGroup) -> None:
    assert host_group.parse(group.name) == group


@pytest.mark.parametrize("name", ["", "linux", "linux-x86_64", "../linux-x86_64-cp311", "linux-x86_64-cp311\n/x"])
def test_no_group(name: str) -> None:
    with pytest.raises(InputError, match="not the name of a group"):
        host_group.parse(name)


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("a-1-py3-none-any.whl", [DEBIAN, ALPINE, FREE]),
        ("a-1-py2.py3-none-any.whl", [DEBIAN, ALPINE, FREE]),
        ("a-1-py2-none-any.whl", []),
        ("a-1-py312-none-any.whl", [ALPINE, FREE]),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", [DEBIAN]),
        ("a-1-cp311-cp311-manylinux2014_x86_64.whl", [DEBIAN]),
        ("a-1-cp311-cp311-manylinux_2_39_x86_64.whl", []),
        ("a-1-cp311-cp311-manylinux_2_17_aarch64.whl", []),
        ("a-1-cp311-cp311-linux_x86_64.whl", [DEBIAN]),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", []),
        ("a-1-cp312-cp312-musllinux_1_1_aarch64.whl", [ALPINE]),
        ("a-1-cp312-cp312-musllinux_1_3_aarch64.whl", []),
        ("a-1-cp38-abi3-manylinux1_x86_64.whl", [DEBIAN]),
        ("a-1-cp312-abi3-manylinux1_x86_64.whl", []),
        ("a-1-cp313-cp313t-manylinux_2_28_x86_64.whl", [FREE]),
        ("a-1-cp313-cp313-manylinux_2_28_x86_64.whl", []),
        ("a-1-py3-none-manylinux_2_17_x86_64.whl", [DEBIAN, FREE]),
        ("a-1-py3-none-win_amd64.whl", []),
        ("a-1-py3-none-macosx_11_0_arm64.whl", []),
        ("a-1.tar.gz", []),
        ("a-1.whl", []),
    ],
)
def test_what_runs_where(wheel: str, fits: list[HostGroup]) -> None:
    assert [group for group in (DEBIAN, ALPINE, FREE) if rank(wheel, group)] == fits


def test_which_is_best() -> None:
    ordered = [
        "a-1-py3-none-any.whl",
        "a-1-1-py3-none-any.whl",
        "a-1-2-py3-none-any.whl",
        "a-1-cp39-abi3-manylinux2014_x86_64.whl",
        "a-1-cp311-cp311-manylinux2014_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1-cp311-cp311-linux_x86_64.whl",
    ]
    ranks = [rank(wheel, DEBIAN) for wheel in ordered]
    assert None not in ranks
    assert ranks == sorted(ranks, key=lambda one: one or (0,))


def test_agrees_with_the_packaging_library() -> None:
    """The tags that packaging computes for this interpreter all run here, in its order of platforms."""
    tags = pytest.importorskip("packaging.tags")
    here = host_group.of(sys.executable)
    if here.system != "linux":
        pytest.skip("only Linux has tags that depend on the C library")
    own = [f"a-1-{tag.interpreter}-{tag.abi}-{tag.platform}.whl" for tag in tags.sys_tags()]
    assert [wheel for wheel in own if not rank(wheel, here)] == []
