# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep credentials out of results, messages and state."""

from __future__ import annotations

import re
import typing as t

# All lengths are bounded: a long text costs its length, not its square.
# Greedy up to the last "@" before the path: a password may itself contain "@".
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30})://(?P<userinfo>[^/?#\s'\"<>]+)@")
_QUERY = re.compile(r"(?i)([?&][^=&?\s]{0,60}?(?:token|password|passwd|secret|api_?key)[^=&?\s]{0,60}=)[^&\s'\"]+")
_SECRET_KEY = re.compile(r"(?i)passw(?:or)?d|passphrase|token|secret|credential|api_?key|private_?key")

HIDDEN = "********"


def _strip(match: t.Match[str]) -> str:
    scheme = match.group("scheme")
    if "ssh" in scheme.lower():
        # "ssh://git@host" names an account that the address does not work without; it is no secret.
        return f"{scheme}://{match.group('userinfo').split(':', 1)[0]}@"
    return f"{scheme}://"


def redact_text(text: str) -> str:
    """Return I(text) with user names and passwords removed from every URL in it."""
    if "@" in text:
        text = _USERINFO.sub(_strip, text)
    return _QUERY.sub(rf"\g<1>{HIDDEN}", text) if "=" in text else text


def redact(value: t.Any) -> t.Any:
    """Return a copy of JSON-able I(value) without credentials.

    URLs in strings lose C(user:password@); values of dictionary keys that look like a password,
    token or secret are replaced as a whole.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {
            key: HIDDEN
            if isinstance(key, str) and _SECRET_KEY.search(key) and not isinstance(item, bool) and item
            else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return value


def has_credentials(url: str) -> bool:
    """Whether I(url) carries something that must not show up in a process list."""
    return redact_text(url) != url
