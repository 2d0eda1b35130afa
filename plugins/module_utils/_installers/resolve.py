# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resolve: from what is asked for to a plan, changing nothing."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    choose,
    find_uv,
    interface,
    interpreter,
    inventory,
    lockfile,
    plan,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin, split

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

Options = t.Mapping[str, t.Any]


class Answer(t.NamedTuple):
    """A plan and how it came about.

    :param known: False when check mode cannot tell on a host where nothing is set up yet.
    :param lock: the text of the lock file that is asked for; empty when none is.
    """

    installer: str
    distributions: list[plan.Distribution]
    notes: list[str]
    known: bool = True
    lock: str = ""


def target(venv: str, python: str, minimum: str) -> interface.Target:
    """What to resolve for: the environment, or the interpreter it will be made of.

    :raises InputError: neither is there.
    """
    if os.path.exists(os.path.join(venv, "pyvenv.cfg")):
        return interface.Target(interpreter.probe(interpreter.in_venv(venv)), venv, inventory.read(venv))
    return interface.Target(interpreter.find(python, minimum), None, {})


def wanted(options: Options) -> interface.Wanted:
    """What is asked for.

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
        interface.source(one["path"], one["extras"] or (), bool(one["editable"])) for one in options["sources"]
    )
    result = interface.Wanted(tuple(options["requirements"]), tuple(options["constraints"]), sources)
    if not result.lines and not options["lock"]:
        raise InputError(
            "Nothing is asked for.",
            untouched="everything.",
            advice="Set `requirements`, `sources` or `lock`.",
        )
    return result


def resolve(options: Options, index: Index, *, check_mode: bool) -> Answer:
    """Compute the plan for a module's options.

    :raises InputError: the options are contradictory.
    :raises InstallerError: there is no solution, or the index cannot be reached.
    """
    where = target(os.path.abspath(options["venv"]), options["python"], options["minimum"])
    asked = wanted(options)
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    if options["lock"]:
        pins = _from_lock(options["lock"], asked, where)
        return Answer(choice.name, plan.build(pins, where.inventory, options["first_party"]), [])
    if choice.fetch:
        # Fetching is for sage_venv. Until then pip gives the same kind of answer.
        choice = find_uv.Choice("pip", reason="uv is not on this host yet")
    if choice.name == "pip" and where.venv is None and not where.python.pip:
        return _unknown(where, check_mode)
    installer = choose.make(choice, where, index, options["timeout"])
    found = installer.resolve(asked)
    lock = ""
    if options["lock_file"]:
        lock = installer.lock(asked, found.pins, lockfile.form_of(options["lock_file"]))
    return Answer(
        installer.name, plan.build(found.pins, where.inventory, options["first_party"]), found.notes, lock=lock
    )


def _unknown(where: interface.Target, check_mode: bool) -> Answer:
    what = (
        f"The plan cannot be known before the virtual environment is made: there is no uv on this host, "
        f"and {where.python.executable} has no pip."
    )
    if not check_mode:
        raise InstallerError(
            what, untouched="everything.", advice="Run intellistream.sage.sage_venv first, or install uv."
        )
    return Answer("pip", [], [what], known=False)


def _from_lock(text: str, asked: interface.Wanted, where: interface.Target) -> list[Pin]:
    """Exactly the lock's pins; sources take the place of their pins."""
    pins = {pin.name: pin for pin in lockfile.applicable(lockfile.parse(text, where.python), where.python)}
    for source in asked.sources:
        pins[source.name] = Pin(source.name, source.version, path=source.path, editable=source.editable)
    missing = sorted(asked.from_index() - set(pins))
    if missing:
        raise InputError(
            f"The lock file does not pin {', '.join(missing)}, which is asked for.",
            untouched="everything.",
            advice="Write the lock file anew (`lock_file`), or take that requirement out.",
        )
    return list(pins.values())
