"""Names, versions and pinned requirements as pip and uv understand them."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical

_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)$", re.DOTALL)

EDITABLE = "-e "  # how the line of an editable source begins


class Pin(t.NamedTuple):
    """One distribution that is to be exactly as stated.

    :param name: normalised (PEP 503).
    :param version: None when only a build would tell (a source directory with a computed version).
    :param hashes: C(sha256:…) of every file that is acceptable; empty when unknown.
    :param path: source directory it is built from; None for the index.
    :param editable: whether I(path) is referred to rather than copied.
    :param marker: environment marker under which it applies; empty for always.
    :param url: where the index offers the file; empty when unknown.
    :param requires: what its metadata says it requires, C(Requires-Dist); empty when unknown.
    """

    name: str
    version: str | None
    hashes: tuple[str, ...] = ()
    path: str | None = None
    editable: bool = False
    marker: str = ""
    url: str = ""
    requires: tuple[str, ...] = ()


def split(requirement: str) -> tuple[str, tuple[str, ...], str]:
    """Split a requirement into normalised name, extras and the rest (specifier, URL, marker).

    :raises ValueError: it does not start with a name.
    """
    match = _NAME.match(requirement)
    if not match:
        raise ValueError(f"{requirement!r} does not start with the name of a distribution")
    extras = tuple(sorted(canonical(extra.strip()) for extra in (match.group(2) or "").split(",") if extra.strip()))
    return canonical(match.group(1)), extras, match.group(3).strip()


def pin_line(pin: Pin, *, with_hashes: bool = True) -> str:
    """The line of a requirements file that stands for I(pin)."""
    if pin.path is not None:
        return f"{EDITABLE}{pin.path}" if pin.editable else f"{pin.name} @ {file_url(pin.path)}"
    line = f"{pin.name}=={pin.version}"
    if pin.marker:
        line = f"{line} ; {pin.marker}"
    if with_hashes and pin.hashes:
        line = " \\\n    ".join([line, *(f"--hash={digest}" for digest in pin.hashes)])
    return line


def file_url(path: str) -> str:
    """The C(file://) URL of an absolute path."""
    from urllib.parse import quote

    return f"file://{quote(path)}"


def url_path(url: str) -> str | None:
    """The path a C(file://) URL stands for; None for any other URL."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else None
