"""The program that apt and dnf start before they change packages, and once they have.

It runs on the host alone, without Ansible: P(_hooks.files.build_program) makes one file of it.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t
from urllib.parse import unquote

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._calls import backup
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND, HOOK
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_packages, carry_undos, registry

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import PackageChange
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import HookSettings

CARRIES = (carry_packages.parts, carry_undos.parts)
# Set to V(off), a run is not captured: an undo does that for its own.
SWITCH = "SAGE_CAPTURE"
_ABSENT = "-"
# Lines of the ledger: one that captured, one that settled, and those of runs at the same time.
_LATELY = 8
_REMOVE = "**REMOVE**"
# Of a line: name, version, architecture, multi-arch; direction; the same three for what comes; what apt will do.
_FIELDS = 9


class PackageManagerRun(t.NamedTuple):
    """One run of a package manager.

    :ivar command: the command line it was started with.
    :ivar changes: what it is going to do, as in a resource's C(changes), with C(file): a package file that comes.
    :ivar elsewhere: it is about another system, such as a chroot.
    """

    command: str
    changes: list[PackageChange]
    elsewhere: bool = False


def main(settings: HookSettings, arguments: list[str]) -> int:
    """C(MANAGER before) captures what standard input tells of; C(MANAGER after) records what the run has left.

    :param settings: P(Engine)'s parameters, and C(strict).
    :param arguments: C(apt) or C(dnf), and C(before) or C(after).
    :returns: the exit status; 0 lets the package manager go on.
    """
    if os.environ.get(SWITCH, "").strip().lower() in ("0", "false", "no", "off", "n", "f"):
        return 0
    manager, moment = arguments
    # Packages are named in bytes that need not be text here.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if moment == "before" else ""
    engine = Engine(
        settings["root"], settings["checkpoint_dir"], settings["lock_timeout"], repackage_dir=settings["repackage_dir"]
    )
    try:
        message = before(engine, manager, READERS[manager](text)) if moment == "before" else after(engine, manager)
    except (SageError, OSError) as error:
        message = f"sage: {error}" if isinstance(error, SageError) else f"sage: The operating system refused: {error}."
        if moment == "after":
            _say(message)
            return 0
        _say(f"{message}\n{_consequence(manager, settings['strict'])}")
        return 1 if settings["strict"] else 0
    if message:
        sys.stdout.write(f"sage: {message}\n")
    return 0


def before(engine: Engine, manager: str, run: PackageManagerRun) -> str:
    """Make a rollback point of what a run is going to replace; returns a sentence for people.

    :param engine: of the state that the point goes to.
    :param manager: C(apt) or C(dnf).
    :param run: what is going to happen; one about another system is left alone.
    :raises SageError: it could not be captured.
    """
    if run.elsewhere or not run.changes:
        return ""
    kind = next(kind.name for kind in registry.carried() if kind.manager == manager)
    if _captured(engine, kind, run.changes):
        return ""
    specs = [{"kind": kind, "changes": run.changes}]
    point = backup.backup(engine, specs, None, f"{manager}: {run.command}", False, HOOK)["rollback_point"]
    return f"What this run replaces is kept as rollback point {point['id']}."


def after(engine: Engine, manager: str) -> str:
    """Record what the run that was captured last brought about; returns nothing to say.

    :param engine: of the state that has the point.
    :param manager: C(apt) or C(dnf).
    :raises ChangeFailed: the package manager's own record shows that it did not succeed.
    """
    with engine.reading() as session:
        points = [point for change in session.lately(HOOK, _LATELY) for point in change.active_points]
        name = ""
        if points and str(points[-1].get("description")).startswith(f"{manager}: ") and points[-1].get("after") is None:
            name = points[-1]["point"]
    if name:
        backup.settled(engine, name, False)
    return ""


def _captured(engine: Engine, kind: str, changes: t.Sequence[PackageChange]) -> bool:
    """A playbook has captured the very same just now, for instance by M(intellistream.sage.sage_backup)."""
    with engine.reading() as session:
        made = [*session.lately(HAND, _LATELY), *session.lately(HOOK, _LATELY)]
        made += [session.installation] if session.installation is not None else []
        points = sorted((point for change in made for point in change.active_points), key=lambda point: point["seq"])
        if not points or points[-1].get("after") is not None or session.where is None:
            return False
        resources = [resource for resource in points[-1].get("resources") or [] if resource["kind"] == kind]
        captured = {_key(change) for resource in resources for change in resource.get("changes") or []}
        if not {_key(change) for change in changes} <= captured:
            return False
        return backup.still_holds(session.where, points[-1])


def _key(change: PackageChange) -> tuple[str | None, ...]:
    return (change["name"], change.get("before"), change.get("after"))


def _consequence(manager: str, strict: bool) -> str:
    if not strict:
        return f"sage: {manager} goes on; this run cannot be rolled back."
    return f"sage: Nothing was changed. To let {manager} go on without a rollback point, run it with {SWITCH}=off."


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def read_apt(text: str) -> PackageManagerRun:
    """Read what C(DPkg::Pre-Install-Pkgs) gets in version 3: settings, an empty line, a line for each step.

    :raises InputError: it is something else.
    """
    head, dummy, steps = text.partition("\n\n")
    version, dummy, settings = head.partition("\n")
    if version != "VERSION 3":
        raise InputError(f"apt sent {version[:40]!r} instead of VERSION 3.", untouched="everything.")
    variables = dict(line.partition("=")[::2] for line in settings.splitlines())
    changes: dict[tuple[str, str], PackageChange] = {}
    for line in steps.splitlines():
        fields = line.split(" ", _FIELDS - 1)
        if len(fields) != _FIELDS:
            raise InputError(f"apt sent {line!r}, which does not have {_FIELDS} fields.", untouched="everything.")
        name, before, was, dummy, dummy, after, becomes, dummy, action = fields
        # A package is unpacked and configured in two steps; what is only configured is there already.
        arch = becomes if before == _ABSENT else was
        change: PackageChange = {
            "name": name,
            "arch": arch,
            "before": None if before == _ABSENT else before,
            "after": None if after == _ABSENT or action == _REMOVE else after,
        }
        if action.startswith("/"):
            change["file"] = action
        changes.setdefault((name, arch), change)
    chroot = unquote(variables.get("DPkg::Chroot-Directory", "")) or "/"
    elsewhere = bool(variables.get("RootDir")) or chroot != "/" or (unquote(variables.get("Dir", "")) or "/") != "/"
    command = unquote(variables.get("CommandLine::AsString", "")) or "(not told)"
    return PackageManagerRun(command, list(changes.values()), elsewhere=elsewhere)


def read_dnf(text: str) -> PackageManagerRun:
    """Read what the plugin for dnf writes.

    :param text: JSON, C(command) and C(changes).
    :raises InputError: it is something else.
    """
    try:
        message = json.loads(text)
        changes = [t.cast("PackageChange", dict(change)) for change in message["changes"]]
        return PackageManagerRun(str(message["command"]), changes)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("The dnf plugin sent something that cannot be read.", untouched="everything.") from error


READERS = {"apt": read_apt, "dnf": read_dnf}
