#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_backup
version_added: 1.0.0
short_description: Capture what a change is going to replace
description:
  - Makes a rollback point, to which M(intellistream.sage.sage_rollback) goes back without any network.
  - Everything is captured, synced to disk and checked before the point is recorded. If something cannot be
    captured, or space is short, the module fails, and nothing is left behind.
  - Can be used in any playbook. A rollback point is a change of its own, with an id of its own, outside of any
    installation. With O(phase) it belongs to the current installation, and begins one if there is none.
  - Does nothing when the newest rollback point of the same description, phase and resources still holds.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.scope
  - intellistream.sage.state
  - intellistream.sage.script
options:
  description:
    description:
      - What the rollback point is for, for people.
    type: str
    default: ""
  phase:
    description:
      - The phase the rollback point belongs to. If not set, it stands for itself.
    type: str
    choices: [environment_setup, submodule_sync, python_deps, sage_packages, verification, cleanup]
  resources:
    description:
      - What to capture.
      - Without O(resources), O(packages) and O(settle), O(description) is needed. The environment in C(.sage/venv) is
        captured then, with all distributions in it, and C(requirements.txt) and C(pyproject.toml) of O(root) and of
        C(src) below it.
    type: list
    elements: dict
    suboptions:
      kind:
        description:
          - V(files) captures files, symbolic links and directories with all below, absent ones too. Content,
            mode, owner, times and extended attributes are copied.
          - V(venv) captures all of an environment, whatever is in it, by hard links where what is captured lies on its
            file system. Elsewhere the distributions of O(resources[].distributions) are copied, and of the rest it is
            only known what it was. Where the venv is absent, that is what is captured. With O(settle) a rollback takes
            back all that the change touched. Without it, what O(resources[].distributions) says; what else is
            otherwise is named and stays, and the rollback is not exact.
          - V(dpkg) and V(rpm) ask the package manager's own resolver what a request would install, replace and
            remove, and repackage what it would replace or remove as it is on disk now, edited configuration included.
            Run the same request afterwards. Needs root. apt is told to fetch into its cache what is going to be
            installed, so that files of others which it overwrites can be captured, too.
          - V(packages) is V(dpkg) or V(rpm), whichever this host uses.
          - V(git) captures the branch or commit of a work tree and of its submodules, and uncommitted and untracked
            work in all of them, as git's own objects pinned by a ref. Files that git ignores are left alone. A merge
            or rebase in progress is refused.
        type: str
        required: true
        choices: [files, venv, git, dpkg, rpm, packages]
      path:
        description:
          - Where the resource is, for V(venv) and V(git).
        type: path
      paths:
        description:
          - The files and directories, for V(files).
        type: list
        elements: path
      distributions:
        description:
          - What the change is going to leave in the venv, mappings with C(name) and C(version). The undo of a change
            that nobody settled erases just these, and leaves all others.
        type: list
        elements: dict
      packages:
        description:
          - What is going to be asked of the package manager, for V(dpkg), V(rpm) and V(packages). Names, as
            M(ansible.builtin.apt) and M(ansible.builtin.dnf) take them, with C(=version) or C(-version), or paths of
            package files. V(*) with O(resources[].state=latest) is everything that can be upgraded.
        type: list
        elements: str
      state:
        description:
          - What is going to be asked for these packages.
        type: str
        choices: [present, latest, absent]
        default: present
      changes:
        description:
          - What is going to be changed, where that is known already, mappings with C(name), C(arch), C(before) and
            C(after). The versions are null where there is none. No resolver is asked then.
          - With the path of an rpm package that is to come as C(file), what it overwrites is captured, too. Without it
            that is not known, and no undo of it is called exact.
        type: list
        elements: dict
  packages:
    description:
      - Short for a resource of kind V(packages) with these O(resources[].packages).
    type: list
    elements: str
  packages_state:
    description:
      - The O(resources[].state) of O(packages).
    type: str
    choices: [present, latest, absent]
    default: present
  settle:
    description:
      - The id of a rollback point whose change has ended. Records how its files and packages are now.
      - Fails when the package manager's own record shows that a package was not installed properly, such as one
        whose postinst or C(%post) failed, although the package manager may have reported success.
      - A rollback then knows what the change did from what somebody did since. It leaves alone what only others
        changed, and refuses to overwrite what both changed. Without it, a rollback takes every difference
        from the captured files for the change's own.
      - A phase of the installation that is completed does this by itself.
    type: str
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_rollback
  - module: intellistream.sage.sage_checkpoint
"""

EXAMPLES = r"""
- name: Capture the environment before I try something
  intellistream.sage.sage_backup:
    root: /opt/sage
    description: before I try something

- name: Capture a configuration file before it is changed
  intellistream.sage.sage_backup:
    root: /opt/sage
    description: before the new cache settings
    resources:
      - kind: files
        paths:
          - /opt/sage/config/config.yaml
  register: before

- name: Capture the distributions that an upgrade is going to replace
  intellistream.sage.sage_backup:
    root: /opt/sage
    description: before numpy 2
    resources:
      - kind: venv
        path: /opt/sage/.sage/venv
        distributions:
          - name: numpy
            version: "2.3.4"

- name: Change it
  ansible.builtin.template:
    src: config.yaml.j2
    dest: /opt/sage/config/config.yaml
    mode: "0644"

- name: Remember what that left, so that later edits are told from it
  intellistream.sage.sage_backup:
    root: /opt/sage
    settle: "{{ before.rollback_point.id }}"

- name: Capture what installing a package is going to replace
  intellistream.sage.sage_backup:
    root: /opt/sage
    description: before git
    packages: [git]
    packages_state: latest
  become: true
  register: before_git

- name: Install it
  ansible.builtin.package:
    name: git
    state: latest
  become: true

- name: Fail if a script of a package failed
  intellistream.sage.sage_backup:
    root: /opt/sage
    settle: "{{ before_git.rollback_point.id }}"
  become: true

- name: Go back to it
  intellistream.sage.sage_rollback:
    root: /opt/sage
    to: "{{ before.rollback_point.id }}"
"""

RETURN = r"""
rollback_point:
  description: The rollback point that holds what was asked for.
  returned: success
  type: dict
  contains:
    id:
      description: Its name, for O(intellistream.sage.sage_rollback#module:to).
      type: str
      sample: "20251115_143000.1"
    description:
      description: The value of O(description).
      type: str
      sample: before numpy 2
    phase:
      description: The value of O(phase).
      type: str
      sample: null
    files:
      description: How many files were captured.
      type: int
      sample: 1452
    bytes:
      description: How big they are together. Hard-linked files take no space until the originals go.
      type: int
      sample: 83886080
    seconds:
      description: How long the capture took.
      type: float
      sample: 0.063
    packages:
      description: What the change is going to do to packages of the system.
      type: list
      elements: str
      sample: ["[-] foo 1", "[+] foo 2", "[+] goo 1"]
    inexact:
      description: What a rollback cannot undo for certain, such as effects of the packages' own scripts.
      type: list
      elements: str
      sample: []
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, environment, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.respawn import respawning
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.script_options import SCRIPT_OPTIONS, receiving
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import SCOPE_OPTION, scoped
from ansible_collections.intellistream.sage.plugins.module_utils._kind.packages import STATES, PackagesKind
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_packages, carry_undos, registry

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Whether the newest rollback point still holds is for its way back to tell.
CARRIES = (carry_packages.parts, carry_undos.parts)
SPEC = ArgumentSpec(
    {
        "description": {"type": "str", "default": ""},
        "phase": {"type": "str", "choices": list(PHASES)},
        "resources": {"type": "list", "elements": "dict", "options": registry.options(system=True)},
        "packages": {"type": "list", "elements": "str"},
        "packages_state": {"type": "str", "choices": list(STATES), "default": "present"},
        "settle": {"type": "str"},
        "capture_scope": SCOPE_OPTION,
    },
    {"mutually_exclusive": [("resources", "settle"), ("packages", "settle")]},
).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    options = module.params
    engine = Engine.from_options(options)
    if options["settle"] is not None:
        if not options["settle"]:
            raise InputError(
                "settle is empty: no rollback point is named.",
                untouched="everything.",
                advice="Give the id of a rollback point, or leave settle out to make one.",
            )
        return settled(engine, options["settle"], module.check_mode)
    specs = list(options["resources"] or [])
    if options["resources"] is None and options["packages"] is None:
        if not options["description"]:
            raise InputError(
                "Nothing says what to capture.",
                untouched="everything.",
                advice="Give resources or packages. Or give a description alone, to capture the environment, "
                "requirements.txt and pyproject.toml.",
            )
        specs = environment(options["root"])
    if options["packages"]:
        specs.append({"kind": PackagesKind.alias, "packages": options["packages"], "state": options["packages_state"]})
    specs = scoped(registry.translated(specs), options["capture_scope"])
    return backup(engine, specs, options["phase"], options["description"], module.check_mode)


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(respawning(work)))


if __name__ == "__main__":
    main()
