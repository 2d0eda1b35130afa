"""Resolve for a whole group of hosts: afresh, as if nothing were installed, so that any of them finds the same."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    choose,
    fetch_uv,
    find_python,
    find_uv,
    interface,
    interpreter,
    lock_request,
    lockfile,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.resolve import install_request

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._plans import host_group

Options = t.Mapping[str, t.Any]
_MANYLINUX = (17, 28, *range(31, 41))  # of glibc 2, as uv's --python-platform has them


def venv_interpreter(options: Options) -> interpreter.Interpreter:
    """The interpreter that is, or would be, in the environment.

    :param options: of the module, C(venv), C(python) and C(minimum).
    :raises InputError: there is none.
    """
    venv = os.path.abspath(options["venv"])
    if os.path.exists(os.path.join(venv, "pyvenv.cfg")):
        return interpreter.probe(interpreter.in_venv(venv))
    return find_python.find(options["python"], options["minimum"])


def resolve_here(options: Options, index: Index, group: host_group.HostGroup, python: interpreter.Interpreter) -> str:
    """The text of a C(pylock.toml) of everything that is asked for.

    Nothing of it depends on what is installed on this host. What it needs itself, and is not here, is in a temporary
    directory for as long as it runs.

    :param options: of the module: what to resolve, and the tool.
    :param group: the group of this host.
    :param python: the interpreter to resolve for.
    :raises InstallerError: there is no solution, or the index cannot be reached.
    """
    request = install_request({**options, "sources": [], "lock": None})
    with _tool(options, index, python) as (choice, tool_python):
        installer = choose.create_installer(
            choice, interface.InstallTarget(tool_python, None, inventory={}), index, options["timeout"]
        )
        text = installer.lock_file(request, installer.resolve(request).pins, "pylock")
    return _finished(text, group, options, index)


def _finished(text: str, group: host_group.HostGroup, options: Options, index: Index) -> str:
    """The lock file with what it was made for, and with, at its end."""
    request = lock_request.request(group.name, options["requirements"], options["constraints"])
    return f"{text.rstrip()}\n\n{request}{lock_request.index_line(index)}\n"


def resolve_elsewhere(options: Options, index: Index, group: host_group.HostGroup) -> str:
    """As P(resolve_here), for hosts of a group this one does not belong to: uv alone can do that.

    :raises InputError: there is no uv here.
    :raises InstallerError: there is no solution, or the index cannot be reached.
    """
    request = install_request({**options, "sources": [], "lock": None})
    uv = find_uv.choose("uv", options.get("uv"), None).uv
    settings = index.for_uv()
    with interface.files(requirements=request.lines, constraints=request.constraints) as path:
        argv = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
        argv += ["--format", "pylock.toml", "--python-version", group.minor]
        argv += ["--python-platform", _platform(group), "--constraints", path["constraints"]]
        argv += ["--no-python-downloads", path["requirements"], *settings.arguments]
        compiled = command.checked(argv, env=settings.env, timeout=options["timeout"], untouched="everything.").stdout
    return _finished(lockfile.for_minor(redact_text(compiled), group.minor), group, options, index)


def _platform(group: host_group.HostGroup) -> str:
    """The group in uv's words, which do not have each version of glibc: the newest one that is not newer.

    :raises InputError: uv has none for it.
    """
    libc = re.match(r"(glibc|musl)\d+_(\d+)", group.libc)
    if group.system == "linux" and libc and libc[1] == "musl":
        return f"{group.machine}-unknown-linux-musl"
    minors = [minor for minor in _MANYLINUX if libc and minor <= int(libc[2])]
    if group.system != "linux" or not minors:
        raise InputError(
            f"uv cannot resolve on the controller for {group.name}.",
            untouched="everything.",
            advice="Let a host of this group resolve, without `sage_lock_on_controller`.",
        )
    return f"{group.machine}-manylinux_2_{max(minors)}"


@contextlib.contextmanager
def _tool(
    options: Options, index: Index, python: interpreter.Interpreter
) -> t.Iterator[tuple[find_uv.InstallerChoice, interpreter.Interpreter]]:
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    if not choice.fetch and (choice.name == "uv" or python.pip):
        yield choice, python
        return
    directory = tempfile.mkdtemp(prefix="sage-")
    try:
        if choice.fetch:
            tools = os.path.join(directory, "tools")
            choice = find_uv.InstallerChoice("uv", os.path.join(tools, "bin", "uv"), fetch=True)
            choice = fetch_uv.obtain(choice, options["installer"], tools, python, index, options["timeout"])
        if choice.name == "pip" and not python.pip:
            if not python.ensurepip:
                raise InstallerError(
                    f"There is no uv on this host, and {python.executable} has neither pip nor ensurepip.",
                    untouched="everything.",
                    advice="Install uv, or the package that brings Python's venv, on one host of the group.",
                )
            venv = os.path.join(directory, "venv")
            command.checked([python.executable, "-I", "-m", "venv", venv], timeout=options["timeout"])
            python = interpreter.probe(interpreter.in_venv(venv))
        yield choice, python
    finally:
        shutil.rmtree(directory, ignore_errors=True)
