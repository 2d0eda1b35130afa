"""What a dpkg that was killed while it unpacked left on disk and had not recorded yet."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import apt
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    ADMIN,
    CONFIG_FILES,
    Database,
    Package,
    fingerprint,
    load,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import Goal, Slot
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer

_ARCHIVES = "/var/cache/apt/archives"
# The control files of the package that is being unpacked.
_UNPACKING = os.path.join(ADMIN, "tmp.ci")
_TEMPORARY = (".dpkg-new", ".dpkg-tmp")


def find(goals: t.Mapping[Slot, Goal], now: t.Mapping[Slot, Package], layers: t.Sequence[Layer]) -> list[str]:
    """Paths of which the recorded packages may know nothing; some may be somebody's, or not there.

    :param now: what is there.
    """
    half = [goal for slot, goal in goals.items() if slot in now and _half(now[slot])]
    if not half and not os.path.isdir(_UNPACKING):
        return []
    sums: dict[str, str] = {}
    for name in ("md5sums", "conffiles"):
        _sums(load(f"{_UNPACKING}/{name}"), sums)
    for deb in _debs({goal.slot[0] for goal in half}, layers):
        _sums(apt.control_file(deb, "md5sums"), sums)
        for kind, path in apt.listed(deb):
            if kind != "d":
                sums.setdefault(path, "")
    since = min(layer.time for layer in layers)
    diverted = {one.path: one.to for one in Database().diversions()}
    found = []
    for path, md5 in sums.items():
        real = diverted.get(path, path)
        found += [f"{real}{suffix}" for suffix in _TEMPORARY if os.path.lexists(f"{real}{suffix}")]
        # What was there before the change is somebody's own.
        if os.path.lexists(real) and os.lstat(real).st_ctime >= since and md5 in ("", fingerprint(real)):
            found.append(real)
    return found


def tidy() -> None:
    """Remove dpkg's own temporary files, as its next run would; for the caller that holds the locks."""
    shutil.rmtree(_UNPACKING, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{ADMIN}/updates/tmp.i")


def _half(one: Package) -> bool:
    return not one.installed and one.state != CONFIG_FILES


def _sums(text: str, into: dict[str, str]) -> None:
    for line in text.splitlines():
        md5, dummy, path = line.rpartition("  ") if not line.startswith("/") else ("", "", line)
        if path:
            into[f"/{path.lstrip('/')}"] = md5


def _debs(names: t.Collection[str], layers: t.Sequence[Layer]) -> list[str]:
    """The package files of what was being installed, where they still are."""
    found = []
    for layer in layers:
        for one in layer.manifest["changes"]:
            if one["name"] in names and one["after"]:
                version = one["after"].replace(":", "%3a")
                found += [f"{_ARCHIVES}/{one['name']}_{version}_{arch}.deb" for arch in (one["arch"], "all")]
                found += [one["file"]] if one.get("file") else []
        found += [path for path in layer.spec.get("packages") or [] if path.startswith("/")]
    return [path for path in found if os.path.isfile(path)]
