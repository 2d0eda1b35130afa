"""The kind of virtual environments."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import (
    SYSTEM,
    Kind,
    PlainCopy,
    VersionsChange,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Resource, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import TakenResource

_RESOURCE: ByName[t.Callable[[str, list[Facts], bool, bool, bool], Resource]] = ByName("_venv.resource:VenvResource")


class VenvKind(Kind):
    """A virtual environment, and the distributions that a change is going to leave there."""

    name = "venv"
    options = {"path": {"type": "path"}, "distributions": {"type": "list", "elements": "dict"}}
    runs = True
    forks = True
    farms = True
    plain_copies = (PlainCopy("environment_{}.txt", "_venv.capture:versions"),)
    script = "_venv.script:VenvScript"
    drift = "_venv.drift:compare"
    removal = "_venv.removal:removal"

    def make(self, spec: Spec) -> Resource:
        distributions = [dict(distribution) for distribution in spec.get("distributions") or []]
        holds_all = spec.get("scope") == SYSTEM
        return _RESOURCE.load()(
            self.path_of(spec), distributions, bool(spec.get("whole")), bool(spec.get("all")), holds_all
        )

    def recorded(self, spec: Spec) -> Facts:
        facts: Facts = {"kind": self.name, **{name: spec[name] for name in ("path", "whole", "all") if spec.get(name)}}
        if spec.get("scope") == SYSTEM:
            facts["scope"] = SYSTEM
        if spec.get("distributions"):
            # Only names and versions: a URL may hold a password.
            facts["distributions"] = [
                {"name": str(distribution["name"]), "version": str(distribution.get("version") or "")}
                for distribution in spec["distributions"]
            ]
        return facts

    def slow(self, spec: Spec) -> bool:
        # What is moved takes no time.
        return not spec.get("whole")

    def of_root(self, root: str) -> Facts:
        return {"kind": self.name, "path": f"{root}/.sage/venv", "all": True}

    def covers(self, spec: Spec) -> bool:
        return bool(spec.get("distributions") or spec.get("whole") or spec.get("all"))

    def brought(self, spec: Spec) -> list[tuple[str, str]]:
        return [
            (canonical(str(distribution["name"])), str(distribution.get("version") or ""))
            for distribution in spec.get("distributions") or []
        ]

    def change(self, spec: Spec, captured: TakenResource, manifest: t.Callable[[], Facts | None]) -> VersionsChange:
        facts = manifest()
        before = dict(facts.get("distributions") or {}) if facts is not None else None
        return VersionsChange(
            str(spec.get("path")), before, after=dict(self.brought(spec)), entire=bool(spec.get("whole"))
        )

    def versions(self, facts: Facts) -> dict[str, str]:
        return {name: str(recorded.get("version")) for name, recorded in (facts.get("distributions") or {}).items()}
