# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frozen request: what one host is asked for, read once from its variables before anything is done.

Nothing is read from variables afterwards: what a host answers may become variables of it, see docs/inputs.md.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils import _inputs, _moments

if t.TYPE_CHECKING:
    import datetime as dt

    from ansible_collections.intellistream.sage.plugins.plugin_utils._inputs import Options

Values = dict[str, t.Any]
PREFIX = "sage_"
# Set on the controller where the variable is not.
ENVIRONMENT = {"sage_checkpoint_dir": "SAGE_CHECKPOINT_DIR", "sage_repackage_dir": "SAGE_REPACKAGE_DIR"}
_SWITCHED_ON = ("1", "true", "yes", "on", "y", "t")


class Request(t.NamedTuple):
    """What was read.

    :ivar values: by the names of the variables.
    :ivar problems: a sentence for each thing that is wrong.
    :ivar unknown: names that begin like the role's and are none of its.
    """

    values: Values
    problems: list[str]
    unknown: list[str]


def options_of(specs: t.Mapping[str, t.Any], entry: str) -> tuple[Options, Options]:
    """The variables of an entry point, and those of the others alone, which files of the role share.

    :param specs: C(argument_specs) of the role.
    """
    own: Options = specs[entry]["options"]
    others = {name: option for spec in specs.values() for name, option in spec["options"].items() if name not in own}
    return own, {name: {**option, "required": False} for name, option in others.items()}


def read(
    own: Options,
    others: Options,
    names: t.Iterable[str],
    look_up: t.Callable[[str], object],
    environment: t.Mapping[str, str],
) -> Request:
    """All variables of the role, each converted once.

    :param names: of the variables of the host.
    :param look_up: gives the value of one of them; its errors are ValueError, with one line of text.
    """
    values: Values = {}
    problems: list[str] = []
    set_names = {name for name in names if name.startswith(PREFIX)}
    for name, option in {**others, **own}.items():
        try:
            given = look_up(name) if name in set_names else None
            values[name] = _inputs.convert(
                name, option, _from_environment(name, environment) if _is_unset(given) else given
            )
            if name == "sage_serial":
                _inputs.batches(values[name])
        except ValueError as error:
            # What this entry point has no use for does not keep it from its work.
            values[name] = _inputs.convert(name, option, None) if name in others else None
            problems += [f"{name} {error}."] if name in own else []
    if "sage_confirm_resume" in values and _is_on(environment, "SAGE_AUTO_RESUME"):
        # Answered in advance, so nobody is asked.
        values["sage_confirm_resume"] = False
    if _inputs.REGISTERED in set_names and not _is_mapping(_inputs.REGISTERED, look_up):
        problems.append(f"{_inputs.REGISTERED} is what the role tells the play, and cannot be set.")
    unknown = sorted(set_names - values.keys() - _inputs.OF_PLAYBOOKS - {_inputs.REGISTERED})
    for name in unknown:
        meant = _inputs.nearest(name, values)
        problems += [f"{name} is no variable of this role; did you mean {meant}?"] if meant else []
    far = [name for name in unknown if not _inputs.nearest(name, values)]
    return Request(values, problems, far)


def _is_mapping(name: str, look_up: t.Callable[[str], object]) -> bool:
    try:
        return isinstance(look_up(name), dict)
    except ValueError:
        return False


def _is_unset(given: object) -> bool:
    return given is None or (isinstance(given, str) and not given.strip())


def _from_environment(name: str, environment: t.Mapping[str, str]) -> object:
    if name == "sage_checkpointing":
        return not _is_on(environment, "SAGE_DISABLE_CHECKPOINT")
    return environment.get(ENVIRONMENT[name]) if name in ENVIRONMENT else None


def _is_on(environment: t.Mapping[str, str], switch: str) -> bool:
    """Whether a switch of the environment is on, read like Ansible reads a boolean."""
    return environment.get(switch, "").strip().lower() in _SWITCHED_ON


def from_facts(facts: t.Iterable[str]) -> list[str]:
    """Names among a host's facts that a variable of the role, or one of its own, would be overruled by."""
    return sorted(name for name in facts if name.startswith((PREFIX, f"__{PREFIX}")))


class Play(t.NamedTuple):
    """What a request depends on besides its own variables.

    :ivar complete: all hosts of the play are there, at once.
    :ivar serial: of the play, as it was read by M(_inputs.batches); empty where it has none.
    :ivar current: the time.
    """

    complete: bool
    serial: list[str]
    current: dt.datetime


def check(values: Values, entry: str, play: Play) -> list[str]:
    """What types and choices cannot tell: a sentence for each thing that is wrong.

    :param values: of a request without problems.
    :param entry: the entry point, by the name of its file.
    """
    problems = _places(values) + _durations(values, play.current)
    return problems + _installing(values, play) if entry == "main.yml" else problems


def _places(values: Values) -> list[str]:
    absolute = {name: values[name].startswith("/") for name in ENVIRONMENT if values[name]}
    absolute["sage_root"] = values["sage_root"].startswith(("/", "~"))
    return [f"{name} must be an absolute path, not {values[name]}." for name, is_so in absolute.items() if not is_so]


def _durations(values: Values, current: dt.datetime) -> list[str]:
    problems = []
    durations = {name: values[name] for name in ("sage_window", "sage_deadman", "sage_lease", "sage_wait")}
    durations.update({f"sage_expected_seconds, {name}": each for name, each in values["sage_expected_seconds"].items()})
    for name, duration in durations.items():
        try:
            _moments.seconds(duration or 0)
        except ValueError as error:
            problems.append(f"{name}: {error}.")
    try:
        _moments.seconds_until(values["sage_deadline"] or 0, current)
    except ValueError as error:
        problems.append(f"sage_deadline: {error}.")
    return problems


def _installing(values: Values, play: Play) -> list[str]:
    """What does not go together in an installation."""
    value = values.__getitem__
    by_git = value("sage_source") == "git"
    shares_plan = bool(value("sage_lock_dir") or value("sage_share_plan"))
    atomic = value("sage_fleet_policy") == "atomic"
    windowed = value("sage_window") or value("sage_deadline") or value("sage_deadman")
    undoes = value("sage_checkpointing") and value("sage_rollback_policy") != "none"
    wheelhouse = value("sage_wheelhouse")
    lock = os.path.realpath(os.path.expanduser(value("sage_lock")))
    not_phases = _not_phases(value("sage_expected_seconds"))
    limits = ("sage_keep_installations", "sage_keep_days", "sage_keep_uncompressed")
    wrong: list[tuple[object, str]] = [
        (
            not re.fullmatch(r"([0-9][0-9A-Za-z.+!]*)?", value("sage_version")),
            f"sage_version must be a version such as 0.3.2.4, or empty for the newest, not {value('sage_version')}.",
        ),
        (
            not all(re.fullmatch(r"[A-Za-z0-9._-]+", extra) for extra in value("sage_extras")),
            f"sage_extras must be names of extras, not {', '.join(value('sage_extras'))}.",
        ),
        (
            value("sage_lock") and not os.path.isfile(lock),
            f"sage_lock must be a file on the controller; {value('sage_lock')} is not one.",
        ),
        (
            value("sage_lock") and value("sage_lock_write"),
            "sage_lock and sage_lock_write cannot be used together.",
        ),
        (
            shares_plan and (value("sage_lock") or value("sage_lock_write")),
            "sage_lock_dir and sage_share_plan cannot be used together with sage_lock and sage_lock_write.",
        ),
        (
            shares_plan and by_git,
            "sage_lock_dir and sage_share_plan are for sage_source=index; what is built from a clone is in no index.",
        ),
        (
            wheelhouse and not (value("sage_lock") or shares_plan),
            "sage_wheelhouse needs to know which wheels: set sage_lock, sage_lock_dir or sage_share_plan.",
        ),
        (
            "://" in wheelhouse,
            f"sage_wheelhouse is a directory or host:/directory, not {wheelhouse}; an index is sage_index_url.",
        ),
        (
            value("sage_no_index") and not value("sage_find_links"),
            "sage_no_index needs sage_find_links, or there is nothing to install from.",
        ),
        (
            min(map(value, limits)) < 0,
            "sage_keep_installations, sage_keep_days and sage_keep_uncompressed must not be negative.",
        ),
        (
            by_git and value("sage_version"),
            "sage_version is for sage_source=index; with git set sage_repository_version.",
        ),
        (
            value("sage_rollback_policy") == "ask" and (windowed or atomic),
            (
                "sage_rollback_policy=ask waits for an answer, and sage_window, sage_deadline, sage_deadman and "
                "sage_fleet_policy=atomic undo by themselves."
            ),
        ),
        (
            windowed and not undoes,
            "sage_window, sage_deadline and sage_deadman undo, so they need checkpointing and a sage_rollback_policy.",
        ),
        (
            not_phases,
            f"sage_expected_seconds has names that are not phases: {', '.join(not_phases)}.",
        ),
        (
            atomic and not undoes,
            "sage_fleet_policy=atomic may have to undo, so it needs checkpointing and a sage_rollback_policy.",
        ),
        (
            atomic and not play.complete,
            (
                "sage_fleet_policy=atomic needs all hosts of the play at once, and some are missing: they failed "
                "earlier, or the play has serial; set sage_serial with -e instead."
            ),
        ),
        (
            not atomic and value("sage_serial") and play.serial != _inputs.batches(value("sage_serial")),
            (
                f"sage_serial is {', '.join(value('sage_serial'))}, and the play comes in other batches "
                f"({', '.join(play.serial) or 'all hosts at once'}); give it with -e, where the playbook reads it."
            ),
        ),
    ]
    return [text for is_so, text in wrong if is_so]


def _not_phases(names: t.Collection[str]) -> list[str]:
    if not names:
        # Ansible compiles what it imports of a collection in every run, and this is much.
        return []
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES

    return [name for name in names if name not in PHASES]
