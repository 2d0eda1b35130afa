# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._installers import requirement
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin


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
