# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An index of tiny distributions over HTTP: wheels.py DIRECTORY makes it, wheels.py DIRECTORY ADDRESS serves it.

Each generation N of SAGE is `isage N.0`, which needs `tinydep N.0`: both phases that install have something to do. Of
version BROKEN only `sage verify` fails; that of version HANGS does not end, and spoils what is there once its own
version is gone.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import os
import pathlib
import sys
import typing as t

GENERATIONS = 60
BROKEN = 90
HANGS = 91
PARTS = ("foundation", "stream", "runtime", "serving")
CLI = """
import sys
from sage import VERSION


def main():
    print('core : broken' if VERSION == '90.0' else 'core : ok', VERSION)
    sys.exit(VERSION == '90.0')
"""
HANGING = """
import glob, os, time
from sage import VERSION


def main():
    site = os.path.dirname(os.path.dirname(__file__))
    while True:
        if not os.path.isdir(os.path.join(site, 'tinydep-91.0.dist-info')):
            for name in glob.glob(os.path.join(site, '*', '*.py')):
                open(name, 'a').write('# spoilt')
        time.sleep(0.05)
"""


def _builder() -> t.Any:
    project = pathlib.Path(__file__).resolve().parents[4]
    path = project / "tests/integration/targets/setup_wheelhouse/files/wheelhouse.py"
    spec = importlib.util.spec_from_file_location("wheelhouse", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(top: pathlib.Path) -> None:
    """Write the wheels and the pages of the index."""
    builder = _builder()
    pages: dict[str, list[str]] = {}
    for number in [*range(1, GENERATIONS + 1), BROKEN, HANGS]:
        version = f"{number}.0"
        program = HANGING if number == HANGS else CLI
        modules = {"sage/__init__.py": f"VERSION = {version!r}\n", "sage/cli.py": program, f"sage/only_{number}.py": ""}
        modules.update({f"sage/{part}.py": f"PART = {part!r}\n" for part in PARTS})
        made = [
            builder.make_wheel(top / "files", "tinydep", version),
            builder.make_wheel(
                top / "files", "isage", version, [f"tinydep=={version}"], None, modules, {"sage": "sage.cli:main"}
            ),
        ]
        for path in map(pathlib.Path, made):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            link = f'<a href="/files/{path.name}#sha256={digest}">{path.name}</a>'
            pages.setdefault(path.name.partition("-")[0], []).append(link)
    for name, links in pages.items():
        (top / "simple" / name).mkdir(parents=True, exist_ok=True)
        text = f"<!DOCTYPE html><html><body>{' '.join(links)}</body></html>"
        (top / "simple" / name / "index.html").write_text(text, encoding="utf-8")


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: t.Any) -> None:
        """Nothing on the terminal."""


def serve(top: pathlib.Path, address: str) -> None:
    """Go into the background; print the process id and the URL."""
    handler = functools.partial(_Handler, directory=str(top))
    server = http.server.ThreadingHTTPServer((address, 0), handler)
    child = os.fork()
    if child:
        sys.stdout.write(f"{child} http://{address}:{server.server_address[1]}/simple\n")
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        make(pathlib.Path(sys.argv[1]))
    else:
        serve(pathlib.Path(sys.argv[1]), sys.argv[2])
