"""Drift of one kind of resource: how what is on the host differs from what the record says."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary, SageError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Resource, Spec


class DriftLine(t.NamedTuple):
    """One difference, for people.

    :ivar theirs: it is about what others installed: no result names it, and no installation puts it right.
    """

    path: str
    text: str
    theirs: bool = False


class OtherVersions(t.NamedTuple):
    """What the record says of names and versions that no result names.

    :ivar expected: name → version, empty where any will do.
    :ivar undone: names in changes that were rolled back; a rollback may be asked to leave some.
    """

    expected: dict[str, str]
    undone: set[str]


class Recorded(t.NamedTuple):
    """What the record says of all resources of one kind.

    :ivar make: the resource of a spec.
    :ivar results: spec and facts of each, in the order they were recorded.
    :ivar others: path → what else the record says; None when nothing is known.
    :ivar published: path below an environment → SHA-256, of what is right although its distribution says otherwise.
    """

    make: t.Callable[[Spec], Resource]
    results: list[tuple[Spec, Facts]]
    others: t.Callable[[str], OtherVersions | None]
    published: t.Mapping[str, str] = {}


# Every difference of one kind; what cannot be read is one, too.
Drift = t.Callable[[Recorded], list[DriftLine]]


def compare(recorded: Recorded) -> list[DriftLine]:
    """A P(Drift) of kinds whose facts say all there is to say."""
    lines: list[DriftLine] = []
    for spec, facts in recorded.results:
        lines += guarded(str(spec.get("path") or ""), differences, recorded, spec, facts)
    return lines


def differences(recorded: Recorded, spec: Spec, facts: Facts) -> t.Iterator[DriftLine]:
    """One resource compared with its facts."""
    resource = recorded.make(spec)
    for text in resource.drift(facts):
        yield DriftLine(resource.path, text)


def guarded(path: str, look: t.Callable[..., t.Iterable[DriftLine]], *arguments: t.Any) -> list[DriftLine]:
    """The lines of a look; an error becomes one.

    :raises NeedsLibrary: another Python can look.
    """
    lines: list[DriftLine] = []
    try:
        lines += look(*arguments)
    except NeedsLibrary:
        raise
    except SageError as error:
        lines.append(DriftLine(path, f"cannot be compared: {error.what}"))
    except (OSError, ValueError) as error:
        lines.append(DriftLine(path, f"cannot be compared: {error}"))
    return lines
