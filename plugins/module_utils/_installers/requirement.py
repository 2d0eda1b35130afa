# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names, versions and pinned requirements as pip and uv understand them."""

from __future__ import annotations

import re
import typing as t

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)$", re.DOTALL)
_VERSION = re.compile(
    r"^v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_n>\d*))?"
    r"(?:-(?P<post_short>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_n>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_n>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$"
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

EDITABLE = "-e "  # how the line of an editable source begins

VersionKey = tuple[int, tuple[int, ...], tuple[int, str, int], tuple[int, int], tuple[int, int], str]


class Pin(t.NamedTuple):
    """One distribution that is to be exactly as stated.

    :param version: None when only a build would tell (a source directory with a computed version).
    :param hashes: C(sha256:…) of every file that is acceptable; empty when unknown.
    :param path: source directory it is built from; None for the index.
    :param marker: environment marker under which it applies; empty for always.
    :param url: where the index offers the file, when known.
    """

    name: str
    version: str | None
    hashes: tuple[str, ...] = ()
    path: str | None = None
    editable: bool = False
    marker: str = ""
    url: str = ""
    requires: tuple[str, ...] = ()


def normalise(name: str) -> str:
    """The name as indexes compare it (PEP 503): C(Foo_Bar) and C(foo-bar) are the same."""
    return _SEPARATORS.sub("-", name).lower()


def split(requirement: str) -> tuple[str, tuple[str, ...], str]:
    """Split a requirement into normalised name, extras and the rest (specifier, URL, marker).

    :raises ValueError: it does not start with a name.
    """
    match = _NAME.match(requirement)
    if not match:
        raise ValueError(f"{requirement!r} does not start with the name of a distribution")
    extras = tuple(sorted(normalise(extra.strip()) for extra in (match.group(2) or "").split(",") if extra.strip()))
    return normalise(match.group(1)), extras, match.group(3).strip()


def version_key(version: str) -> VersionKey:
    """A key that sorts versions as PEP 440 does; the local part is last and compared as text.

    :raises ValueError: it is no version.
    """
    match = _VERSION.match(version.strip().lower())
    if not match:
        raise ValueError(f"{version!r} is not a version")
    release = tuple(int(part) for part in match.group("release").split("."))
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    has_post = match.group("post") is not None or match.group("post_short") is not None
    has_dev = match.group("dev") is not None
    if match.group("pre") is not None:
        pre = (0, _PRE.get(match.group("pre"), match.group("pre")), int(match.group("pre_n") or 0))
    else:
        # 1.0.dev1 sorts before 1.0a1, which sorts before 1.0.
        pre = (-1 if has_dev and not has_post else 1, "", 0)
    post = (0, int(match.group("post_short") or match.group("post_n") or 0)) if has_post else (-1, 0)
    dev = (0, int(match.group("dev_n") or 0)) if has_dev else (1, 0)
    return int(match.group("epoch") or 0), release, pre, post, dev, (match.group("local") or "").replace("_", ".")


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean the same version (C(1.0) and C(1.0.0))."""
    if one == other:
        return True
    try:
        return version_key(one) == version_key(other)
    except ValueError:
        return False


def pin_line(pin: Pin, *, with_hashes: bool = True) -> str:
    """The line of a requirements file that stands for I(pin)."""
    if pin.path is not None:
        return f"{EDITABLE}{pin.path}" if pin.editable else f"{pin.name} @ {file_url(pin.path)}"
    line = f"{pin.name}=={pin.version}"
    if pin.marker:
        line = f"{line} ; {pin.marker}"
    if with_hashes and pin.hashes:
        line = " \\\n    ".join([line, *(f"--hash={item}" for item in pin.hashes)])
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
