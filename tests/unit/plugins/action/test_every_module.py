# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module has its part on the controller, which changes nothing where it has nothing of its own to do."""

from __future__ import annotations

import importlib
import json
import typing as t

import pytest
import yaml

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

if t.TYPE_CHECKING:
    import pathlib

MODULES = sorted(path.stem for path in (TOP / "plugins" / "modules").glob("*.py"))
PLUGINS = "ansible_collections.intellistream.sage.plugins"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_the_one_base_class_in_front_of_it(module: str) -> None:
    pytest.importorskip("ansible.plugins.action", exc_type=ImportError)
    base = importlib.import_module(f"{PLUGINS}.plugin_utils._action").SageAction
    plugin = importlib.import_module(f"{PLUGINS}.action.{module}").ActionModule
    assert issubclass(plugin, base)
    assert plugin.module == module
    # Options that the controller reads are read by the rules of the module.
    source = importlib.import_module(f"{PLUGINS}.modules.{module}")
    assert plugin.spec in (None, source.SPEC)
    # What only passes on knows an answer of the module from one of something else.
    described = yaml.safe_load(source.RETURN) or {}
    shared = {"head"} if any(fragment.endswith(".state") for fragment in _fragments(source)) else set()
    assert plugin.returns in ({*described, *shared} if plugin.spec is None else {""})


def _fragments(module: t.Any) -> list[str]:
    return list(yaml.safe_load(module.DOCUMENTATION).get("extends_documentation_fragment", []))


@pytest.mark.slow
def test_what_is_passed_on_is_as_without_a_plugin(tmp_path: pathlib.Path) -> None:
    """Defaults of groups, options by templates, check mode and the background reach the module."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "settings").write_text("before")
    backup = {
        "intellistream.sage.sage_backup": {
            "description": "{{ name_of_point }}",
            "resources": [{"kind": "files", "paths": [f"{root}/settings"]}],
        },
    }
    tasks: list[dict[str, t.Any]] = [
        {**backup, "check_mode": True, "register": "predicted"},
        {**backup, "async": 60, "poll": 1, "register": "made"},
        {"intellistream.sage.sage_checkpoint": {"phase": "cleanup", "status": "started"}},
        {"intellistream.sage.sage_checkpoint_info": {}, "register": "look"},
        {
            "intellistream.sage.sage_rollback": {"to": "https://user:secret@host.example/"},
            "register": "refused",
            "failed_when": False,
        },
        {"ansible.builtin.copy": {"content": "{{ look.head | to_json }}", "dest": f"{tmp_path}/head"}},
        {"intellistream.sage.sage_backup": {"descripton": "x"}, "register": "unknown", "failed_when": False},
        {
            "ansible.builtin.assert": {
                "that": [
                    "predicted is changed",
                    "predicted.head is none",
                    "made is changed",
                    "made.rollback_point.description == 'by hand'",
                    "made.head.seq + 1 == look.head.seq",
                    "look.rollback_points | length == 1",
                    "refused.msg is search('https://host')",
                    "refused.head == look.head",
                    "refused | string is not search('secret')",
                    "unknown.msg is search('Unsupported parameters')",
                ]
            }
        },
    ]
    played = play(
        tmp_path,
        [
            {
                "hosts": "all",
                "gather_facts": False,
                "vars": {"name_of_point": "by hand"},
                "module_defaults": {"group/intellistream.sage.state": {"root": str(root)}},
                "tasks": tasks,
            }
        ],
    )
    assert played.status == 0, played.output
    head = json.loads((tmp_path / "head").read_text())
    *earlier, last = (root / ".sage" / "checkpoints" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    assert earlier
    line = json.loads(last)
    assert head == {"seq": line["seq"], "offset": sum(map(len, earlier)), "hash": line["hash"]}
