"""Whose the paths of an environment are: RECORD gives them names for people, and tells which belong together."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution, Row

RECORD = "RECORD"
_BYTECODE = re.compile(r"(.*/)?__pycache__/([^/.]+)\.[^/]*\.py[co]$")
_INFO = re.compile(r"(.*/site-packages/[^/~-][^/]*\.dist-info)(?:/|$)")


def source_of(path: str) -> str:
    """The source that byte code lies beside, as an interpreter puts it there; empty where a path is none."""
    match = _BYTECODE.match(path)
    return f"{(match[1] or '')}{match[2]}.py" if match is not None else ""


def info_of(path: str) -> str:
    """The registration that a path is, or is in; empty where it is in none."""
    match = _INFO.match(path)
    return match[1] if match is not None else ""


class Owners:
    """The distributions that list a path in their RECORD, before the changes or now.

    :param venv: the environment; it stays the caller's.
    :ivar now: what is registered now.
    """

    def __init__(self, venv: Tree) -> None:
        self._venv = venv
        self._prefix = os.path.realpath(venv.path)
        self.now = distributions.installed(venv)
        self._data: dict[str, bytes] = {}
        self._names: dict[str, set[str]] = {}
        self._of_now: dict[str, set[str]] = {}

    def names(self, path: str) -> set[str]:
        """Of all that P(learn) was told of; of byte code those of its source."""
        return self._found(self._names, path)

    def names_now(self, path: str) -> set[str]:
        """The same, of those alone that list it now."""
        return self._found(self._of_now, path)

    def _found(self, names: t.Mapping[str, set[str]], path: str) -> set[str]:
        results = names.get(path, set())
        info = info_of(path)
        if info:
            results = results | {distribution.name for distribution in distributions.in_paths([info])}
        source = source_of(path)
        return results | names.get(source, set()) if source else results

    def learn(self, paths: t.Iterable[str], before: Table, farms: Farms) -> None:
        """Find out whose paths are.

        :param before: with the RECORDs that changes touched, from before.
        """
        asked = {*paths}
        asked |= {source_of(path) for path in asked}
        asked.discard("")
        spelled: dict[str, dict[bytes, str]] = {}
        for distribution in self.now:
            data = self._raw(distribution)
            for path in self._listed(distribution, data, asked, spelled):
                self._names.setdefault(path, set()).add(distribution.name)
                self._of_now.setdefault(path, set()).add(distribution.name)
        for distribution in distributions.in_paths(before.rows):
            row = before.rows.get(f"{distribution.info}/{RECORD}")
            held = farms.read(row, before.generation) if row is not None and row.type == "f" else None
            for path in self._listed(distribution, held, asked, spelled):
                self._names.setdefault(path, set()).add(distribution.name)

    def rows_now(self, names: t.Container[str]) -> dict[str, Row]:
        """All that these distributions list now, with what they say of it."""
        rows: dict[str, Row] = {}
        for distribution in self.now:
            if distribution.name not in names:
                continue
            for path, row in self._parsed(distribution, self._raw(distribution)).items():
                recorded = rows.get(path)
                rows[path] = row if recorded is None else row._replace(sums=(*recorded.sums, *row.sums), size=-1)
        return rows

    def _raw(self, distribution: Distribution) -> bytes:
        if distribution.info not in self._data:
            self._data[distribution.info] = distributions.readable_record(self._venv, distribution.info)
        return self._data[distribution.info]

    def _parsed(self, distribution: Distribution, data: bytes | None) -> dict[str, Row]:
        if not data:
            return {}
        try:
            return distributions.record(self._venv, distribution.info, data, self._prefix, strict=False) or {}
        except (SageError, ValueError):
            return {}

    def _listed(
        self,
        distribution: Distribution,
        data: bytes | None,
        asked: set[str],
        spelled: dict[str, dict[bytes, str]],
    ) -> t.Iterable[str]:
        """The paths of some that a RECORD lists."""
        if not data:
            return ()
        if b'"' in data or self._prefix.encode(errors="surrogateescape") in data:
            return self._parsed(distribution, data).keys() & asked
        site = distribution.site
        if site not in spelled:
            spelled[site] = {distributions.as_recorded(path, site): path for path in asked}
        lines = (spelled[site].get(line.partition(b",")[0]) for line in data.splitlines())
        return [path for path in lines if path is not None]
