# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a module as Ansible runs it."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
import typing as t

from ansible.module_utils import basic

PACKAGE = "ansible_collections.intellistream.sage.plugins.modules"


def run_module(module: str, **options: t.Any) -> dict[str, t.Any]:
    """What the module prints, run as the main program of a process: JSON in, JSON out.

    That process is a child of this one, which has imported Ansible already: a new interpreter takes half a second.
    """
    importlib.import_module(f"{PACKAGE}.{module}")
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_remote_tmp": "/tmp", **options}}).encode()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            _become(module, arguments, output, errors)
        os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        printed = output.read()
        assert printed, errors.read()
    result: dict[str, t.Any] = json.loads(printed)
    return result


def _become(module: str, arguments: bytes, output: t.TextIO, errors: t.TextIO) -> t.NoReturn:
    """Run it in this process, which then ends."""
    try:
        for number, file in ((1, output), (2, errors)):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = output, errors
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments, "legacy"
        runpy.run_module(f"{PACKAGE}.{module}", run_name="__main__")
    except SystemExit:
        pass
    except BaseException:  # noqa: BLE001 # whatever it was, this must not go on as a second pytest
        traceback.print_exc(file=errors)
    finally:
        output.flush()
        errors.flush()
        os._exit(0)
