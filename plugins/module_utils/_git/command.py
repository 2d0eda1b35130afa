"""One call of git, without what a repository's configuration would start or change beside it.

Names go in and out as git quotes them, in ASCII, so that any byte in a name survives. Filters
of the user's configuration (C(filter.*), for instance large files) do run: they are part of what
git calls the content, and only the user's own configuration can name a program.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError

_SECONDS = 600
_OPTIONS = (
    # No program that only helps or watches.
    *("core.fsmonitor=", "core.hooksPath=/dev/null", "advice.detachedHead=false"),
    # Nothing that goes on in the background, or in other repositories.
    *("gc.auto=0", "maintenance.auto=false", "submodule.recurse=false"),
    # A copy of an index is whole, whatever the original shares.
    *("core.splitIndex=false", "core.untrackedCache=false", "core.quotePath=true"),
    # What was captured has to survive a power cut; by default git leaves new objects to the cache.
    *("core.fsync=all", "core.fsyncMethod=batch", "core.fsyncObjectFiles=true"),
)
_SAFE = tuple(part for option in _OPTIONS for part in ("-c", option))
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_AUTHOR_NAME": "intellistream.sage",
    "GIT_AUTHOR_EMAIL": "sage@localhost",
    "GIT_COMMITTER_NAME": "intellistream.sage",
    "GIT_COMMITTER_EMAIL": "sage@localhost",
}
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


class GitError(Exception):
    """git failed; the text is its own."""


def git(path: str, *arguments: str, index: str = "", stdin: str = "", date: str = "") -> str:
    """What git prints when it runs in C(path).

    :param index: the index file to use instead of the repository's.
    :param date: of a commit, in seconds since 1970.
    :raises GitError: it failed.
    """
    settings = dict(_ENVIRONMENT)
    if index:
        settings["GIT_INDEX_FILE"] = index
    if date:
        settings["GIT_AUTHOR_DATE"] = settings["GIT_COMMITTER_DATE"] = f"@{date} +0000"
    try:
        outcome = command.run(
            ["git", *_SAFE, "-C", path, *arguments], env=settings, timeout=_SECONDS, stdin=stdin, without=("GIT_",)
        )
    except InstallerError as error:
        raise GitError(error.what) from error
    if outcome.rc:
        lines = [line for line in outcome.stderr.splitlines() if not line.startswith(("warning: ", "hint: "))]
        raise GitError("\n".join(lines).strip() or f"git {arguments[0]} ended with {outcome.rc}")
    return outcome.stdout


def unquoted(name: str) -> str:
    """A name as git quotes it, as the file system has it."""
    if not name.startswith('"'):
        return name

    def byte(match: re.Match[str]) -> str:
        escape = match.group(1)
        return chr(int(escape, 8) if escape.isdigit() else _ESCAPES[escape])

    plain = re.sub(r'\\([0-7]{3}|[abtnvfr"\\])', byte, name[1:-1])
    return plain.encode("latin-1").decode(errors="surrogateescape")


def quoted(name: str) -> str:
    """A name of the file system in a form that git reads from its standard input."""
    data = name.encode(errors="surrogateescape")
    return (
        '"'
        + "".join(f"\\{byte:03o}" if byte < 33 or byte > 126 or byte in b'"\\' else chr(byte) for byte in data)
        + '"'
    )


def lines(names: t.Iterable[str]) -> str:
    """Names for git's standard input."""
    return "".join(f"{quoted(name)}\n" for name in names)


def ref_of(directory: str) -> str:
    """The ref that pins what one capture kept.

    :param directory: the path of the capture's content in the store.
    """
    # That name is used once only, and says nothing to anybody else.
    return f"refs/sage/{hashlib.sha256(os.fsencode(directory)).hexdigest()[:24]}"
