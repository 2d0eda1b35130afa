"""Resolve: from what is asked for to a plan, changing nothing."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    choose,
    find_python,
    find_uv,
    interface,
    interpreter,
    inventory,
    lockfile,
    plan,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin, split
from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import SEEDS

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import PlannedDistribution, PlanResult

Options = t.Mapping[str, t.Any]


class ResolvedPlan(t.NamedTuple):
    """A plan and how it came about.

    :param installer: the tool that made it, C(uv) or C(pip).
    :param distributions: everything that belongs to the result, sorted by name.
    :param notes: sentences for people.
    :param is_known: False when check mode cannot tell on a host where nothing is set up yet.
    :param gone: what an environment that is made anew had, and will not have any more: names and versions.
    :param lock_file_text: the text of the lock file that is asked for; empty when none is.
    """

    installer: str
    distributions: list[PlannedDistribution]
    notes: list[str]
    is_known: bool = True
    lock_file_text: str = ""
    gone: t.Sequence[str] = ()

    def result(self) -> PlanResult:
        """The part of the module's result that tells of the plan."""
        changing = [distribution for distribution in self.distributions if distribution["action"] != plan.KEEP]
        return {
            "plan": {
                "known": self.is_known,
                "installer": self.installer,
                "notes": self.notes,
                "distributions": self.distributions,
            },
            "third_party": self._of_group(plan.THIRD_PARTY),
            "sage": self._of_group(plan.SAGE),
            "result": plan.brief(self.distributions),
            "changing": plan.brief(changing),
            "gone": [*self.gone],
        }

    def _of_group(self, group: str) -> list[PlannedDistribution]:
        return [distribution for distribution in self.distributions if distribution["group"] == group]

    def diff(self) -> dict[str, str]:
        """What is installed and what is planned, for diff mode."""
        return {**plan.diff(self.distributions), "before_header": "installed", "after_header": "planned"}


def install_target(venv: str, python: str, minimum: str, made_anew: bool = False) -> interface.InstallTarget:
    """What to resolve for: the environment, or the interpreter it will be made of.

    :param venv: absolute path of the environment.
    :param python: for a new one; C(auto), a path or a name on PATH.
    :param minimum: the oldest version that will do, such as C(3.11).
    :param made_anew: the environment that is there will not stay.
    :raises InputError: neither is there.
    """
    if os.path.exists(os.path.join(venv, "pyvenv.cfg")) and not made_anew:
        return interface.InstallTarget(
            interpreter.probe(interpreter.in_venv(venv)), venv, inventory=inventory.read(venv)
        )
    return interface.InstallTarget(find_python.find(python, minimum), None, inventory={})


def install_request(options: Options) -> interface.InstallRequest:
    """What a module's options ask for.

    :param options: C(requirements), C(constraints), C(sources) and C(lock).
    :raises InputError: a requirement cannot be read, or nothing is asked for.
    """
    for line in (*options["requirements"], *options["constraints"]):
        try:
            # A line of a requirements file could be an option as well, and those are not for here.
            if "\n" in line or not line.strip():
                raise ValueError(f"{line!r} is not one line")
            split(line)
        except ValueError as error:
            raise InputError(f"A requirement cannot be read: {error}.", untouched="everything.") from error
    sources = tuple(
        interface.source_project(source["path"], source["extras"] or (), bool(source["editable"]))
        for source in options["sources"]
    )
    result = interface.InstallRequest(tuple(options["requirements"]), tuple(options["constraints"]), sources=sources)
    if not result.lines and not options["lock"]:
        raise InputError(
            "There is nothing to resolve.",
            untouched="everything.",
            advice="Give the module `requirements`, `sources` or `lock`.",
        )
    return result


def resolve(options: Options, index: Index, *, check_mode: bool) -> ResolvedPlan:
    """Compute the plan for a module's options.

    :raises InputError: the options are contradictory.
    :raises InstallerError: there is no solution, or the index cannot be reached.
    """
    # Outside of check mode the one that is there is the new one.
    made_anew = check_mode and options["recreated"]
    target = install_target(os.path.abspath(options["venv"]), options["python"], options["minimum"], made_anew)
    missing = [source["path"] for source in options["sources"] if not os.path.lexists(source["path"])]
    if check_mode and missing:
        return _not_foreseen(f"{missing[0]} is not there before it is cloned or copied.")
    request = install_request(options)
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    if options["lock"]:
        pins = _from_lock(options["lock"], request, target)
        distributions = _planned(pins, target, options)
        gone = _gone(options, distributions, target, choice.name)
        notes = [*_told(gone), *_incomplete(distributions, target.inventory)]
        return ResolvedPlan(choice.name, distributions, notes=notes, gone=gone)
    if choice.fetch:
        # Fetching is for sage_venv. Until then pip gives the same kind of answer.
        choice = find_uv.InstallerChoice("pip", reason="uv is not on this host yet")
    if choice.name == "pip" and target.venv is None and not target.python.pip:
        return _unknown(target, check_mode)
    installer = choose.create_installer(choice, target, index, options["timeout"])
    resolution = _resolve(installer, request, options["keep"])
    lock_file_text = ""
    if options["lock_file"]:
        lock_file_text = installer.lock_file(request, resolution.pins, lockfile.form_of(options["lock_file"]))
    distributions = _planned(resolution.pins, target, options)
    gone = _gone(options, distributions, target, choice.name)
    notes = [*resolution.notes, *_told(gone), *_incomplete(distributions, target.inventory)]
    return ResolvedPlan(installer.name, distributions, notes=notes, lock_file_text=lock_file_text, gone=gone)


def _planned(pins: t.Sequence[Pin], target: interface.InstallTarget, options: Options) -> list[PlannedDistribution]:
    """The distributions of the plan; those whose content differs from RECORD are replaced."""
    present = target.inventory
    same = [pin.name for pin in pins if inventory.is_same(pin, present.get(pin.name))]
    if target.venv is not None:
        present = inventory.compared(target.venv, present, same)
    return plan.build(pins, present, options["first_party"])


def _resolve(
    installer: interface.Installer, request: interface.InstallRequest, keep: t.Mapping[str, t.Any]
) -> interface.Resolution:
    """The answer of a resolver that keeps versions also of what is not installed, as far as that is possible.

    :param keep: name → version. What is installed the tools keep by themselves.
    """
    # What is asked for in certain versions, or comes from elsewhere, is asked for anew.
    chosen = {name for name, dummy, rest in map(split, request.requirements) if rest}
    chosen |= {source.name for source in request.sources} | set(installer.target.inventory)
    held = {canonical(str(name)): str(version) for name, version in keep.items()}
    # What says more than one version was left by an upgrade that was interrupted.
    lines = [
        f"{name}=={version}"
        for name, version in sorted(held.items())
        if len(version.split()) == 1 and name not in chosen
    ]
    if not lines:
        return installer.resolve(request)
    try:
        return installer.resolve(request._replace(constraints=(*request.constraints, *lines)))
    except InstallerError as error:
        resolution = installer.resolve(request)
        note = f"The versions that were in force could not be kept ({', '.join(lines)}): {interface.last_line(error)}"
        return resolution._replace(notes=[*resolution.notes, note])


def _gone(
    options: Options, distributions: t.Sequence[PlannedDistribution], target: interface.InstallTarget, installer: str
) -> list[str]:
    """What an environment that is made anew had, and will not have any more."""
    if not options["recreated"]:
        return []
    # In check mode it is not there yet: pip puts itself into it, uv puts nothing.
    seeds = {*target.inventory} if target.venv is not None else SEEDS if installer == "pip" else set()
    there = {distribution["name"] for distribution in distributions} | seeds
    return [f"{name} {version}" for name, version in sorted(options["keep"].items()) if name not in there]


def _told(gone: t.Sequence[str]) -> list[str]:
    names = ", ".join(gone)
    return [f"Not in the new environment, since nothing that is asked for requires it: {names}."] if gone else []


def _incomplete(distributions: t.Sequence[PlannedDistribution], present: inventory.Inventory) -> list[str]:
    """What is to be replaced and has no RECORD, for people: no tool can take it away."""
    changing = [each["name"] for each in distributions if each["action"] != "keep" and each["name"] in present]
    names = [
        f"{name} {present[name].version}"
        for name in changing
        if present[name].source is None and not inventory.has_record(present[name])
    ]
    if not names:
        return []
    return [f"Installed anew before it is replaced, since somebody removed its RECORD: {', '.join(names)}."]


def _unknown(target: interface.InstallTarget, check_mode: bool) -> ResolvedPlan:
    problem = (
        f"The plan cannot be known before the virtual environment is made: there is no uv on this host, "
        f"and {target.python.executable} has no pip."
    )
    if not check_mode:
        raise InstallerError(
            problem, untouched="everything.", advice="Run intellistream.sage.sage_venv first, or install uv."
        )
    return _not_foreseen(problem)


def _not_foreseen(problem: str) -> ResolvedPlan:
    """In place of a plan that check mode cannot make."""
    return ResolvedPlan("pip", [], notes=[problem], is_known=False)


def _from_lock(text: str, request: interface.InstallRequest, target: interface.InstallTarget) -> list[Pin]:
    """Exactly the lock's pins; sources take the place of their pins."""
    pins = {pin.name: pin for pin in lockfile.applicable(lockfile.parse(text, target.python), target.python)}
    for source in request.sources:
        pins[source.name] = Pin(source.name, source.version, path=source.path, editable=source.editable)
    missing = sorted(request.from_index() - set(pins))
    if missing:
        raise InputError(
            f"The lock file does not pin {', '.join(missing)}, which is required.",
            untouched="everything.",
            advice="Write the lock file again (lock_sage), or leave that requirement out.",
        )
    return list(pins.values())
