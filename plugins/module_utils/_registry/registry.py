"""The kinds of resources: a table of names. Nothing else of the engine names one."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName, NotCarried
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_owned

if t.TYPE_CHECKING:
    import types

    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Kind, Resource, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Observed

# Where an alias stands for several, the first that this host is about is meant: Debian has rpm as a package too.
KINDS: dict[str, str] = {
    "files": "_files.kind:FilesKind",
    "venv": "_venv.kind:VenvKind",
    "git": "_git.kind:GitKind",
    "dpkg": "_dpkg.kind:DpkgKind",
    "rpm": "_rpm.kind:RpmKind",
}


def parts() -> tuple[types.ModuleType, ...]:
    """The kinds that every module carries that reads the record, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._files import kind as files_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._files import resource as files
    from ansible_collections.intellistream.sage.plugins.module_utils._git import kind as git_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._git import resource as git
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import kind as venv_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import resource as venv

    return files, files_kind, git, git_kind, venv, venv_kind


def find(name: str) -> Kind | None:
    """The kind of that name; None when this version has none, or what runs here does not carry it."""
    if name not in KINDS:
        return None
    kind: ByName[t.Callable[[], Kind]] = ByName(KINDS[name])
    try:
        return kind.load()()
    except NotCarried:
        return None


def kind_of(spec: Spec) -> Kind:
    """The kind of a resource.

    :raises InputError: there is none of that name, or it cannot be used here.
    """
    kind = find(str(spec["kind"]))
    if kind is None:
        raise _unusable(str(spec["kind"]))
    return kind


def _unusable(name: str) -> InputError:
    if name not in KINDS:
        return InputError(f"There is no resource of kind {name!r}.", advice=f"Use one of {', '.join(KINDS)}.")
    return InputError(
        f"A resource of kind {name} cannot be used here.",
        untouched="everything.",
        advice="Capture it with intellistream.sage.sage_backup, and undo it with intellistream.sage.sage_rollback.",
    )


def make(spec: Spec) -> Resource:
    """The resource that C(spec) describes.

    :raises InputError: the kind is unknown or cannot be used here, or the spec lacks what the kind needs.
    :raises NeedsLibrary: this Python has not what the kind needs.
    :raises UnsafePath: what lies there is run, and somebody else could replace it.
    """
    resource = make_if_carried(spec)
    if resource is None:
        raise _unusable(str(spec["kind"]))
    return resource


def make_if_carried(spec: Spec) -> Resource | None:
    """The same; None where the kind is unknown, or what runs here does not carry it."""
    kind = find(str(spec["kind"]))
    if kind is None:
        return None
    _check_paths(spec, kind.options)
    if kind.runs and spec.get("path"):
        # That a record names it does not make it ours.
        check_owned(str(spec["path"]))
    try:
        return kind.make(spec)
    except NotCarried:
        return None


def _check_paths(spec: Spec, options: t.Mapping[str, Facts]) -> None:
    """Only absolute paths that mean one place are taken.

    :raises InputError: a path is none.
    """
    for name, option in options.items():
        paths = spec.get(name) or []
        if option.get("elements") != "path":
            paths = [paths] if paths and option.get("type") == "path" else []
        for path in paths:
            if not os.path.isabs(path) or "\0" in path or ".." in path.split("/"):
                raise InputError(f"{path!r} is not an absolute path without '..'.", untouched="everything.")


def recorded(spec: Spec) -> Facts:
    """A spec as the ledger keeps it.

    :raises InputError: there is no such kind, or it cannot be used here.
    """
    return kind_of(spec).recorded(spec)


def key(spec: Spec) -> str:
    """What tells two resources of a host apart; of kinds that are not known here, everything."""
    kind = find(str(spec["kind"]))
    return kind.key(spec) if kind is not None else repr(sorted(spec.items()))


def facts_of(spec: Spec, results: t.Iterable[Observed]) -> Facts | None:
    """The facts about the same resource among those that were recorded of several; None without any."""
    found = (observed["facts"] for observed in results if key(observed["spec"]) == key(spec))
    return next(map(dict, found), None)


def carried() -> list[Kind]:
    """All kinds that what runs here carries, in the order of the table."""
    return [kind for kind in map(find, KINDS) if kind is not None]


def translated(specs: t.Iterable[Spec]) -> list[Facts]:
    """The same specs, with this host's kind for an alias.

    :raises InputError: none of those that an alias stands for is this host's.
    """
    return [{**spec, "kind": _meant(str(spec["kind"]))} for spec in specs]


def _meant(name: str) -> str:
    meant = [kind for kind in carried() if kind.alias == name]
    kind = next((kind for kind in meant if kind.here()), None)
    if meant and kind is None:
        owners = " nor ".join(f"{kind.name}'s" for kind in meant)
        raise InputError(f"This host has neither {owners} {name}.", untouched="everything.")
    return name if kind is None else kind.name


def options(system: bool = False) -> Facts:
    """The options of one resource, as an argument specification: C(kind), and what the kinds need.

    :param system: packages of the system, too; not every module carries those kinds.
    """
    kinds = [kind for kind in carried() if system or not kind.system]
    aliases = dict.fromkeys(kind.alias for kind in kinds if kind.alias)
    merged: Facts = {"kind": {"type": "str", "required": True, "choices": [*(kind.name for kind in kinds), *aliases]}}
    for kind in kinds:
        merged.update(kind.options)
    return merged
