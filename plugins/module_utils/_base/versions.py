"""Versions of distributions, compared as PEP 440 does."""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"^v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_n>\d*))?"
    r"(?:-(?P<post_short>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_n>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_n>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$"
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

VersionKey = tuple[int, tuple[int, ...], tuple[int, str, int], tuple[int, int], tuple[int, int], str]


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
    return int(match.group("epoch") or 0), release, pre, post, dev, re.sub("[-_]", ".", match.group("local") or "")


def same_version(version: str, other: str) -> bool:
    """Whether two spellings, one perhaps from the name of a directory, mean the same version.

    C(1.0) and C(1.0.0) do (PEP 440), and so do C(1.0+A-b) and C(1.0+a_b). What PEP 440 does not know has to be spelled
    alike.
    """
    if version.lower().replace("_", "-") == other.lower().replace("_", "-"):
        return True
    try:
        return version_key(version) == version_key(other)
    except ValueError:
        return False
