"""The files that make apt and dnf start a program, and where they go."""

from __future__ import annotations

import json
import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command, zipapp
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import program
from ansible_collections.intellistream.sage.plugins.module_utils._hooks.places import (
    APT,
    PYTHON,
    HookFile,
    mark_of,
    plugin_path,
    program_path,
    snippet_path,
    unused_files,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import HookSettings

# Runs in dnf's own Python, so nothing of this collection can be imported there.
DNF_PLUGIN = """\
# Made by intellistream.sage.sage_hook: keeps what a run of dnf replaces, so that it can be rolled back.
import json
import subprocess
import sys

import dnf
import dnf.exceptions

PROGRAM = {program}
STRICT = {strict}


class Sage(dnf.Plugin):
    name = "intellistream_sage_{mark}"

    def pre_transaction(self):
        if self.base.conf.installroot != "/":
            return
        changes = {{}}
        for side, packages in (("before", "remove_set"), ("after", "install_set")):
            for package in getattr(self.base.transaction, packages):
                key = (package.name, package.arch, package.evr if self._parallel(package) else None)
                change = {{"name": package.name, "arch": package.arch, "before": None, "after": None}}
                changes.setdefault(key, change)[side] = package.evr
                if side == "after":
                    changes[key]["file"] = package.localPkg()
        command = " ".join(["dnf", *(getattr(self.base, "args", None) or ["(started by a program)"])])
        if self._start("before", json.dumps({{"command": command, "changes": list(changes.values())}})) and STRICT:
            raise dnf.exceptions.Error("What would be replaced could not be kept: see above.")

    def transaction(self):
        if self.base.conf.installroot == "/":
            self._start("after", "")

    def _parallel(self, package):
        names = {{package.name, *(provided.name for provided in package.provides)}}
        return bool(names & set(self.base.conf.installonlypkgs))

    def _start(self, moment, text):
        try:
            return subprocess.run([PROGRAM, "dnf", moment], input=text.encode("utf-8", "surrogateescape")).returncode
        except OSError as error:
            sys.stderr.write("sage: {{}} cannot be started: {{}}\\n".format(PROGRAM, error))
            return 1
"""


def hook_files(root: str, settings: HookSettings, present: bool) -> list[HookFile]:
    """All files, in the order in which they are to be written: what starts the program comes last.

    :param root: the directory SAGE is installed in.
    :param settings: for P(_hooks.program.main).
    :param present: whether the hook is to be there.
    :raises InputError: this host has neither apt nor dnf, or no Python that could run the program.
    """
    if not present:
        return unused_files(root)
    program_file = program_path(root)
    mark, snippet, plugin = mark_of(root), snippet_path(root), plugin_path(root)
    check_python()
    starters = []
    if shutil.which("apt-get") and os.path.isdir(APT):
        starters.append(HookFile(snippet, _apt_snippet(program_file, settings["strict"], snippet), mode=0o644))
    if plugin:
        starters.append(HookFile(plugin, _dnf_plugin(program_file, settings["strict"], mark), mode=0o644))
    if not starters:
        raise InputError("This host has neither apt nor dnf 4, which could start a hook.", untouched="everything.")
    return [HookFile(program_file, build_program(settings), mode=0o700), *starters]


def build_program(settings: HookSettings) -> bytes:
    """The hook's program: the same for the same settings and sources, byte for byte.

    :param settings: for P(_hooks.program.main).
    :raises StateError: the sources cannot be found.
    """
    return zipapp.build(program, settings, PYTHON, sources.members())


def check_python() -> None:
    """The system's own Python has to run the program, whatever Ansible uses.

    :raises InputError: it is missing or too old.
    """
    try:
        good = command.run([PYTHON, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 9))"], timeout=60).rc == 0
    except InstallerError:
        good = False
    if not good:
        raise InputError(
            f"The hook needs {PYTHON}, version 3.9 or newer.",
            untouched="everything.",
            advice="Install the system's python3, or do without the hook.",
        )


def _apt_snippet(program: str, strict: bool, path: str) -> bytes:
    # What is missing or broken must not keep anybody from using apt, unless that was chosen.
    broken = f"{{ test -x {program} || echo 'sage: {program} is gone; remove {path}, too' >&2; exit 1; }}"
    return f"""\
// Made by intellistream.sage.sage_hook: keeps what a run of apt replaces, so that it can be rolled back.
DPkg::Pre-Install-Pkgs {{ "{program} apt before || {broken if strict else "true"}"; }};
DPkg::Tools::Options::{program}::Version "3";
DPkg::Post-Invoke {{ "{program} apt after || true"; }};
""".encode()


def _dnf_plugin(program: str, strict: bool, mark: str) -> bytes:
    return DNF_PLUGIN.format(program=json.dumps(program), strict=bool(strict), mark=mark).encode()
