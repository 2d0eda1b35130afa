# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan that one host made is looked at by the controller before other hosts get it.

It has to be an answer to the request, and somebody whom the user chose has to vouch for each file: the index that the
role or the controller's pip is set up with, or a directory of wheels or a lock file that lies on the controller.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import typing as t
import urllib.parse

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.regular import open_regular
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lock_request, lockfile
from ansible_collections.intellistream.sage.plugins.module_utils._installers.marker import satisfies
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import split
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell
from ansible_collections.intellistream.sage.plugins.plugin_utils._index_pages import IndexPages, Unreachable

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TOP = {"lock-version", "created-by", "requires-python", "environments", "packages", "tool"}
_PACKAGE = {"name", "version", "marker", "index", "requires-python", "wheels", "sdist"}
_FILE = {"name", "url", "size", "upload-time", "hashes"}
MOST = 32 << 20  # characters of a plan
_BLOCK = 1 << 20


class Unverified(Exception):
    """Nobody whom the controller can ask vouches for a file of the plan."""


class PlannedFile(t.NamedTuple):
    """A file of a plan.

    :ivar project: normalised name.
    :ivar name: of the file.
    :ivar digest: SHA-256 in hexadecimal digits.
    :ivar url: where the host says that it is.
    """

    project: str
    name: str
    digest: str
    url: str


def check(
    text: str,
    request: str,
    requirements: Sequence[str],
    pages: IndexPages,
    places: Sequence[str],
) -> tuple[str, str]:
    """The plan as others may have it, and who vouches for its files, in words.

    :param text: what the host answered.
    :param request: what was asked for, as the end of a lock file says it.
    :param places: directories on the controller with wheels or lock files that the user gave.
    :raises InstallerError: it is no answer to the request, or the index says something else of a file.
    :raises Unverified: for a file of it nobody vouches.
    """
    files = _files(text, request, requirements)
    given = _given(places, {file.name for file in files})
    urls: dict[str, str] = {}
    vouched_here = 0
    for file in files:
        if file.digest in given.get(file.name, {}):
            vouched_here += 1
            urls[file.url] = given[file.name][file.digest] or file.url
        else:
            urls[file.url] = _offered(file, pages)
    kept = text
    for url, other in urls.items():
        if redact_text(other) != url:
            kept = kept.replace(json.dumps(url), json.dumps(redact_text(other)))
    if kept != text:
        # Its URLs are those of the controller: other hosts ask their own index by name.
        kept = lock_request.without_index(kept)
    who = ["what you gave"] if vouched_here else []
    who += ["the index"] if len(files) > vouched_here else []
    return kept, f"{' and '.join(who)} {'vouch' if len(who) > 1 else 'vouches'} for its {len(files)} files"


def _offered(file: PlannedFile, pages: IndexPages) -> str:
    """Where the index has a file.

    :raises InstallerError: it has another one of this name.
    :raises Unverified: it has none, or cannot be asked.
    """
    try:
        offers = pages.offers(file.project, file.name)
    except Unreachable as error:
        raise Unverified(str(error)) from error
    if not any(offer.digest for offer in offers):
        raise Unverified(f"{pages.where} tells no hash of {cell(file.name)}")
    for offer in offers:
        if offer.digest == file.digest:
            return offer.url
    raise InstallerError(
        f"The plan of this host names {cell(file.name)} with the hash {file.digest}, and {pages.where} says "
        f"{next(offer.digest for offer in offers if offer.digest)}.",
        untouched="every host; the plan was given to nobody.",
        advice="Find out whether this host, or its index, was tampered with.",
    )


def _files(text: str, request: str, requirements: Sequence[str]) -> list[PlannedFile]:
    """The files of a plan that is an answer to the request.

    :raises InstallerError: it is none.
    """
    if len(text) > MOST or "'''" in text or '"""' in text:
        raise _no_answer("it is no lock file as uv or this collection writes it")
    if lock_request.request_of(text) != request:
        raise _no_answer("it says that it was made for something else")
    document = parsed(text)
    _only(document, _TOP)
    _only(_table(document.get("tool")), {"intellistream-sage"})
    if not str(document.get("lock-version")).startswith("1."):
        raise _no_answer("it is of another version of lock files")
    versions: dict[str, list[str]] = {}
    files = []
    for package in _tables(document.get("packages")):
        _only(package, _PACKAGE)
        name, version = _string(package.get("name")), _string(package.get("version"))
        if canonical(name) != name or not version:
            raise _no_answer(f"{cell(name)} is no name of a distribution, or has no version")
        versions.setdefault(name, []).append(version)
        described = [*_tables(package.get("wheels", [])), *([_table(package["sdist"])] if "sdist" in package else [])]
        if not described:
            raise _no_answer(f"it names no file of {cell(name)}")
        files += [_file(name, file) for file in described]
    for requirement in requirements:
        _check_requirement(requirement, versions)
    return files


def _file(project: str, file: Mapping[str, object]) -> PlannedFile:
    _only(file, _FILE)
    url, digest = _string(file.get("url")), _string(_table(file.get("hashes")).get("sha256"))
    of_url = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    name = _string(file.get("name", of_url))
    if not name or name != of_url or name.startswith(".") or not name.isprintable():
        raise _no_answer(f"{cell(name)} is no name of a file, or its URL names another")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise _no_answer(f"{cell(name)} has no SHA-256")
    return PlannedFile(project, name, digest=digest, url=url)


def _check_requirement(requirement: str, versions: Mapping[str, Sequence[str]]) -> None:
    """Refuse a plan without what was asked for, or with another version of it."""
    name, dummy, rest = split(requirement)
    specifier, marked, dummy_marker = rest.partition(";")
    specifier = specifier.strip()
    if marked or specifier.startswith("@"):
        return
    found = versions.get(name, [])
    try:
        fits = found and all(not specifier or satisfies(version, specifier) for version in found)
    except ValueError as error:
        raise _no_answer(f"{cell(name)} {cell(found[0])} has no version that can be compared") from error
    if not fits:
        raise _no_answer(
            f"it has {cell(', '.join(found)) or 'no version'} of {name}, and {cell(requirement)} was asked for"
        )


def _given(places: Sequence[str], names: set[str]) -> dict[str, dict[str, str]]:
    """Name of a file → the digests that the user's own files on the controller tell of it → where it is there."""
    given: dict[str, dict[str, str]] = {}
    for place in places:
        try:
            entries = sorted(os.listdir(place))
        except OSError:
            continue
        for entry in entries:
            path = os.path.join(place, entry)
            if entry in names:
                digest = _digest(path)
                if digest:
                    given.setdefault(entry, {})[digest] = f"file://{urllib.parse.quote(path)}"
            elif entry.startswith("pylock.") and entry.endswith(".toml"):
                for name, digest in _locked(path):
                    given.setdefault(name, {}).setdefault(digest, "")
    return given


def _digest(path: str) -> str:
    try:
        with open_regular(path) as stream:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK):
                digest.update(block)
    except (OSError, SageError):
        return ""
    return digest.hexdigest()


def _locked(path: str) -> Iterator[tuple[str, str]]:
    """Names and digests of files that a lock file names; of one that cannot be read nothing."""
    try:
        with open_regular(path) as stream:
            document = parsed(lockfile.decode(stream.read()))
        for package in _tables(document.get("packages")):
            for file in [*_tables(package.get("wheels", [])), *([package["sdist"]] if "sdist" in package else [])]:
                yield _file(str(package.get("name")), file)[1:3]
    except (OSError, SageError):
        return


def parsed(text: str) -> dict[str, t.Any]:
    """A lock file as a document.

    :raises InstallerError: it is not TOML.
    :raises Unverified: this Python is too old to say.
    """
    if sys.version_info >= (3, 11):
        import tomllib

        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise _no_answer("it is not TOML") from error
    raise Unverified("the controller's Python is older than 3.11 and cannot read lock files")


def _only(table: Mapping[str, object], known: set[str]) -> None:
    strange = sorted({*table} - known)
    if strange:
        raise _no_answer(f"it has {cell(strange[0])}, which no plan has")


def _table(data: object) -> dict[str, t.Any]:
    if not isinstance(data, dict):
        raise _no_answer("something in it is not of the type that it has to be")
    return data


def _tables(data: object) -> list[dict[str, t.Any]]:
    if not isinstance(data, list):
        raise _no_answer("something in it is not of the type that it has to be")
    return [_table(inner) for inner in data]


def _string(data: object) -> str:
    if not isinstance(data, str):
        raise _no_answer("something in it is not of the type that it has to be")
    return data


def _no_answer(problem: str) -> InstallerError:
    return InstallerError(
        f"What this host answered is not the plan that it was asked for: {problem}.",
        untouched="every host; the plan was given to nobody.",
        advice="Find out what answers on this host.",
    )
