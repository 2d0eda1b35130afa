"""Drift of environments: every file of the recorded distributions is read, and compared with its RECORD."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.drift import (
    DriftLine,
    OtherVersions,
    Recorded,
    differences,
    guarded,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv import content, damage, distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution

# A distribution that was removed by hand would fill pages.
_MANY = 20


def compare(recorded: Recorded) -> list[DriftLine]:
    """A P(_kind.drift.Drift)."""
    lines: list[DriftLine] = []
    environments: dict[str, dict[str, str]] = {}
    for spec, facts in recorded.results:
        path = str(spec.get("path") or "")
        versions = {
            name: versions_known["version"] for name, versions_known in (facts.get("distributions") or {}).items()
        }
        environments.setdefault(path, {}).update(versions)
        # The content check names what is gone, file by file.
        plain = {name: {"version": version} for name, version in versions.items()}
        lines += guarded(path, differences, recorded, spec, {**facts, "distributions": plain})
    for path, versions in environments.items():
        lines += guarded(path, _environment, path, versions, recorded)
    return lines


def _environment(path: str, versions: dict[str, str], recorded: Recorded) -> t.Iterator[DriftLine]:
    others = recorded.others(path)
    venv = Tree.open(path)
    if venv is None:
        return
    with venv:
        registered = distributions.by_name(distributions.installed(venv))
        for name, version in sorted(versions.items()):
            for distribution in registered.get(name, ()):
                if distribution.version == version:
                    yield from guarded(venv.name(distribution.info), _content, venv, distribution, recorded.published)
        if others is not None:
            versions_known = {**others.expected, **dict.fromkeys(versions, "")}
            yield from _strangers(path, registered, others._replace(expected=versions_known))


def _strangers(path: str, registered: dict[str, list[Distribution]], others: OtherVersions) -> t.Iterator[DriftLine]:
    for name in sorted({*registered, *others.expected} - distributions.SEEDS):
        current = " and ".join(distribution.version for distribution in registered.get(name, ()))
        was = others.expected.get(name)
        if was is None:
            text = "is left of a change that was rolled back" if name in others.undone else "was added by somebody"
            yield DriftLine(path, f"{name} {current} {text}", theirs=True)
        elif was and current != was:
            yield DriftLine(path, f"{name} was {was}, is {current or 'gone'}", theirs=True)


def _content(venv: Tree, distribution: Distribution, published: t.Mapping[str, str]) -> t.Iterator[DriftLine]:
    label = f"{distribution.name} {distribution.version}"
    [differing] = content.differences(venv, [distribution], published=published)
    # What came without a hash differs from nothing.
    different = [difference for difference in differing if difference.text != damage.UNHASHED]
    for difference in different[:_MANY]:
        yield DriftLine(venv.name(difference.path), f"{difference.text} ({label})")
    if len(different) > _MANY:
        yield DriftLine(venv.name(distribution.info), f"{len(different) - _MANY} more files of {label} differ")
