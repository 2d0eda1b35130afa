"""What of an environment a change touched and what of it goes back: the engine's decision, by distribution."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import names as base_names
from ansible_collections.intellistream.sage.plugins.module_utils._base import versions as base_versions
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import decide, point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Touched
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, FILE, Table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.way_back import WayBack
from ansible_collections.intellistream.sage.plugins.module_utils._storage.archive import remove
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.owners import RECORD, Owners, source_of

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.way_back import TopPath
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import UndoOptions

# The version that stands for "it will not be there" in what a change is going to leave.
ABSENT = "-"
# What uv makes in an environment that it finds without it.
_LOCK = ".lock"
_SETTINGS = "pyvenv.cfg"
# Of a row, what a copy of the tree keeps.
_UP_TO_MTIME = 6
# Later than any time: what is there now is what is meant.
_NEVER_RACY = 1 << 63

Versions = dict[str, list[str]]


class DistributionStanding(t.NamedTuple):
    """The versions of one distribution.

    :ivar before: the changes; empty where it was absent. An upgrade that was interrupted has two.
    :ivar left: by the last of them, or what it was going to leave; empty where it was going to leave none.
    :ivar now: what is registered.
    :ivar theirs: of P(now) what somebody else installed.
    :ivar removed: somebody else removed it.
    """

    before: list[str]
    left: list[str]
    now: list[str]
    theirs: list[str]
    removed: bool


class VenvWayBack(WayBack):
    """The way back of an environment, in groups that are distributions.

    What a change did is told by two looks. Where nobody looked when it had ended, its plan tells: what belongs to other
    distributions stays, and so does what nobody owns, unless the change was killed.

    :param venv: the environment; it stays the caller's.
    :ivar standings: of the distributions that the changes touched, by name.
    :ivar aside: paths that are kept aside, since it is not certain whose they are.
    :ivar stayed: names and versions that stay, since they were added so long ago.
    :ivar unexplained: paths that are otherwise than before a change that nobody looked at, and stay so.
    :ivar renewed: paths that were written to after the capture, through a descriptor that was open by then.
    """

    def __init__(self, venv: Tree, layers: t.Sequence[Layer], options: UndoOptions) -> None:
        self._venv = venv
        self._all = layers
        self.owners = Owners(venv)
        self.standings: dict[str, DistributionStanding] = {}
        self.aside: set[str] = set()
        self.stayed: list[str] = []
        self.unexplained: set[str] = set()
        self.renewed: set[str] = set()
        self._unheld: set[str] = set()
        self._late = [layer for layer in layers if _is_late(layer)]
        unfinished = [layer.manifest["captured_ns"] for layer in self._late if not layer.completed]
        self.since: int | None = min(unfinished) if unfinished else None
        self._theirs: set[str] = set()
        self._since: set[str] = set()
        super().__init__(layers, options, lambda _top, path: sorted(self.owners.names(path)), remove)
        for path, decision in self.decisions.items():
            self.decisions[path] = self._sure(decision)

    # What is the change's.

    def claimed(self, layer: Layer, footprint: Footprint) -> Footprint:
        with point.farms_of([layer]) as farms:
            self.owners.learn(footprint.paths(), footprint.before, farms)
        self._unheld.update(footprint.unheld)
        self.renewed.update(footprint.renewed)
        if not _is_late(layer):
            return footprint
        if footprint.late is None:
            # Somebody looked before the next capture: what is otherwise since then is the next change's.
            footprint = footprint._replace(late=Table({}), claims=lambda _path: False)
        if layer.spec.get("all"):
            return footprint
        planned = {*_pins(layer)}

        def plan_has(path: str) -> bool:
            owners = self.owners.names(path)
            return not owners or not owners.isdisjoint(planned)

        # No RECORD lists a directory: it is whose the files in it are.
        files = [path for path, row in footprint.before.rows.items() if row.type != DIRECTORY]
        of_plan, others = (_above(path for path in files if plan_has(path) is has) for has in (True, False))
        of_others = others - of_plan

        def claims(path: str) -> bool:
            return plan_has(path) and path not in of_others

        return footprint._replace(
            before=_only(footprint.before, claims),
            after=_only(footprint.after, claims),
            claims=footprint.claims or claims,
        )

    def refined(self, top: TopPath, touched: dict[str, Touched], current: Table, farms: Farms) -> dict[str, Touched]:
        touched = dict(touched)
        self._forget_between(top, touched)
        self._find_standings(top, touched, current)
        self._add_what_others_installed(top, touched, current, farms)
        self._add_bytecode(top, touched, current)
        self._leave_older(top, touched)
        self._leave_others(top, touched, current, farms)
        if any(sides.late for sides in touched.values()):
            with point.anchor_of(top.path) as anchor:
                if anchor is not None:
                    self._judge_unsettled(anchor, top, touched, current)
        return touched

    def _forget_between(self, top: TopPath, touched: dict[str, Touched]) -> None:
        """What somebody installed between two changes of one distribution was not there before the first of them."""
        names: set[str] = set()
        seen: set[str] = set()
        for footprint in top.footprints:
            for path, row in footprint.before.rows.items():
                if path in seen or path in top.before or self.owners.names(path).isdisjoint(names):
                    continue
                sides = touched.get(path)
                if sides is not None and sides.before is not None:
                    touched[path] = sides._replace(before=None, between=row.type != DIRECTORY)
            paths = footprint.paths()
            seen.update(paths)
            infos = (path for path in paths if path.endswith(distributions.INFO))
            names.update(each.name for each in distributions.in_paths(infos))

    def _find_standings(self, top: TopPath, touched: t.Mapping[str, Touched], current: Table) -> None:
        untouched = [path for path in top.before if path not in touched]
        first = [path for path, sides in touched.items() if sides.before is not None]
        before = _versions(distributions.in_paths([*untouched, *first]))
        is_now = _versions(distributions.in_paths(current.rows))
        infos = [path for path in touched if path.endswith(distributions.INFO)]
        missing = {path for path in infos if touched[path].after is None}
        came = {path for path in infos if touched[path].before is None} - missing
        remaining = _versions(distributions.in_paths([*untouched, *({*first} - missing), *came]))
        seen = [path for path in infos if not touched[path].late]
        came_seen = _versions(distributions.in_paths(path for path in seen if path not in missing))
        gone_seen = _versions(distributions.in_paths(path for path in seen if path in missing))
        allowed = self._allowed()
        # A way back that was killed may have put back what any capture has.
        known = {path for rows in top.captured for path in rows} if self._how.resumed else ()
        captured = _versions(distributions.in_paths(known))
        for name in sorted({each.name for each in distributions.in_paths(infos)} | {*allowed}):
            late = name in allowed
            of_plan = [*allowed.get(name, ()), *came_seen.get(name, ()), *([ABSENT] if name in gone_seen else ())]
            recorded = [*before.get(name, ()), *captured.get(name, ()), *(of_plan if late else remaining.get(name, ()))]
            of_now = is_now.get(name, [])
            theirs = [version for version in of_now if not _is_among(version, recorded)]
            removed = (
                bool(before.get(name)) and not of_now and not self._may_be_gone(name, remaining, of_plan, late=late)
            )
            named = [version for version in of_plan if version not in ("", ABSENT, *before.get(name, ()))]
            planned = named if late else remaining.get(name, [])
            self.standings[name] = DistributionStanding(before.get(name, []), planned, of_now, theirs, removed)
            if theirs or removed:
                self._theirs.add(name)

    def _may_be_gone(self, name: str, remaining: Versions, of_plan: t.Sequence[str], *, late: bool) -> bool:
        if self._how.resumed or self.since is not None:
            return True
        return ABSENT in of_plan if late else not remaining.get(name)

    def _allowed(self) -> Versions:
        """Name → what captures and plans of changes that nobody settled explain; an empty text is any version."""
        allowed: Versions = {}
        for layer in self._late:
            pins = _pins(layer)
            everything = bool(layer.spec.get("all"))
            for name in {*pins, *(layer.manifest["distributions"] if everything else ())}:
                explained = allowed.setdefault(name, [])
                explained += [pins[name]] if name in pins else []
                explained += ["", ABSENT] if everything else []
        for layer in self._all:
            for name, version in layer.manifest["distributions"].items():
                if name in allowed:
                    allowed[name].append(version)
        return allowed

    def _add_what_others_installed(
        self, top: TopPath, touched: dict[str, Touched], current: Table, farms: Farms
    ) -> None:
        """What somebody installed in the place of what goes back: half of it must not stay.

        Nor half of what a killed way back has put there.
        """
        names = set(self._theirs)
        if self._how.resumed:
            names.update(name for name, each in self.standings.items() if {*each.now} - {*each.before})
        if not names:
            return
        rows = self.owners.rows_now(names)
        infos = tuple(f"{each.info}/" for each in self.owners.now if each.name in names)
        paths = [path for path in current.rows if path in rows or f"{path}/".startswith(infos or ("/",))]
        self.owners.learn(paths, Table({}), farms)
        for path in paths:
            row = current.rows[path]
            sides = touched.get(path, Touched(top.before.get(path), row, "", settled=_NEVER_RACY))
            if path in touched or sides.before is None:
                is_theirs = row.type != DIRECTORY and not self.owners.names(path).isdisjoint(self._theirs)
                touched[path] = sides._replace(between=sides.between or is_theirs)

    def _add_bytecode(self, top: TopPath, touched: dict[str, Touched], current: Table) -> None:
        """Byte code goes and comes back with its source, and is nobody's edit."""
        sources = {path for path in touched if path.endswith(".py")}
        caches: dict[str, list[str]] = {}
        for path in [*current.rows, *(path for path in touched if path not in current.rows)]:
            source = source_of(path)
            if not source or not (source in sources or source in current.rows or source in top.before):
                continue
            row = current.rows.get(path)
            recorded = touched.get(path)
            if recorded is not None:
                touched[path] = recorded._replace(after=row, settled=_NEVER_RACY, between=False)
            elif source in sources and path in current.rows:
                caches.setdefault(path.rpartition("/")[0], []).append(path)
                before = top.before.get(path)
                if before is None:
                    touched[path] = Touched(None, row, "", settled=_NEVER_RACY)
        for directory in caches:
            if directory not in touched and directory not in top.before:
                touched[directory] = Touched(None, current.rows[directory], "")

    def _leave_older(self, top: TopPath, touched: dict[str, Touched]) -> None:
        """What was added before a date stays; what was replaced then is put back all the same."""
        date = self._how.erase_after
        if date is None:
            return
        older = [footprint for layer, footprint in zip(self._all, top.footprints) if layer.time <= date]
        added = {
            each.name
            for footprint in older
            for each in distributions.in_paths(footprint.after.rows)
            if each.name in self.standings and not self.standings[each.name].before
        }
        for path in [path for path, sides in touched.items() if sides.before is None]:
            if not self.owners.names(path).isdisjoint(added):
                del touched[path]
        for name in sorted(added):
            self.stayed += [f"{name} {version}" for version in self.standings[name].now]
            del self.standings[name]

    def _leave_others(self, top: TopPath, touched: dict[str, Touched], current: Table, farms: Farms) -> None:
        """What distributions own that others installed since stays, and so do directories that it is in."""
        self._find_since(top, current)
        directories = {
            path
            for path, sides in touched.items()
            if sides.before is None and path in current.rows and current.rows[path].type == DIRECTORY
        }
        inside = [path for path in _below(current, directories) if path not in touched] if directories else []
        self.owners.learn(inside, Table({}), farms)
        stay = [path for path in inside if self._is_others(path)]
        for path in [path for path, sides in touched.items() if sides.before is None and self._is_others(path)]:
            del touched[path]
            stay.append(path)
        for path in stay:
            directory = path.rpartition("/")[0]
            while directory:
                if directory in directories:
                    touched.pop(directory, None)
                directory = directory.rpartition("/")[0]

    def _find_since(self, top: TopPath, current: Table) -> None:
        """What of the distributions that the changes had nothing to do with is not from before them.

        One that is may list what was not there then: it had lost that to another owner.
        """
        for distribution in self.owners.now:
            record = f"{distribution.info}/{RECORD}"
            before, row = top.before.get(record), current.rows.get(record)
            is_as_before = before is not None and row is not None and before[:_UP_TO_MTIME] == row[:_UP_TO_MTIME]
            if distribution.name not in self.standings and not is_as_before:
                self._since.add(distribution.name)

    def _is_others(self, path: str) -> bool:
        return not self._since.isdisjoint(self.owners.names_now(path))

    # What nobody looked at when the change had ended.

    def _judge_unsettled(self, anchor: Anchor, top: TopPath, touched: dict[str, Touched], current: Table) -> None:
        rows = self.owners.rows_now(self.standings)
        settings = touched.get(_SETTINGS)
        is_made_anew = settings is not None and settings.before is not None and settings.after is not None
        is_unlisted = self._has_unlisted(top)
        missing_directories = []
        for path, sides in list(touched.items()):
            row = current.rows.get(path)
            if not sides.late or source_of(path) or (row is not None and row.type == DIRECTORY):
                continue
            if path in self.begun[top.path] or self._is_ours(anchor, top, path, row):
                # Of a way back that was killed.
                continue
            if row is None and is_unlisted:
                # It comes back: it may be of what went, and nothing of anybody's is in its place.
                continue
            if self.owners.names(path):
                if row is not None and row.type == FILE and path in rows:
                    self._judge_owned(top, touched, path, row, rows[path].digests)
            elif row is None and sides.before is not None and sides.before.type == DIRECTORY:
                missing_directories.append(path)
            elif sides.before is not None:
                self._judge_own(touched, path, made_anew=is_made_anew)
            elif row is not None and not (path == _LOCK and not row.size):
                self._judge_stray(touched, path, row)
        # No RECORD lists a directory: it goes by what comes back into it.
        with_content = _above(path for path in touched if path not in missing_directories)
        for path in missing_directories:
            if path not in with_content:
                self._judge_own(touched, path, made_anew=is_made_anew)

    def _judge_owned(
        self, top: TopPath, touched: dict[str, Touched], path: str, row: TableRow, digests: t.Collection[str]
    ) -> None:
        """A file of a distribution: somebody's edit, unless RECORD or a capture explains its content."""
        sides = touched[path]
        explained = {*digests, *(each.hash for each in top.known(path))}
        if sides.before is not None:
            explained.add(sides.before.hash)
        if digests and sides.after is not None and sides.after.hash not in explained:
            self._judge_edit(touched, path, row)

    def _has_unlisted(self, top: TopPath) -> bool:
        """Whether something that the changes touched had no RECORD, so that its files are nobody's."""
        return any(
            each.name in self.standings and f"{each.info}/{RECORD}" not in top.before
            for each in distributions.in_paths(top.before)
        )

    def _judge_own(self, touched: dict[str, Touched], path: str, *, made_anew: bool) -> None:
        """What belongs to the environment itself: no installer touches it, unless the environment is made anew."""
        if self.since is None and not made_anew:
            self._leave_unexplained(touched, path)
        else:
            self.aside.add(path)

    def _judge_stray(self, touched: dict[str, Touched], path: str, row: TableRow) -> None:
        """What nobody owns: of an installer that was killed, or somebody's."""
        if self.since is not None and row.ctime >= self.since:
            self.aside.add(path)
        else:
            self._leave_unexplained(touched, path)

    def _leave_unexplained(self, touched: dict[str, Touched], path: str) -> None:
        del touched[path]
        self.unexplained.add(path)

    def _judge_edit(self, touched: dict[str, Touched], path: str, row: TableRow) -> None:
        if self.since is not None and row.ctime >= self.since:
            # Most likely half written by the installer that was killed; kept in case it was not.
            self.aside.add(path)
        else:
            touched[path] = touched[path]._replace(between=True)

    # What came of it.

    def _sure(self, decision: decide.Decision) -> decide.Decision:
        """Without what cannot be put back, since it is not held; with what is kept aside on suspicion."""
        lost = {path for path in decision.lost if path in self._unheld}
        going = {step.path for step in decision.steps if step.now is not None and step.now.type != DIRECTORY}
        steps = [step for step in decision.steps if step.path not in lost]
        strays = [*decision.strays, *sorted(self.aside & going - {*decision.strays})]
        return decision._replace(steps=steps, strays=strays, lost=sorted(lost))


def _is_late(layer: Layer) -> bool:
    """Whether nobody looked at once when the change had ended."""
    after = layer.after or {}
    return not after.get("footprints") or bool(after.get("late"))


def _pins(layer: Layer) -> dict[str, str]:
    """Name → version of what a change was going to leave."""
    listed = layer.spec.get("distributions") or []
    return {base_names.canonical(str(each["name"])): str(each.get("version") or "") for each in listed}


def _versions(registered: t.Iterable[distributions.Distribution]) -> Versions:
    return {name: [each.version for each in several] for name, several in distributions.by_name(registered).items()}


def _is_among(version: str, recorded: t.Iterable[str]) -> bool:
    return any(not each or base_versions.same_version(version, each) for each in recorded if each != ABSENT)


def _above(paths: t.Iterable[str]) -> set[str]:
    """The directories that paths lie in."""
    directories: set[str] = set()
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory and directory not in directories:
            directories.add(directory)
            directory = directory.rpartition("/")[0]
    return directories


def _only(table: Table, claims: t.Callable[[str], bool]) -> Table:
    return table._replace(rows={path: row for path, row in table.rows.items() if claims(path)})


def _below(table: Table, directories: t.Iterable[str]) -> t.Iterator[str]:
    """The paths of a table that lie in some directories, at any depth."""
    within = {*directories}
    # A directory comes before what is in it.
    for path, row in table.rows.items():
        if path.rpartition("/")[0] in within:
            if row.type == DIRECTORY:
                within.add(path)
            yield path
