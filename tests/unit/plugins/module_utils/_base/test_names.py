# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and versions of distributions are compared as PEP 503 and PEP 440 do."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import names, versions

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
    keys = [versions.version_key(version) for version in VERSIONS]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_order_is_that_of_packaging() -> None:
    version = pytest.importorskip("packaging.version")
    for one, other in itertools.product(VERSIONS, repeat=2):
        ours = versions.version_key(one) < versions.version_key(other)
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
    assert versions.same_version(one, other) is expected


def test_names_and_versions_from_names_of_directories() -> None:
    assert names.canonical("A.b__C") == "a-b-c"
    assert versions.same_version("1.0_1", "1.0-1")
    assert not versions.same_version("1.0", "1.0.1")
