# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module of ansible-core, with what stands in front of each module of this collection."""

from __future__ import annotations

import typing as t

from ansible.plugins.action.normal import ActionModule as AnyModule

from ansible_collections.intellistream.sage.plugins.modules.sage_builtin import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction
from ansible_collections.intellistream.sage.plugins.plugin_utils._environment import PrivateEnvironment


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_builtin"

    def work(self, options: Result, task_vars: Result) -> Result:
        """Have it done by the action plugin of that module, which Ansible would take itself."""
        name = f"ansible.builtin.{options['module']}"
        loader = self._shared_loader_obj.action_loader
        plugin = loader.get(name, class_only=True) if loader.has_plugin(name) else AnyModule
        private = type("PrivateAction", (PrivateEnvironment, plugin), {})
        task = self._task.copy()
        task.action = name
        task.args = options["options"]
        action = private(
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return t.cast("Result", action.run(task_vars=task_vars))
