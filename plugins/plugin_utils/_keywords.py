# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keywords of a play that would break what a run promises, found on the controller before any host is asked.

docs/keywords.md says which keywords the role pins instead, and which it leaves alone.
"""

from __future__ import annotations

import typing as t

from ansible.playbook.role_include import IncludeRole
from ansible.plugins.loader import strategy_loader
from ansible.template import Templar

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

if t.TYPE_CHECKING:
    from ansible.playbook.play_context import PlayContext
    from ansible.playbook.task import Task

_ROLE = "intellistream.sage.sage"


def refuse(task: Task, hosts: int, *, barrier: bool, all_or_nothing: bool) -> bool:
    """Refuse what would break the tasks that come after this one.

    :param hosts: how many hosts the play has.
    :param barrier: all hosts have to meet before some of these tasks.
    :param all_or_nothing: and none may be taken out of the play because another one failed.
    :returns: whether all hosts finish a task before the next one begins.
    :raises InputError: there is such a keyword; it is named.
    """
    play = task.get_play()
    templar = Templar(task.get_loader(), variables=task.get_variable_manager().get_vars(play=play))
    problems = []
    if hosts > 1 and any(_once(include, templar) for include in _including(task)):
        problems.append("run_once includes the role for the first host only; limit the hosts of the play instead")
    strategy = templar.template(play.strategy)
    in_lockstep = _is_linear(strategy)
    if (barrier or all_or_nothing) and not in_lockstep:
        problems.append(f"with strategy: {strategy} hosts do not meet before all of them are decided about; use linear")
    percentage = templar.template(play.max_fail_percentage) if all_or_nothing else None
    if percentage is not None and float(percentage) < 100:
        problems.append(f"max_fail_percentage: {percentage} ends the play before it is decided; leave it out")
    if all_or_nothing and task.any_errors_fatal:
        problems.append(
            "any_errors_fatal takes healthy hosts out of the play before they learn the decision; leave it out"
        )
    if problems:
        raise InputError(
            f"The play has a keyword that breaks this run: {'; '.join(problems)}.",
            untouched="everything; no host was asked.",
            advice="Change the play, or use the playbooks of intellistream.sage. docs/keywords.md has all keywords.",
            problems=problems,
        )
    return in_lockstep


def becoming(context: PlayContext) -> dict[str, object]:
    """As whom a task works on its host, as the first task of the role has it and all others have to.

    :param context: of the task, with what variables of the host say.
    """
    if not context.become:
        return {"become": False}
    return {"become": True, "become_method": context.become_method, "become_user": context.become_user}


def refuse_another(task: Task, context: PlayContext, task_vars: t.Mapping[str, t.Any]) -> None:
    """Refuse a task of the role that works as somebody else, or for real in a dry run, although its first did not.

    :param task_vars: with the frozen request, which tells what that was.
    :raises InputError: it would; it is named.
    """
    request = task_vars.get("__sage_request")
    frozen = request.get("keywords") if isinstance(request, dict) else None
    # What is played beside the role, and on another host than the play's, is what its task says.
    role = task._role  # noqa: SLF001
    if not frozen or task.delegate_to or role is None or role.get_name() != _ROLE:
        return
    current = becoming(context)
    differing = [f"{name}: {current[name]}" for name in current if current[name] != frozen.get(name)]
    if frozen["check_mode"] and not task.check_mode:
        differing.append("check_mode: false")
    if differing:
        raise InputError(
            f"This task has {', '.join(differing)}, and the first task of the role had "
            f"{', '.join(f'{name}: {content}' for name, content in frozen.items())}.",
            untouched="everything; the host was not asked.",
            advice="Give the role one word for all of its tasks: not a template whose value changes while it runs. "
            "docs/keywords.md has all keywords.",
        )


def _including(task: Task) -> t.Iterator[IncludeRole]:
    """The tasks by which the task's role, and those around it, were included while the play ran."""
    above = task._parent  # noqa: SLF001
    while above is not None:
        if isinstance(above, IncludeRole) and not above.statically_loaded:
            yield above
        above = above._parent  # noqa: SLF001


def _once(include: IncludeRole, templar: Templar) -> bool:
    """Whether it is done for one host only."""
    return bool(templar.template(include.run_once))


def _is_linear(strategy: str) -> bool:
    """Whether all hosts finish a task before the next one begins, as with those made from linear."""
    kind = strategy_loader.get(strategy, class_only=True)
    # By name: what is named in full is loaded as another module, and so another class.
    return kind is not None and "linear" in {base.__module__.rpartition(".")[2] for base in kind.__mro__}
