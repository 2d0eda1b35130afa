"""Keep credentials out of results, messages and state."""

from __future__ import annotations

import re
import typing as t

# All lengths are bounded: a long text costs its length, not its square.
# Greedy up to the last "@" before the path: a password may itself contain "@".
# A quote belongs to it unless it ends a string there: a password may contain one, and a shell's quoting adds more.
_USERINFO = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30})://(?P<userinfo>(?:[^/?#\s'\"<>]|['\"](?![,:;\])}]))+)@"
)
_QUERY = re.compile(
    r"(?i)([?&](?:[^=&?\s]{0,60}?(?:token|password|passwd|secret|api[_-]?key|signature|credential|authorization)"
    r"[^=&?\s]{0,60}|sig|key|jwt|pwd|pass)=)(?:[^&\s'\"]|['\"](?=\w))+"
)
# In what a command or a server says, as "Name: value" to the end of the line or of the string.
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|[a-z-]{0,40}-(?:token|api-?key)|(?:set-)?cookie)(['\"]?\s?:\s?['\"]?)"
    r"(?:(basic|bearer|digest|negotiate|token) )?[^\r\n'\"]+"
)
_SECRET_KEY = re.compile(
    r"(?i)passw(?:or)?d|passphrase|token|secret|credential|api_?key|private_?key|authorization|^(?:set-)?cookie$"
)

HIDDEN = "********"

T = t.TypeVar("T")


def _strip(match: t.Match[str]) -> str:
    scheme = match.group("scheme")
    if "ssh" in scheme.lower():
        # "ssh://git@host" names an account that the address does not work without; it is no secret.
        return f"{scheme}://{match.group('userinfo').split(':', 1)[0]}@"
    return f"{scheme}://"


def _hide_header(match: t.Match[str]) -> str:
    scheme = f"{match.group(3)} " if match.group(3) else ""
    return f"{match.group(1)}{match.group(2)}{scheme}{HIDDEN}"


def redact_text(text: str) -> str:
    """Return I(text) without user names and passwords in URLs, secret parameters in queries, and what headers hide."""
    if "@" in text:
        text = _USERINFO.sub(_strip, text)
    if ":" in text:
        text = _HEADER.sub(_hide_header, text)
    return _QUERY.sub(rf"\g<1>{HIDDEN}", text) if "=" in text else text


def redact(data: T) -> T:
    """Return a copy of JSON-able I(data) without credentials; a tuple becomes a list.

    URLs in strings lose C(user:password@); what keys that look like a password, token or secret stand for is replaced
    as a whole.
    """
    return t.cast("T", _redacted(data))


def _redacted(data: object) -> object:
    if isinstance(data, str):
        return redact_text(data)
    if isinstance(data, dict):
        return {key: HIDDEN if _is_secret(key, field) else _redacted(field) for key, field in data.items()}
    if isinstance(data, (list, tuple)):
        return [_redacted(part) for part in data]
    return data


def _is_secret(key: object, field: object) -> bool:
    """Whether a field of a mapping is a secret by its key; one that is empty, or yes or no, is not."""
    return isinstance(key, str) and bool(_SECRET_KEY.search(key)) and not isinstance(field, bool) and bool(field)


def has_credentials(url: str) -> bool:
    """Whether I(url) carries something that must not show up in a process list."""
    return redact_text(url) != url
