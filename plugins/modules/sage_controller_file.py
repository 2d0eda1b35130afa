#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_controller_file
version_added: 1.0.0
short_description: Write a text into a file on the controller
description:
  - Writes a report or a lock file on the controller, as the user who started Ansible, whatever C(become), connection
    and interpreter the host has.
  - The file is written under another name in its directory and renamed, so readers see the old text or the new one.
  - Only a regular file is replaced. A symbolic link, a directory, a pipe or a device is refused, and what a link leads
    to is never written.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
options:
  path:
    description:
      - The file. A relative path is as seen from where Ansible was started. Its directory has to exist.
    type: path
    required: true
  content:
    description:
      - The text.
    type: str
    required: true
  lock_file:
    description:
      - The text is what a host answered and has to be a lock file, in the form that the extension of O(path) says. What
        is none is refused, and so is an option that would lead an installer to another index.
    type: bool
    default: false
author:
  - IntelliStream (@intellistream)
"""

EXAMPLES = r"""
- name: Keep a report
  intellistream.sage.sage_controller_file:
    path: reports/status.txt
    content: "{{ table }}"
  run_once: true
"""

RETURN = r"""
path:
  description: The file, with its whole path.
  returned: success
  type: str
  sample: /srv/reports/status.txt
"""

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StorageError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.regular import (
    read_regular,
    replace_regular,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "lock_file": {"type": "bool", "default": False},
    }
)


def write(path: str, content: str, check_mode: bool) -> dict[str, object]:
    """Write it, or find out what would be written.

    :param path: as it was given.
    :raises InputError: there is something that is not to be replaced.
    :raises StorageError: the disk refused; what was there is still there.
    """
    # The name itself is not resolved: it may be a link, which is not followed.
    directory, name = os.path.split(os.path.abspath(path))
    place = os.path.join(os.path.realpath(directory), name)
    data = content.encode("utf-8", "surrogateescape")
    try:
        before = read_regular(place)
        changed = before != data
        if changed and not check_mode:
            replace_regular(place, data)
    except OSError as error:
        raise StorageError(
            f"The controller cannot write {place}: {error.strerror}.",
            untouched="the file that was there.",
            advice="Name a file in a directory that exists and that the user who runs Ansible may write to.",
        ) from error
    shown = (before or b"").decode("utf-8", "replace")
    diff = {"before": shown, "after": content, "before_header": place, "after_header": place}
    return {"changed": changed, "path": place, "diff": diff}


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    return write(module.params["path"], module.params["content"], module.check_mode)


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
