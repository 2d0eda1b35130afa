"""Package files that are about to be installed: where they are, what is in them, what their scripts may change.

They are known once they are on this host. Where they are not, apt can be told to fetch them, into its own
cache: the change itself needs them there, too.
"""

from __future__ import annotations

import os
import re
import typing as t
from urllib.parse import unquote

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import apt, scripts
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import ALL

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.plan import PlannedChange

# Where apt keeps what it has downloaded.
_ARCHIVES = "/var/cache/apt/archives"
_URI = re.compile(r"^'file:(?://)?(/[^']+)' (\S+) ", re.MULTILINE)
_FETCH = ("--assume-yes", "--quiet", "--allow-downgrades", "--allow-change-held-packages", "--no-install-recommends")
_OPTIONS = ("DPkg::Lock::Timeout=10", "Acquire::Retries=0", "Acquire::http::Timeout=30", "APT::Sandbox::User=root")
_TIMEOUT = 3600


class Incoming:
    """The package files of a change.

    :param packages: what was asked for; full paths of package files among them are used.
    :param native: this host's architecture.
    :param given: key → package file, where somebody said so.
    :ivar files: key → package file, of what is on this host.
    """

    def __init__(
        self, changes: t.Iterable[PlannedChange], packages: t.Iterable[str], native: str, given: t.Mapping[str, str]
    ) -> None:
        self._coming = [change for change in changes if change.after is not None]
        self._native = native
        self._local = [path for path in packages if path.startswith("/")]
        self._listed: dict[str, list[tuple[str, str]]] = {}
        self.files = {key: path for key, path in given.items() if os.path.isfile(path)}
        named = _named(self._local)
        for change in self._coming:
            path = named.get((change.name, str(change.after))) or self._downloaded(change)
            if path is not None:
                self.files.setdefault(change.key, path)

    def _downloaded(self, change: PlannedChange) -> str | None:
        version = (change.after or "").replace(":", "%3a")
        for arch in (change.arch, ALL, *((self._native,) if change.arch == ALL else ())):
            path = os.path.join(_ARCHIVES, f"{change.name}_{version}_{arch}.deb")
            if os.path.isfile(path):
                return path
        return None

    def fetch(self) -> None:
        """Let apt get what is missing, where it can; takes apt's and dpkg's locks for as long."""
        for mode in ("--print-uris", "--download-only"):
            missing = [change for change in self._coming if change.key not in self.files]
            if not missing:
                return
            said = self._apt(mode)
            # What is in a directory of this host stays there.
            here = {name: unquote(path) for path, name in _URI.findall(said)} if mode == "--print-uris" else {}
            for change in missing:
                version = (change.after or "").replace(":", "%3a")
                places = [here.get(f"{change.name}_{version}_{arch}.deb") for arch in (change.arch, ALL, self._native)]
                path = next((place for place in places if place and os.path.isfile(place)), self._downloaded(change))
                if path is not None:
                    self.files[change.key] = path

    def _apt(self, mode: str) -> str:
        options = [part for option in _OPTIONS for part in ("-o", option)]
        wanted = [
            f"{one.name}{'' if one.arch == ALL else f':{one.arch}'}={one.after}"
            for one in self._coming
            if self.files.get(one.key) not in self._local
        ]
        try:
            outcome = command.run(
                ["apt-get", mode, *_FETCH, *options, "install", "--", *self._local, *wanted],
                env={"LC_ALL": "C", "LANGUAGE": "", "DEBIAN_FRONTEND": "noninteractive", "SAGE_CAPTURE": "off"},
                timeout=_TIMEOUT,
            )
        except InstallerError:
            return ""
        return outcome.stdout

    def listed(self, key: str) -> list[tuple[str, str]]:
        """What a package file brings: its kind as C(ls) tells it (V(d), V(l), V(h), V(-)), and its path."""
        if key not in self._listed and key in self.files:
            self._listed[key] = apt.listed(self.files[key])
        return self._listed.get(key, [])

    def reasons(self) -> tuple[dict[str, list[str]], list[str]]:
        """Why installing these may not be undone exactly: key → reasons.

        :returns: these, and the keys of what is not on this host, so that nothing is known of it.
        """
        found = {}
        for change in self._coming:
            if change.key in self.files:
                why = scripts.reasons(_scripts(self.files[change.key]))
                if why:
                    found[change.key] = why
        return found, [change.key for change in self._coming if change.key not in self.files]


def _named(paths: t.Iterable[str]) -> dict[tuple[str, str], str]:
    found = {}
    for path in paths:
        said = _said("--show", "--showformat=${Package} ${Version}", path).split()
        if len(said) == 2:
            found[said[0], said[1]] = path
    return found


def _scripts(path: str) -> dict[str, str]:
    found = {name: _said("--info", path, name) for name in scripts.SCRIPTS}
    return {name: text for name, text in found.items() if text}


def _said(*arguments: str) -> str:
    """What dpkg-deb prints; nothing when it fails, which it does for a script that is not there."""
    try:
        outcome = command.run(["dpkg-deb", *arguments], timeout=60)
    except InstallerError:
        return ""
    return outcome.stdout if outcome.rc == 0 else ""
