# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import HIDDEN, has_credentials, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:s3cret@index.example/simple", "https://index.example/simple"),
        ("https://s3cret@index.example/simple", "https://index.example/simple"),
        ("https://me:s3%40c@ret@index.example/simple", "https://index.example/simple"),
        ("see 'https://me:s3cret@a.example' and http://x:s3cret@b.example!", None),
        ("git+https://me:s3cret@a.example/x.git", "git+https://a.example/x.git"),
        ("ssh://git@host.example/x.git", "ssh://git@host.example/x.git"),
        ("ssh://git:s3cret@host.example/x.git", "ssh://git@host.example/x.git"),
        ("https://a.example/x?token=s3cret&b=1", f"https://a.example/x?token={HIDDEN}&b=1"),
        ("https://a.example/user@domain", "https://a.example/user@domain"),
        ("name@example.org wrote: 安装 isage @ file:///x", "name@example.org wrote: 安装 isage @ file:///x"),
    ],
)
def test_text(text: str, expected: str | None) -> None:
    result = redact(text)
    assert "s3cret" not in result
    if expected is not None:
        assert result == expected


def test_structures() -> None:
    value = {
        "url": "https://u:p@h/",
        "password": "x",
        "api_token": ["x"],
        "token": "",
        "no_password": True,
        "list": [("https://u:p@h/", 1, None)],
    }
    assert redact(value) == {
        "url": "https://h/",
        "password": HIDDEN,
        "api_token": HIDDEN,
        "token": "",
        "no_password": True,
        "list": [["https://h/", 1, None]],
    }


def test_has_credentials() -> None:
    assert has_credentials("https://u:p@h/")
    assert not has_credentials("https://h/")
    assert not has_credentials("/some/directory")
