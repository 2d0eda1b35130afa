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
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._base.versions import same_version
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.regular import open_regular
from ansible_collections.intellistream.sage.plugins.module_utils._plans import host_group, wheel_rank, wheelhouse
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel

_BLOCK = 1 << 20
_UNTOUCHED = "every host; nothing was sent."
LockedPackage = t.Mapping[str, t.Any]  # a table of a lock file
Distribution = t.Mapping[str, t.Any]  # of a plan


def needed(
    text: str, distributions: t.Iterable[Distribution], group: host_group.HostGroup, path: str, directory: str
) -> list[Wheel]:
    """The wheels that hosts of I(group) install for I(distributions), one each.

    :param text: a lock file.
    :param distributions: of a plan; those that are kept, or come from a directory, need none.
    :param path: of the lock file, for what is named relative to it.
    :param directory: the wheelhouse, where wheels are looked for that the lock file does not name.
    :raises InputError: there is no wheel for one of them.
    """
    packages = _packages(text)
    wheels, lacking = [], []
    for distribution in distributions:
        if distribution.get("path") or distribution.get("action") == "keep":
            continue
        offered = _offered(packages, distribution, path) or _present(directory, distribution)
        wheel = _best(offered, group)
        if wheel:
            wheels.append(wheel)
        else:
            lacking.append(
                f"{distribution['name']} {distribution['version']} ({_reason(packages, distribution, offered)})"
            )
    if lacking:
        raise InputError(
            f"There is no wheel for {group.name} of: {', '.join(lacking)}.",
            untouched=_UNTOUCHED,
            advice="A host without an index installs wheels only. Build these for this platform, put them into an "
            "index and write the lock file again; or ask for versions that have wheels.",
            lacking=lacking,
        )
    return sorted(wheels)


def _packages(text: str) -> list[LockedPackage]:
    """The packages of a C(pylock.toml); none for requirements, which name no files."""
    if sys.version_info >= (3, 11):
        import tomllib

        try:
            return list(tomllib.loads(text).get("packages", []))
        except tomllib.TOMLDecodeError:
            return []
    raise InputError("The controller's Python is older than 3.11 and cannot read lock files.", untouched=_UNTOUCHED)


def _pinned(packages: t.Iterable[LockedPackage], distribution: Distribution) -> list[LockedPackage]:
    return [
        package
        for package in packages
        if canonical(str(package.get("name"))) == distribution["name"]
        and same_version(str(package.get("version")), str(distribution["version"]))
    ]


def _offered(packages: t.Iterable[LockedPackage], distribution: Distribution, path: str) -> list[Wheel]:
    wheels = []
    for package in _pinned(packages, distribution):
        for file in package.get("wheels", []):
            digests = [
                f"{kind}:{hexdigest}" for kind, hexdigest in sorted(file.get("hashes", {}).items(), reverse=True)
            ]
            digest = next(
                (digest for digest in digests if digest in distribution["hashes"] and _reliable(digest)), None
            )
            url = str(file.get("url") or "")
            if not url and file.get("path"):
                url = "file://" + urllib.parse.quote(os.path.join(os.path.dirname(path), str(file["path"])))
            name = file.get("name") or urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
            if digest:
                wheels.append(Wheel.of({"file": name, "digest": digest, "size": file.get("size"), "url": url}))
    return wheels


def _reliable(digest: str) -> bool:
    try:
        wheelhouse.hasher(digest)
    except InputError:
        return False
    return True


def _present(directory: str, distribution: Distribution) -> list[Wheel]:
    """Wheels in the wheelhouse that a lock file without names of files allows."""
    wheels = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        project, dummy, version_and_tags = name.partition("-")
        if not name.endswith(".whl") or canonical(project) != distribution["name"]:
            continue
        if same_version(version_and_tags.partition("-")[0], str(distribution["version"])) and distribution["hashes"]:
            try:
                with open_regular(os.path.join(directory, name)) as stream:
                    digest = wheelhouse.digest_of(stream, distribution["hashes"][0])
            except (OSError, InputError):
                continue  # Somebody's pipe or a link to nowhere is no wheel.
            if digest in distribution["hashes"]:
                wheels.append(Wheel(name, digest))
    return wheels


def _best(wheels: t.Iterable[Wheel], group: host_group.HostGroup) -> Wheel | None:
    ranked = [(rank, wheel) for wheel in wheels if (rank := wheel_rank.rank(wheel.file, group))]
    return max(ranked)[1] if ranked else None


def _reason(packages: t.Iterable[LockedPackage], distribution: Distribution, offered: t.Sequence[Wheel]) -> str:
    if offered:
        names = [wheel.file for wheel in offered]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"the lock file has {', '.join(names[:3])}{more}"
    pinned = _pinned(packages, distribution)
    if any(package.get("sdist") for package in pinned):
        return "the lock file has only its source"
    if pinned:
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
    digest, begin = wheelhouse.hasher(wheel.digest), file.tell()
    with open_regular(source) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            file.write(block)
    kind, dummy, expected = wheel.digest.partition(":")
    if digest.hexdigest() != expected:
        raise StoreError(
            f"{source} is not the wheel that the lock file names: its {kind} is {digest.hexdigest()}, not {expected}.",
            untouched=_UNTOUCHED,
            advice="Remove it; it is then fetched again. If it is the right one, write the lock file again.",
        )
    return file.tell() - begin
