# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install a plan: exactly its distributions, and verify that they are what is there then."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import choose as installers_choose
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    find_uv,
    interface,
    interpreter,
    inventory,
    lock_request,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers import plan as installers_plan

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

Options = t.Mapping[str, t.Any]
_MANY = 10  # distributions that an error names


class Todo:
    """What has to be done to an environment so that it has every pin.

    :ivar pins: what is not there yet, or not so.
    :ivar kept: number of pins that are there already.
    :ivar inventory: what was there at first.
    """

    def __init__(self, venv: str, pins: t.Sequence[Pin]) -> None:
        self.venv = venv
        self.inventory = inventory.read(venv)
        self.pins = [pin for pin in pins if not inventory.is_exact(pin, self.inventory.get(pin.name))]
        self.kept = len(pins) - len(self.pins)
        self.versions = {pin.name: pin.version for pin in self.pins}

    def result(self) -> dict[str, t.Any]:
        """The module's result, with a diff."""
        installed: list[dict[str, t.Any]] = []
        replaced: list[dict[str, t.Any]] = []
        for name, version in sorted(self.versions.items()):
            have = self.inventory.get(name)
            if have is None:
                installed.append({"name": name, "version": version})
            else:
                replaced.append({"name": name, "version": version, "from_version": have.version})
        return {
            "installed": installed,
            "replaced": replaced,
            "kept": self.kept,
            "diff": {
                "before": installers_plan.listing((one["name"], one["from_version"]) for one in replaced),
                "after": installers_plan.listing((one["name"], one["version"]) for one in (*installed, *replaced)),
            },
        }

    def verify(self) -> list[str]:
        """Reasons why the environment does not have what it was to get; none means it has.

        Takes over the versions that only building could tell.
        """
        now = inventory.read(self.venv)
        reasons = []
        for pin in self.pins:
            have = now.get(pin.name)
            # A directory was built just now: being registered from there is all there is to see.
            same = pin._replace(editable=True) if pin.path else pin
            if have is None:
                reasons.append(f"{pin.name} is not installed")
            elif have.twice:
                reasons.append(f"{pin.name} is registered twice")
            elif not inventory.is_whole(have):
                reasons.append(f"files of {pin.name} are missing")
            elif not inventory.is_exact(same, have._replace(editable=True) if pin.path else have):
                reasons.append(f"{pin.name} is {have.version}, not {pin.version or 'from ' + str(pin.path)}")
            elif pin.editable != have.editable:
                reasons.append(f"{pin.name} is {'' if have.editable else 'not '}editable")
            else:
                self.versions[pin.name] = have.version
        return reasons


def plan(options: Options) -> Todo:
    """Find out what has to be done.

    :raises InputError: a distribution is named twice or incompletely.
    """
    pins = [installers_plan.pin_of(one) for one in options["distributions"]]
    names = [pin.name for pin in pins]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"`distributions` names {', '.join(twice)} more than once.", untouched="everything.")
    return Todo(os.path.abspath(options["venv"]), pins)


def choose(options: Options) -> find_uv.Choice:
    """The tool; uv is not fetched here, which is for sage_venv."""
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    if not choice.fetch:
        return choice
    if options["installer"] == "uv":
        return find_uv.choose("uv", None, None)
    return find_uv.Choice("pip", reason="uv is not on this host")


def install(todo: Todo, options: Options, index: Index) -> str:
    """Do it; returns the name of the tool.

    :raises InputError: there is no environment.
    :raises InstallerError: the tool failed, or the result is not the plan.
    """
    installer = _tool(todo, options, index)
    installer.lock_text = lock_request.by_urls(options.get("lock") or "", index)
    try:
        for pins, hashed in interface.batches(todo.pins):
            installer.install(pins, hashed)
    except InstallerError as error:
        error.untouched = error.untouched or _state_after_failure(todo)
        raise
    reasons = todo.verify()
    if reasons:
        raise InstallerError(
            f"{installer.name} ended well, but the environment is not as planned: {'; '.join(reasons[:_MANY])}.",
            untouched="what is not part of the plan.",
            advice="Roll back to the rollback point made before this, then run again.",
            differences=reasons,
        )
    return installer.name


def check_dependencies(todo: Todo, options: Options, index: Index) -> list[str]:
    """Check that what was planned has everything it requires.

    :returns: what is unmet of distributions that are not in the plan, for a warning: others put those there.
    :raises InstallerError: a distribution of the plan lacks something.
    """
    unmet = _tool(todo, options, index).unmet()
    planned = {installers_plan.pin_of(one).name for one in options["distributions"]}
    ours = [line for name, lines in unmet.items() if name in planned for line in lines]
    if ours:
        raise InstallerError(
            f"The environment lacks what SAGE requires: {' '.join(ours[:_MANY])}",
            untouched="everything; the check only reads.",
            advice="Install again, or roll back. If somebody changed a distribution by hand, put it back.",
            differences=ours,
        )
    return [line for name, lines in unmet.items() if name not in planned for line in lines]


def _tool(todo: Todo, options: Options, index: Index) -> interface.Installer:
    if not os.path.exists(os.path.join(todo.venv, "pyvenv.cfg")):
        raise InputError(
            f"There is no virtual environment at {todo.venv}.",
            untouched="everything.",
            advice="Run intellistream.sage.sage_venv first.",
        )
    python = interpreter.probe(interpreter.in_venv(todo.venv))
    target = interface.Target(python, todo.venv, todo.inventory)
    return installers_choose.make(choose(options), target, index, options["timeout"])


def _state_after_failure(todo: Todo) -> str:
    """What a tool that failed did to the environment, found by looking."""
    now = inventory.read(todo.venv)
    touched = sorted(pin.name for pin in todo.pins if now.get(pin.name) != todo.inventory.get(pin.name))
    if not touched:
        return "every distribution of the environment."
    more = f" and {len(touched) - _MANY} more" if len(touched) > _MANY else ""
    return f"everything but what was changed before the failure: {', '.join(touched[:_MANY])}{more}."
