"""Packages of rpm that changed besides what was planned: a repository had got something newer, or somebody was at work.

What came in the very transaction of a planned change belongs to that, and is undone with it as far as it was captured.
All else is nobody's to take back, but it is told: the system is not as it was captured.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, dnf_history

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package

Installed = t.Mapping[str, t.Sequence["Package"]]


def found(manifest: Facts, there: Installed) -> Facts:
    """All that changed since a capture and was not planned, by key, as C(_rpm/resource.py) describes it.

    :param there: what is installed.
    """
    concerned = {one["key"]: one["name"] for one in manifest["changes"]}
    known: Facts = manifest["known"]
    changed = {
        key: (known.get(key), now)
        for key in sorted({*known, *there} - concerned.keys())
        for now in [database.versions(there.get(key, []))]
        if now != known.get(key)
    }
    if not changed:
        return {}
    new = {
        key: [one for one in there.get(key, []) if one.evr not in _list(known.get(key))]
        for key in (*concerned, *changed)
    }
    tids = {one.tid for key in concerned for one in new[key]}
    runs = dnf_history.since(manifest["history"])
    names = set(concerned.values())
    facts: Facts = {}
    for key, (before, now) in changed.items():
        name = _name(key, (*_list(before), *_list(now))[0])
        # dnf knows for certain; transactions of rpm itself are told apart by the second.
        its = [run.names for run in runs if name in run.names]
        ours = any(run & names for run in its) if its else any(one.tid in tids for one in new[key])
        arch = key.rpartition(".")[2]
        facts[key] = {"name": name, "arch": arch, "before": before, "after": now, "ours": ours}
    return facts


def _list(versions: str | t.Sequence[str] | None) -> t.Sequence[str]:
    return [versions] if isinstance(versions, str) else versions or []


def _name(key: str, version: str) -> str:
    """The name in a key; that of what may be installed in several versions has its version, too."""
    return key.rpartition(".")[0].removesuffix(f"-{version.rpartition(':')[2]}")


def each(ts: t.Any, layers: t.Sequence[Layer], resumed: bool) -> list[dict[str, Facts]]:
    """For each capture what changed besides its plan; of a change that nobody looked at, only what came with it.

    :param resumed: half of it is undone, so that nobody can tell any more what came with it.
    """
    per_layer: list[dict[str, Facts]] = []
    for number, layer in enumerate(layers):
        if layer.after is not None:
            per_layer.append(layer.after.get("unplanned") or {})
        elif number + 1 == len(layers):
            now = found(layer.manifest, database.installed(ts))
            per_layer.append({key: one for key, one in now.items() if one["ours"] or resumed})
        else:
            per_layer.append({})
    return per_layer


def told(ts: t.Any, layers: t.Sequence[Layer], unplanned: t.Sequence[t.Mapping[str, Facts]]) -> list[str]:
    """What stays as it was left, for people.

    :param unplanned: from M(each).
    """
    # What an older capture tells of is brought back by that, or is a conflict.
    seen: set[str] = set()
    lines = []
    for layer, extra in zip(layers, unplanned):
        seen.update(one["key"] for one in layer.manifest["changes"])
        for key, change in sorted(extra.items()):
            if key in seen:
                continue
            seen.add(key)
            before = change["before"]
            now = database.versions([one for one in database.named(ts, change["name"]) if one.key == key])
            if now == before or (change["ours"] and not before):
                continue
            what = f"{change['name']}: was {_said(before)} and became {_said(change['after'])}"
            if change["ours"]:
                lines.append(f"{what} with the change, which had not planned it: it was not captured and stays")
            else:
                lines.append(f"{what} meanwhile, by somebody else: it stays")
    return lines


def _said(versions: str | t.Sequence[str] | None) -> str:
    return " and ".join(_list(versions)) or "not installed"
