# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A package index over HTTP that counts: index.py WHEELS LOG.

It goes into the background and prints its process id and URL. Every request is a line of LOG.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import sys
import typing as t
import urllib.parse


class Index(http.server.ThreadingHTTPServer):
    """The wheels of one directory."""

    daemon_threads = True

    def __init__(self, wheels: str, log: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wheels = wheels
        self.log = log

    @property
    def url(self) -> str:
        """What installers are given."""
        return f"http://127.0.0.1:{self.server_address[1]}/simple"

    def page(self, name: str) -> bytes | None:
        """The page of one distribution."""
        lines = []
        for file in sorted(os.listdir(self.wheels)):
            if file.endswith(".whl") and re.sub(r"[-_.]+", "-", file.partition("-")[0]).lower() == name:
                with open(os.path.join(self.wheels, file), "rb") as stream:
                    digest = hashlib.sha256(stream.read()).hexdigest()
                lines.append(f'<a href="/files/{file}#sha256={digest}">{file}</a>')
        return f"<!DOCTYPE html><html><body>{' '.join(lines)}</body></html>".encode() if lines else None

    def file(self, name: str) -> bytes | None:
        """A wheel."""
        path = os.path.join(self.wheels, os.path.basename(name))
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as stream:
            return stream.read()


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Index

    def do_GET(self) -> None:
        """Answer, and write it down."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.command == "GET":
            with open(self.server.log, "a") as log:
                log.write(f"{path}\n")
        kind, dummy, name = path.strip("/").partition("/")
        find = {"simple": self.server.page, "files": self.server.file}.get(kind)
        body = find(name) if find else None
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "text/html" if kind == "simple" else "application/octet-stream")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self.do_GET()

    def log_message(self, *arguments: t.Any) -> None:
        """Nothing on the terminal."""


def main(wheels: str, log: str) -> None:
    """Serve until killed."""
    index = Index(wheels, log)
    child = os.fork()
    if child:
        print(child, index.url)
        return
    os.setsid()
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    index.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
