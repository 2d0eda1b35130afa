# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps the byte code of what Ansible sends: for root's Python on hosts of the tests, and for that of the tools.

A module comes as a zip archive, of which Python keeps no byte code: half of what a module costs is compiling the same
text again. Environments that SAGE makes have neither a user's site-packages nor those of the tools, so nothing of this
is in them. Some hosts of the tests go without.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport

# In containers it is in the cache that is mounted, elsewhere it lies beside this file. Without one all is as ever.
PLACES = ("/var/cache/sage-test/code", f"{os.path.dirname(__file__)}/sage-test-code")
CODE = next(filter(os.path.isdir, PLACES), "")
# A private function of every Python that the tests have; without it all is as ever.
_compile = getattr(zipimport, "_compile_source", None)


def _kept(path: str, source: bytes) -> object:
    """The byte code of a text, by the text and the Python. Few imports: this is there at each start of Python."""
    name = f"{CODE}/{sys.hexversion:x}-{_imp.source_hash(0, source).hex()}-{len(source)}"
    try:
        with open(name, "rb") as file:
            return marshal.load(file)  # noqa: S302 # written below
    except (OSError, ValueError, EOFError, TypeError):
        pass
    code = _compile(path, source)
    try:
        with open(f"{name}.{os.getpid()}", "wb") as file:
            marshal.dump(code, file)
        os.rename(file.name, name)
    except OSError:
        pass
    return code


if _compile is not None and CODE:
    zipimport._compile_source = _kept  # noqa: SLF001
