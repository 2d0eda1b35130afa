# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read at the end of a run that went well on a host: what is installed, what changed, and the way back.

A template would say it as well, but Ansible compiles that anew for every task and host, which took a rerun of a
finished installation a tenth of its time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell, mapping, sequence

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.intellistream.sage.plugins.plugin_utils._outcome import HostOutcome

# Distributions that are named one by one; of more only those of SAGE are.
_NAMED = 8
# What goes with an environment that is made anew; the result names all of it.
_LISTED = 12


def summary(options: Mapping[str, t.Any], outcome: HostOutcome, dry: bool, take_back: Callable[[str], str]) -> str:
    """The lines for one host.

    :param options: of M(intellistream.sage.sage_outcome).
    :param outcome: what became of the host.
    :param dry: nothing was done.
    :param take_back: gives the command line that rolls back an installation of the host, by its id.
    """
    record = options["record"]
    lines = [_headline(options, outcome, dry)]
    lines += [f"Not verified: {sentence}." for sentence in outcome.unverified]
    if options["environment_kept"]:
        lines.append("Its environment is usable, and was not made anew: sage_recreate_venv is for those that are not.")
    if options["gone"]:
        verb = "would be" if dry else "was"
        back = (
            " A rollback brings that back." if not dry and mapping(record.get("progress")).get("can_rollback") else ""
        )
        lines.append(f"The environment {verb} made anew. Not in the new one: {_some(options['gone'])}.{back}")
    if options["phases"]:
        lines += (not dry and _continued(options)) or _changed(options["plan"], dry)
        if not dry:
            lines += _captured(outcome.captured)
        lines += _window(record, options["window_end"])
    predicted = bool(options["phases"]) and dry
    progress = mapping(record.get("progress"))
    if progress and not predicted:
        began, ended = (cell(progress.get(name)) for name in ("start_time", "last_update"))
        install_id = cell(progress.get("install_id"))
        lines.append(f"Installation {install_id}, from {began} to {ended}")
        lines.append(f"Run it with:  {options['root']}/.sage/venv/bin/sage")
        if progress.get("can_rollback"):
            lines.append(f"Undo it with: {take_back(install_id)}")
    elif not options["checkpointing"]:
        lines.append("Checkpointing is off: this installation cannot be continued or rolled back.")
    return "\n".join(lines)


def _some(texts: Sequence[object]) -> str:
    more = f", and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(map(cell, texts[:_LISTED])) + more


def _headline(options: Mapping[str, t.Any], outcome: HostOutcome, dry: bool) -> str:
    root, phases = options["root"], options["phases"]
    if phases and dry:
        return f"SAGE would be installed in {root}. Phases to run: {', '.join(map(cell, phases))}."
    verified = " and verified, but for what follows." if outcome.unverified else " and verified."
    ending = verified if phases else "; nothing was left to do."
    return f"SAGE {outcome.version} ({options['install_mode']}) is installed in {root}{ending}"


def _continued(options: Mapping[str, t.Any]) -> list[str]:
    """What an installation changed that an earlier run had begun, and what this run did of it; empty for any other."""
    plan = options["plan"]
    planned = [mapping(each) for each in plan.get("distributions") or ()] if plan.get("known") else []
    here = [each for each in planned if each.get("action") != "keep"]
    names = {each.get("name") for each in here}
    changed = [mapping(each) for each in sequence(options["record"].get("changes"))]
    if all(each.get("name") in names for each in changed):
        return []
    ran = f"ran {', '.join(map(cell, options['phases']))}"
    if not here:
        return [_told("Changed", changed), f"An earlier run had done all of that. This one {ran}."]
    verb = f"Of {'that' if len(changed) == 1 else 'these'}, this run changed"
    return [_told("Changed", changed), f"{_told(verb, here)}. It {ran}; an earlier run had done the rest."]


def _told(verb: str, changed: Sequence[Mapping[str, t.Any]], installer: str = "") -> str:
    """How many distributions, and which."""
    chosen = [each for each in changed if each.get("group") == "sage" or each.get("name") == "isage"]
    named = changed if len(changed) <= _NAMED else chosen
    plural = "s" if len(changed) > 1 else ""
    among = "" if named == changed else "among them " if named else "too many to name them"
    tool = f" with {installer}" if installer else ""
    return f"{verb} {len(changed)} distribution{plural}{tool}: {among}{', '.join(map(_named, named))}"


def _changed(plan: Mapping[str, t.Any], dry: bool) -> list[str]:
    """What the plan changed, or would change."""
    if not plan.get("known"):
        notes = " ".join(map(cell, plan.get("notes") or ()))
        return [f"What that changes among the distributions cannot be foreseen: {notes}"] if dry and notes else []
    distributions = [mapping(each) for each in plan.get("distributions") or ()]
    changed = [each for each in distributions if each.get("action") != "keep"]
    if not changed:
        return [
            "Every distribution is there already; none would be changed."
            if dry
            else "Every distribution was there already; what was begun is finished."
        ]
    return [_told("Would change" if dry else "Changed", changed, cell(plan.get("installer")))]


def _named(distribution: Mapping[str, t.Any]) -> str:
    before = cell(distribution.get("from_version"))
    after = cell(distribution.get("version")) or "(built)"
    return f"{cell(distribution.get('name'))} {f'{before} -> ' if before else ''}{after}"


def _captured(captured: Mapping[str, t.Any]) -> list[str]:
    files, size = captured.get("files"), captured.get("bytes")
    if not files or not isinstance(size, (int, float)):
        return []
    # It is there wherever Ansible is, and loaded already.
    from jinja2.filters import do_filesizeformat

    plural = "" if files == 1 else "s"
    took = cell(captured.get("seconds"))
    return [f"Captured before that: {cell(files)} file{plural}, {do_filesizeformat(size, binary=True)}, in {took} s"]


def _window(record: Mapping[str, t.Any], end: float | None) -> list[str]:
    timing = record.get("timing")
    if end is None or timing is None:
        return []
    phases = mapping(mapping(timing).get("phases"))
    took = [
        f"{cell(name)} took {cell(phase.get('took'))} s of {cell(phase.get('expected'))} s expected"
        for name, phase in ((name, mapping(phase)) for name, phase in phases.items())
        if phase.get("took") is not None
    ]
    return [f"Window: {round(end - time.time())} s are left." + (f" {', '.join(took)}." if took else "")]
