# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the controller: which wheels of a lock file a group of hosts takes, and how they travel."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import typing as t
import urllib.parse

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    StorageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical, same_version
from ansible_collections.intellistream.sage.plugins.module_utils._plans import host_group, wheelhouse
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel

_BLOCK = 1 << 20
_UNTOUCHED = "every host; nothing was sent."
Entry = t.Mapping[str, t.Any]


def needed(
    text: str, distributions: t.Iterable[Entry], group: host_group.Group, path: str, directory: str
) -> list[Wheel]:
    """The wheels that hosts of I(group) install for I(distributions), one each.

    :param text: a lock file.
    :param distributions: of a plan; those that are kept, or come from a directory, need none.
    :param path: of the lock file, for what is named relative to it.
    :param directory: the wheelhouse, where wheels are looked for that the lock file does not name.
    :raises InputError: there is no wheel for one of them.
    """
    packages = _packages(text)
    found, lacking = [], []
    for one in distributions:
        if one.get("path") or one.get("action") == "keep":
            continue
        offered = _offered(packages, one, path) or _present(directory, one)
        wheel = _best(offered, group)
        if wheel:
            found.append(wheel)
        else:
            lacking.append(f"{one['name']} {one['version']} ({_why(packages, one, offered)})")
    if lacking:
        raise InputError(
            f"There is no wheel for {group.name} of: {', '.join(lacking)}.",
            untouched=_UNTOUCHED,
            advice="A host without an index installs wheels only. Build these for this platform, put them into an "
            "index and make the lock file anew; or ask for versions that have wheels.",
            lacking=lacking,
        )
    return sorted(found)


def _packages(text: str) -> list[Entry]:
    """The packages of a C(pylock.toml); none for requirements, which name no files."""
    if sys.version_info >= (3, 11):
        import tomllib

        try:
            return list(tomllib.loads(text).get("packages", []))
        except tomllib.TOMLDecodeError:
            return []
    raise InputError("The controller's Python is older than 3.11 and cannot read lock files.", untouched=_UNTOUCHED)


def _of(packages: t.Iterable[Entry], one: Entry) -> list[Entry]:
    return [
        package
        for package in packages
        if canonical(str(package.get("name"))) == one["name"]
        and same_version(str(package.get("version")), str(one["version"]))
    ]


def _offered(packages: t.Iterable[Entry], one: Entry, path: str) -> list[Wheel]:
    found = []
    for package in _of(packages, one):
        for file in package.get("wheels", []):
            digests = [f"{kind}:{value}" for kind, value in sorted(file.get("hashes", {}).items(), reverse=True)]
            digest = next((digest for digest in digests if digest in one["hashes"] and _reliable(digest)), None)
            url = str(file.get("url") or "")
            if not url and file.get("path"):
                url = "file://" + urllib.parse.quote(os.path.join(os.path.dirname(path), str(file["path"])))
            name = file.get("name") or urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
            if digest:
                found.append(Wheel.of({"file": name, "digest": digest, "size": file.get("size"), "url": url}))
    return found


def _reliable(digest: str) -> bool:
    try:
        wheelhouse.hasher(digest)
    except InputError:
        return False
    return True


def _present(directory: str, one: Entry) -> list[Wheel]:
    """Wheels in the wheelhouse that a lock file without names of files allows."""
    found = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        project, dummy, rest = name.partition("-")
        if not name.endswith(".whl") or canonical(project) != one["name"]:
            continue
        if same_version(rest.partition("-")[0], str(one["version"])) and one["hashes"]:
            with open(os.path.join(directory, name), "rb") as stream:
                digest = wheelhouse.digest_of(stream, one["hashes"][0])
            if digest in one["hashes"]:
                found.append(Wheel(name, digest))
    return found


def _best(wheels: t.Iterable[Wheel], group: host_group.Group) -> Wheel | None:
    ranked = [(rank, wheel) for wheel in wheels if (rank := host_group.rank(wheel.file, group))]
    return max(ranked)[1] if ranked else None


def _why(packages: t.Iterable[Entry], one: Entry, offered: t.Sequence[Wheel]) -> str:
    if offered:
        names = [wheel.file for wheel in offered]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"the lock file has {', '.join(names[:3])}{more}"
    of = _of(packages, one)
    if any(package.get("sdist") for package in of):
        return "the lock file has only its source"
    if of:
        return "the lock file names no file of it"
    return "the lock file names no files, and the wheelhouse has none with the right hash"


def bundle(wheels: t.Sequence[Wheel], directory: str, run: str) -> tuple[str, list[Wheel]]:
    """One file that is the wheels one after the other, checked; and the wheels with their sizes.

    It is made once in a run for all hosts that lack the same. The caller sees to it that nobody else makes it.

    :param run: directory to put it into.
    :raises StoreError: one of them is not what the lock file says.
    :raises StorageError: the controller's disk is full.
    """
    name = hashlib.sha256(repr([(wheel.file, wheel.digest) for wheel in wheels]).encode()).hexdigest()
    path = os.path.join(run, f"sage-wheels-{name}")
    note = f"{path}.json"
    if os.path.exists(path):
        # The wheelhouse may have changed since; what was put together was checked.
        with open(note, encoding="utf-8") as text:
            return path, [wheel._replace(size=size) for wheel, size in zip(wheels, json.load(text))]
    try:
        with open(f"{path}.partial", "wb") as file:
            sizes = [_append(os.path.join(directory, wheel.file), wheel, file) for wheel in wheels]
        with open(note, "w", encoding="utf-8") as text:
            json.dump(sizes, text)
        os.rename(f"{path}.partial", path)
    except OSError as error:
        raise StorageError(
            f"The controller cannot put the wheels together in {run}: {error.strerror}.",
            untouched=_UNTOUCHED,
            advice="Make room there, or let Ansible's local_tmp be on another disk.",
        ) from error
    finally:
        if os.path.exists(f"{path}.partial"):
            os.unlink(f"{path}.partial")
    return path, [wheel._replace(size=size) for wheel, size in zip(wheels, sizes)]


def _append(source: str, wheel: Wheel, file: t.BinaryIO) -> int:
    """Returns its size in bytes."""
    found, begin = wheelhouse.hasher(wheel.digest), file.tell()
    with open(source, "rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
            file.write(block)
    kind, dummy, wanted = wheel.digest.partition(":")
    if found.hexdigest() != wanted:
        raise StoreError(
            f"{source} is not the wheel that the lock file names: its {kind} is {found.hexdigest()}, not {wanted}.",
            untouched=_UNTOUCHED,
            advice="Remove it, then it is fetched again; or make the lock file anew if it is right.",
        )
    return file.tell() - begin
