"""Taking a virtual environment into a store: a table of all of it, and its content by links, whatever is in it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import hold, keeper, point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE, LINK
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.owners import source_of

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution

# Up to here a file in bin is a script, and one at the top has settings: people edit them, and installers write over
# them in place.
_SCRIPT = 65536
# Installers append to these.
_WRITTEN_IN_PLACE = (".pth", ".egg-link")
# What a table says of a path, in bytes.
_PER_ROW = 160
# Paths of an environment that no RECORD lists: directories, byte code, what made it.
_OTHER_PATHS = 1000

Facts = dict[str, t.Any]


def chosen(venv: Tree, names: t.Container[str]) -> list[Distribution]:
    """What is registered under some names."""
    return [distribution for distribution in distributions.installed(venv) if distribution.name in names]


def need(venv: Tree, held: t.Container[str] | None, device: int | None) -> tuple[int, int]:
    """(files, bytes) that P(capture) would write to a store on file system C(device).

    :param held: names of what is held where nothing can be linked; None for everything.
    """
    registered = distributions.installed(venv)
    if device == venv.device:
        # Links take no room, and the little that is copied fits into the reserve.
        lines = sum(distributions.readable_record(venv, each.info).count(b"\n") for each in registered)
        return lines + _OTHER_PATHS, _PER_ROW * (lines + _OTHER_PATHS)
    table = point.look(venv.path)
    is_needed = _needed(venv, registered, held)
    needed = [row for path, row in table.rows.items() if row.type == FILE and is_needed(path)]
    return len(needed), footprint_table.size_of(table, needed) + _PER_ROW * len(table.rows)


def capture(
    path: str,
    names: t.Container[str] | None,
    held: t.Container[str] | None,
    directory: PrivateDir,
    farm_directory: PrivateDir,
    *,
    watch: bool = True,
) -> Facts:
    """Capture an environment; returns facts for the manifest.

    :param path: of the environment, which is there.
    :param names: of what the change replaces; None for everything.
    :param held: names of what is held where nothing can be linked; None for everything.
    :param farm_directory: of the root, where content is held.
    :param watch: from now on, what is written in place is copied first, until the change is settled.
    :raises CaptureError: something cannot be captured.
    """
    venv, above = Tree.open(path), Tree.open(os.path.dirname(path), follow=True)
    if venv is None or above is None:
        raise CaptureError(f"{path} went while it was captured.", untouched="everything.", advice="Run again.")
    with venv, above, Tree.of(farm_directory) as tree:
        registered = distributions.installed(venv)
        is_needed = _needed(venv, registered, held)
        farm = Farm(tree)
        links = farm.tree.device == venv.device
        policy = hold.HoldPolicy(links=links, shared=True, is_edited=is_edited, is_needed=is_needed)
        earlier = point.newest(farm_directory, path)
        anchor = Anchor(above, os.path.basename(path))
        seen = anchor.look(earlier)
        _refuse_links_to_packages(venv, seen, names)
        planned, work = hold.plan(seen, farm, policy, earlier)
        table = _held(anchor, planned, work, farm, policy, watch=watch and links)
        farm.flush(_copied(planned, table))
        digest = point.write_table(directory, 0, table)
        point.note_newest(farm_directory, path, directory, 0)
    needed = [row for relative, row in table.rows.items() if row.type == FILE and is_needed(relative)]
    return {
        "distributions": {distribution.name: distribution.version for distribution in registered},
        "real": os.path.realpath(path),
        "files": len(needed),
        "copies": len(work.copies),
        "bytes": footprint_table.size_of(table, needed),
        "tables": {path: digest},
        "farm": True,
        "partly": bool(work.unheld),
        "captured_ns": table.began,
    }


def _held(
    anchor: Anchor, planned: Table, work: hold.HoldPlan, farm: Farm, policy: hold.HoldPolicy, *, watch: bool
) -> Table:
    if not watch:
        return hold.hold(anchor, planned, work, farm, policy)
    copies = {*work.copies}
    linked = [path for path in hold.unlinked(planned) if path not in copies]
    watching = keeper.Watch(anchor, planned, farm, linked)
    try:
        table = hold.hold(anchor, planned, work, farm, policy)
        return hold.hold(anchor, table, hold.HoldPlan([], watching.refused(), [], bytes=0), farm, policy)
    except BaseException:
        watching.stop()
        raise


def is_edited(path: str, row: TableRow) -> bool:
    """Whether people or installers write such files in place."""
    directory, dummy, name = path.rpartition("/")
    return row.size < _SCRIPT if directory in ("", "bin") else name.endswith(_WRITTEN_IN_PLACE)


def _copied(planned: Table, table: Table) -> set[str]:
    """Hashes of what was copied anew."""
    return {row.hash for path, row in table.rows.items() if row.hash and planned.rows[path].hash != row.hash}


def _needed(
    venv: Tree, registered: t.Sequence[Distribution], names: t.Container[str] | None
) -> t.Callable[[str], bool]:
    """Whether a change replaces what is at a path, as far as RECORDs tell."""
    if names is None:
        return lambda _path: True
    paths: set[str] = set()
    infos = []
    for distribution in registered:
        if distribution.name in names:
            infos.append(f"{distribution.info}/")
            listed = _listed(venv, distribution)
            if not listed:
                # Nobody knows what is its own, so it may be anything.
                return lambda _path: True
            paths.update(listed)
    prefixes = tuple(infos)
    # No RECORD of uv lists byte code, and it goes with its source.
    return lambda path: path in paths or path.startswith(prefixes) or source_of(path) in paths


def _listed(venv: Tree, distribution: Distribution) -> t.Collection[str]:
    try:
        prefix = os.path.realpath(venv.path)
        return distributions.record(venv, distribution.info, prefix=prefix, strict=False) or ()
    except (UnsafePath, OSError, ValueError):
        # Whatever it is, the table has what lies in the environment.
        return ()


def _refuse_links_to_packages(venv: Tree, table: Table, names: t.Container[str] | None) -> None:
    """Refuse a package that is a link to somebody's sources, or has files that are links into a cache.

    An installer empties sources, anybody cleans a cache, and no table has them.

    :raises CaptureError: the change replaces one.
    """
    sites = tuple(distributions.sites(venv))
    links = {path: row.target for path, row in table.rows.items() if row.type == LINK and path.startswith(sites)}
    packages = tuple(f"{path}/" for path in links if os.path.isdir(venv.name(path)))
    files = {path for path, target in links.items() if os.path.isabs(target) and f"{path}/" not in packages}
    if not links or not sites:
        return
    for distribution in distributions.installed(venv):
        if names is not None and distribution.name not in names:
            continue
        listed = _listed(venv, distribution)
        linked = next((path for path in listed if packages and path.startswith(packages)), "")
        cached = next((path for path in listed if path in files), "")
        if linked:
            package = venv.name(next(link for link in packages if linked.startswith(link)).rstrip("/"))
            reason = f"{package} is a link to {os.path.realpath(package)}, which the change would empty"
            advice = f"Remove the link, or uninstall {distribution.name}, then run again."
        elif cached:
            package = venv.name(cached)
            reason = f"{package} is a link to {links[cached]}, which does not belong to the environment and may go"
            advice = f"Have {distribution.name} installed anew without UV_LINK_MODE=symlink, then run again."
        else:
            continue
        raise CaptureError(
            f"{distribution.name} {distribution.version} cannot be captured: {reason}.",
            untouched="everything.",
            advice=advice,
            distribution=distribution.name,
            path=package,
        )


def versions(layer: Layer) -> bytes:
    """A P(_kind.interface.PlainCopy): all distributions and their versions."""
    if not layer.manifest["existed"]:
        return b"# There was no environment.\n"
    lines = [f"{name}=={version}\n" for name, version in sorted(layer.manifest["distributions"].items())]
    return "".join(lines).encode()
