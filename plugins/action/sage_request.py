# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the variables of the role once, before any host is asked."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import pathlib
import typing as t

import yaml
from ansible.errors import AnsibleAction, AnsibleError

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.modules.sage_request import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils import (
    _derived,
    _inputs,
    _keywords,
    _moments,
    _refusal,
    _request,
)
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction

_SPECS = pathlib.Path(__file__).resolve().parents[2] / "roles" / "sage" / "meta" / "argument_specs.yml"


def _load() -> dict[str, t.Any]:
    with _SPECS.open("rb") as stream:
        content = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    # Names that no C(tasks_from) has, or Ansible would check the variables as well: a page for one wrong value.
    return {name.rpartition("/")[2]: spec for name, spec in content["argument_specs"].items()}


# Once in the process that forks one for each task and host.
SPECS = _load()


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_request"
    _requires_connection = False

    def work(self, options: Result, task_vars: Result) -> Result:
        """Read, check, return."""
        try:
            return self._read(options, task_vars)
        except InputError as error:
            raise self._refused([" ".join(filter(None, (error.what, error.advice)))], task_vars) from error

    def _read(self, options: Result, task_vars: Result) -> Result:
        entry = options["entry_point"]
        overruled = _request.from_facts(task_vars.get("ansible_facts") or {})
        if overruled:
            raise InputError(
                f"The facts of this host hold {', '.join(overruled)}, which would overrule what you set.",
                untouched="everything.",
                advice="Find what makes them: a module that returns ansible_facts, set_fact with cacheable, a cache of "
                "facts. Then remove them, with ansible.builtin.meta: clear_facts.",
            )
        own, others = _request.options_of(SPECS, entry)
        request = _request.read(own, others, task_vars, lambda name: self._look_up(task_vars[name]), os.environ)
        problems = request.problems or _request.check(request.values, entry, self._play(task_vars))
        if problems:
            raise self._refused(problems, task_vars)
        result = {name[len(_request.PREFIX) :]: content for name, content in request.values.items()}
        result["task_environment"] = _derived.task_environment(request.values)
        result["lease_terms"] = _derived.lease_terms(request.values)
        if entry == "main.yml":
            result["phase_inputs"] = _derived.phase_inputs(request.values)
            result["follows_branch"] = _derived.follows_branch(request.values)
        if request.unknown:
            self._display.warning(
                f"{', '.join(request.unknown)}: no variable of the role intellistream.sage.sage, and not read by it."
            )
        # All other tasks of the role have to have the same.
        keywords = {**_keywords.becoming(self._play_context), "check_mode": self.dry}
        # It may hold secrets, and is nothing to read.
        return {**result, "keywords": keywords, "changed": False, "_ansible_no_log": True}

    def _look_up(self, variable: object) -> object:
        """What a variable comes to now."""
        try:
            return _plain(self._templar.template(variable))
        except AnsibleError as error:
            raise ValueError(f"cannot be computed: {' '.join(str(error).split())}") from error

    def _refused(self, problems: list[str], task_vars: Result) -> AnsibleAction:
        """What is wrong, told once in a run, however many hosts it is wrong for."""
        host = str(task_vars["inventory_hostname"])
        told = "\n".join([*map(redact, problems), _refusal.UNTOUCHED])
        digest = hashlib.sha256(told.encode()).hexdigest()[:16]
        play = self._task.get_play()._uuid  # noqa: SLF001
        first = _moments.first_to_say(os.path.join(self.run_directory, f"sage-refusal-{play}-{digest}"), host)
        # Ansible shows an error once that several hosts have, and the message of each.
        return AnsibleAction(told, result={"msg": told if host == first else _refusal.same_as(first)})

    def _play(self, task_vars: Result) -> _request.Play:
        serial = self._task.get_play().serial
        try:
            sizes = _inputs.batches(serial)
        except ValueError:
            # Its keyword takes more than the variable does.
            sizes = [str(size) for size in serial]
        complete = len(task_vars["ansible_play_batch"]) == len(task_vars["ansible_play_hosts_all"])
        return _request.Play(complete, sizes, dt.datetime.now(dt.timezone.utc).astimezone())


def _plain(content: object) -> object:
    """The same without what Ansible computes only when it is read."""
    if isinstance(content, dict):
        return {str(name): _plain(inner) for name, inner in content.items()}
    return [_plain(inner) for inner in content] if isinstance(content, (list, tuple)) else content
