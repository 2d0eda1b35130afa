"""The plan of an installation: computed once, shown in check mode, carried out in a run."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import Inventory, is_exact
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        NamedVersion,
        PlannedDistribution,
    )

ADD, REPLACE, KEEP = "add", "replace", "keep"
SAGE, THIRD_PARTY = "sage", "third_party"


def group_of(name: str, first_party: t.Iterable[str]) -> str:
    """C(sage) for names that match one of the I(first_party) patterns, else C(third_party)."""
    return SAGE if any(fnmatch.fnmatchcase(name, canonical(pattern)) for pattern in first_party) else THIRD_PARTY


def distribution(pin: Pin, inventory: Inventory, first_party: t.Iterable[str]) -> PlannedDistribution:
    """What a plan says about one distribution.

    :param first_party: patterns of the names that are SAGE's own.
    """
    installed = inventory.get(pin.name)
    action = ADD if installed is None else KEEP if is_exact(pin, installed) else REPLACE
    result: PlannedDistribution = {
        "name": pin.name,
        "version": pin.version,
        "group": group_of(pin.name, first_party),
        "action": action,
        "from_version": installed.version if installed else None,
        "hashes": list(pin.hashes),
    }
    if pin.path is not None:
        result["path"], result["editable"] = pin.path, pin.editable
    return result


def build(pins: t.Iterable[Pin], inventory: Inventory, first_party: t.Iterable[str]) -> list[PlannedDistribution]:
    """The distributions of a plan, sorted by name.

    :param first_party: patterns of the names that are SAGE's own.
    """
    patterns = list(first_party)
    return sorted((distribution(pin, inventory, patterns) for pin in pins), key=lambda planned: str(planned["name"]))


def brief(distributions: t.Iterable[PlannedDistribution]) -> dict[str, list[NamedVersion]]:
    """Names and versions by group: all that a capture or a recorded result needs, a hundredth of the plan in size."""
    by_group: dict[str, list[NamedVersion]] = {THIRD_PARTY: [], SAGE: []}
    for distribution in distributions:
        by_group[distribution["group"]].append({"name": distribution["name"], "version": distribution["version"]})
    return by_group


def pin_of(distribution: t.Mapping[str, t.Any]) -> Pin:
    """The pin behind a distribution of a plan.

    :raises InputError: it says neither a version nor a path.
    """
    name, version, path = distribution.get("name"), distribution.get("version"), distribution.get("path")
    if not name or not (version or path):
        raise InputError(
            f"A distribution needs a name and a version or a path, which this one lacks: {distribution}.",
            untouched="everything.",
            advice="Pass on what intellistream.sage.sage_resolve returned.",
        )
    return Pin(
        canonical(str(name)),
        str(version) if version else None,
        hashes=tuple(sorted(str(digest) for digest in distribution.get("hashes") or ())),
        path=str(path) if path else None,
        editable=bool(distribution.get("editable")),
    )


def listing(names: t.Iterable[tuple[str, str | None]]) -> str:
    """C(name==version) lines for diff mode."""
    return "".join(f"{name}=={version or '(built from source)'}\n" for name, version in sorted(names))


def diff(distributions: t.Iterable[PlannedDistribution]) -> dict[str, str]:
    """Before and after of the distributions that change."""
    changing = [distribution for distribution in distributions if distribution["action"] != KEEP]
    return {
        "before": listing(
            (distribution["name"], distribution["from_version"])
            for distribution in changing
            if distribution["from_version"]
        ),
        "after": listing((distribution["name"], distribution["version"]) for distribution in changing),
    }
