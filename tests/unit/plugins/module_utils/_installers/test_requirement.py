# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import names
from ansible_collections.intellistream.sage.plugins.module_utils._installers import requirement
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

VERSIONS = [
    "0.9",
    "1.0.dev1",
    "1.0a1.dev1",
    "1.0a1",
    "1.0a2",
    "1.0b1",
    "1.0rc1",
    "1.0",
    "1.0.post1.dev1",
    "1.0.post1",
    "1.0-2",
    "1.0.1",
    "1.1",
    "1.10",
    "2!0.1",
]


def test_order() -> None:
    keys = [names.version_key(version) for version in VERSIONS]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_order_is_that_of_packaging() -> None:
    version = pytest.importorskip("packaging.version")
    for one, other in itertools.product(VERSIONS, repeat=2):
        ours = names.version_key(one) < names.version_key(other)
        assert ours == (version.Version(one) < version.Version(other)), (one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1.0", "1.0.0", True),
        ("1.0-1", "1.0.post1", True),
        ("1.0alpha1", "1.0a1", True),
        ("V1.0", "1.0", True),
        ("2.6.0+cu121", "2.6.0", False),
        ("2.6.0+cu_121", "2.6.0+cu.121", True),
        ("1.0", "1.1", False),
        ("weird", "weird", True),
        ("weird", "1.0", False),
    ],
)
def test_same_version(one: str, other: str, expected: bool) -> None:
    assert names.same_version(one, other) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("isage", ("isage", (), "")),
        ("I.Sage[Full,dev]>=1 ; x", ("i-sage", ("dev", "full"), ">=1 ; x")),
        (" a_b == 1.0", ("a-b", (), "== 1.0")),
        ("isage[full] @ file:///x", ("isage", ("full",), "@ file:///x")),
    ],
)
def test_split(text: str, expected: tuple[str, tuple[str, ...], str]) -> None:
    assert requirement.split(text) == expected


@pytest.mark.parametrize("text", ["", "-r other.txt", "--index-url=x", "./path", "/path", "$(x)"])
def test_split_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="name of a distribution"):
        requirement.split(text)


def test_pin_line() -> None:
    pin = Pin("a", "1.0", ("sha256:x", "sha256:y"), marker="os_name == 'posix'")
    assert requirement.pin_line(pin) == ("a==1.0 ; os_name == 'posix' \\\n    --hash=sha256:x \\\n    --hash=sha256:y")
    assert requirement.pin_line(pin._replace(marker=""), with_hashes=False) == "a==1.0"
    assert requirement.pin_line(Pin("a", None, path="/x y")) == "a @ file:///x%20y"
    assert requirement.pin_line(Pin("a", None, path="/x", editable=True)) == "-e /x"


def test_urls() -> None:
    assert requirement.url_path(requirement.file_url("/a b/安装#1")) == "/a b/安装#1"
    assert requirement.url_path("https://x/y") is None
