# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual environment in miniature, and an installer that leaves just what pip leaves."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
from pathlib import Path

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


class TinyVenv:
    """An environment of a few files.

    :param path: where it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.site = path / SITE

    def make(self) -> TinyVenv:
        """Create it, empty."""
        self.site.mkdir(parents=True)
        (self.path / "bin").mkdir()
        (self.path / "bin" / "python").symlink_to(sys.executable)
        (self.path / "bin" / "activate").write_text("# edit me\n")
        (self.path / "lib64").symlink_to("lib")
        (self.path / "pyvenv.cfg").write_text("version = 3.11.2\n")
        return self

    def info(self, name: str, version: str) -> Path:
        """The distribution's metadata directory."""
        return self.site / f"{name}-{version}.dist-info"

    def installed(self) -> dict[str, str]:
        """Name → version, as directories say."""
        names = [path.name[: -len(".dist-info")].partition("-") for path in self.site.glob("*.dist-info")]
        return {name: version for name, dummy, version in sorted(names)}

    def install(self, name: str, version: str, files: dict[str, str] | None = None, register: bool = True) -> None:
        """Replace or add a distribution.

        :param files: path relative to site-packages → content; by default a package and a script.
        :param register: false leaves RECORD out, as an installer that is killed does.
        """
        self.uninstall(name)
        files = dict(
            files
            or {
                f"{name}/__init__.py": f"version = {version!r}\n",
                f"{name}/data/{version}.txt": version * 100,
                f"../../../bin/{name}": f"#!/bin/sh\necho {version}\n",
            }
        )
        info = f"{name}-{version}.dist-info"
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files[f"{info}/INSTALLER"] = "tiny\n"
        rows = []
        for relative, content in files.items():
            target = Path(os.path.normpath(self.site / relative))
            target.parent.mkdir(parents=True, exist_ok=True)
            # As pip does: never into a file that is there, which may have other names.
            target.unlink(missing_ok=True)
            target.write_text(content)
            target.chmod(0o755 if "bin/" in relative else 0o644)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{relative},sha256={digest},{len(content.encode())}")
        cache = self.site / name / "__pycache__"
        if (self.site / name / "__init__.py").is_file():
            cache.mkdir(exist_ok=True)
            (cache / "__init__.cpython-311.pyc").write_bytes(version.encode())
            rows.append(f"{name}/__pycache__/__init__.cpython-311.pyc,,")
        if register:
            rows.append(f"{info}/RECORD,,")
            (self.site / info / "RECORD").write_text("\n".join(rows) + "\n")

    def uninstall(self, name: str) -> None:
        """Remove a distribution by its RECORD."""
        for info in self.site.glob(f"{name}-*.dist-info"):
            for line in (info / "RECORD").read_text().splitlines():
                path = Path(os.path.normpath(self.site / line.split(",")[0]))
                if not path.exists():
                    continue
                path.unlink()
                while path.parent not in (self.site, self.path / "bin", self.path) and not os.listdir(path.parent):
                    path.parent.rmdir()
                    path = path.parent

    def remove(self) -> None:
        """Remove the whole environment."""
        shutil.rmtree(self.path)
