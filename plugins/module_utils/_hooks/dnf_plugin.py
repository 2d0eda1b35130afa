# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dnf 4 loads: a plugin that starts the hook's program. It runs in dnf's own Python."""

from __future__ import annotations

PLUGIN = """\
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
        found = {{}}
        for side, packages in (("before", "remove_set"), ("after", "install_set")):
            for package in getattr(self.base.transaction, packages):
                key = (package.name, package.arch, package.evr if self._parallel(package) else None)
                change = {{"name": package.name, "arch": package.arch, "before": None, "after": None}}
                found.setdefault(key, change)[side] = package.evr
                if side == "after":
                    found[key]["file"] = package.localPkg()
        command = " ".join(["dnf", *(getattr(self.base, "args", None) or ["(started by a program)"])])
        if self._start("before", json.dumps({{"command": command, "changes": list(found.values())}})) and STRICT:
            raise dnf.exceptions.Error("What would be replaced could not be kept: see above.")

    def transaction(self):
        if self.base.conf.installroot == "/":
            self._start("after", "")

    def _parallel(self, package):
        return bool(set(self.base.conf.installonlypkgs) & {{package.name, *(one.name for one in package.provides)}})

    def _start(self, moment, text):
        try:
            return subprocess.run([PROGRAM, "dnf", moment], input=text.encode("utf-8", "surrogateescape")).returncode
        except OSError as error:
            sys.stderr.write("sage: {{}} cannot be started: {{}}\\n".format(PROGRAM, error))
            return 1
"""
