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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:it's3cret@a.example/x", "https://a.example/x"),
        ('https://me:s3cret"s3cret@a.example/x', "https://a.example/x"),
        # As shlex quotes it in a command.
        ("""'https://me:s3cret'"'"'s3cret@a.example/x'""", "'https://a.example/x'"),
        ("""{'a': 'https://a.example','b': 'x@example'}""", """{'a': 'https://a.example','b': 'x@example'}"""),
        ('["https://a.example","me@example"]', '["https://a.example","me@example"]'),
        ("https://a.example/x?sig=s3cret%3D&se=1", f"https://a.example/x?sig={HIDDEN}&se=1"),
        ("https://a.example/x?a=1&X-Amz-Signature=s3cret", f"https://a.example/x?a=1&X-Amz-Signature={HIDDEN}"),
        ("https://a.example/x?X-Amz-Credential=s3cret&v=2", f"https://a.example/x?X-Amz-Credential={HIDDEN}&v=2"),
        ("https://a.example/x?X-Goog-Signature=s3cret'", f"https://a.example/x?X-Goog-Signature={HIDDEN}'"),
        ("https://a.example/x?token=it's3cret&b=1", f"https://a.example/x?token={HIDDEN}&b=1"),
        ("https://a.example/x?design=1&keys=2&author=me", "https://a.example/x?design=1&keys=2&author=me"),
        ("Authorization: Basic czNjcmV0 s3cret\nHost: a", f"Authorization: Basic {HIDDEN}\nHost: a"),
        ("curl -H 'authorization: Bearer s3cret' a", f"curl -H 'authorization: Bearer {HIDDEN}' a"),
        ("{'Proxy-Authorization': 'Basic s3cret', 'a': 1}", f"{{'Proxy-Authorization': 'Basic {HIDDEN}', 'a': 1}}"),
        ("http.extraheader=AUTHORIZATION: basic s3cret", f"http.extraheader=AUTHORIZATION: basic {HIDDEN}"),
        ("PRIVATE-TOKEN: s3cret", f"PRIVATE-TOKEN: {HIDDEN}"),
        ("X-JFrog-Art-Api-Key: s3cret", f"X-JFrog-Art-Api-Key: {HIDDEN}"),
        ("Set-Cookie: session=s3cret; Path=/", f"Set-Cookie: {HIDDEN}"),
        ("no authorization was asked for: it is public", "no authorization was asked for: it is public"),
    ],
)
def test_x8_headers_signatures_and_odd_quoting(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


def test_x8_a_long_text_costs_its_length() -> None:
    """No pattern looks at a text more often than its length times a bound: what is hostile ends, too."""
    for part in ("https://'", "?token", "authorization", "x-", "-token: ", "'\"", "://a'"):
        assert isinstance(redact(part * 20_000), str)


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
