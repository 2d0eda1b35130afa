# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian packages made by a test, and a repository of them in a directory that apt uses without network."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.content import Items, lay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LISTS = pathlib.Path("/etc/apt/sources.list.d")


def build(
    where: pathlib.Path,
    name: str,
    version: str = "1",
    *,
    arch: str = "all",
    files: Items | None = None,
    conffiles: Sequence[str] = (),
    scripts: Mapping[str, str] | None = None,
    triggers: str = "",
    description: str = "A package of a test",
    **fields: str,
) -> pathlib.Path:
    """Make a .deb in the directory `where`.

    `fields` are those of its control file, with `_` for `-`: depends="goo (>= 1)", multi_arch="same".
    `scripts` are bodies of preinst, postinst, prerm, postrm, run by `sh -e`, unless they begin with `#!`;
    `triggers` is the file of that name. A conffile has to be among `files`.
    """
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        top = pathlib.Path(work, "root")
        top.mkdir(mode=0o755)
        lay(top, files or {})
        control = top / "DEBIAN"
        control.mkdir(mode=0o755)
        stanza = {
            "Package": name,
            "Version": version,
            "Architecture": arch,
            "Maintainer": "Tests <tests@localhost>",
            **{field.replace("_", "-").title(): value for field, value in fields.items()},
            "Description": description,
        }
        (control / "control").write_text("".join(f"{field}: {value}\n" for field, value in stanza.items()), "utf-8")
        if conffiles:
            (control / "conffiles").write_text("".join(f"{path}\n" for path in conffiles), "utf-8")
        if triggers:
            (control / "triggers").write_text(triggers, "utf-8")
        _md5sums(top, control, conffiles)
        for script, body in (scripts or {}).items():
            text = body if body.startswith("#!") else f"#!/bin/sh\nset -e\n{body}\n"
            (control / script).write_text(text, "utf-8")
            (control / script).chmod(0o755)
        target = where / f"{name}_{version.replace(':', '%3a')}_{arch}.deb"
        # Uncompressed: it is there for a moment only.
        run("dpkg-deb", "-Znone", "--build", top, target)
    return target


def _md5sums(top: pathlib.Path, control: pathlib.Path, conffiles: Sequence[str]) -> None:
    """As debhelper makes them: of all regular files that are no conffiles; without them dpkg computes them itself."""
    lines = []
    for path in sorted(top.rglob("*")):
        relative = path.relative_to(top).as_posix()
        if path.is_symlink() or not path.is_file() or relative.startswith("DEBIAN/") or f"/{relative}" in conffiles:
            continue
        lines.append(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {relative}\n")  # noqa: S324 # dpkg's format
    if lines:
        (control / "md5sums").write_text("".join(lines), "utf-8")


def status(name: str) -> str:
    """Version and state as dpkg tells them; empty when it knows nothing."""
    return run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", name, ok=False).stdout.strip()


class Repository:
    """A directory of packages that apt takes from, the only one; `build` and `offer`, or both by `add`."""

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        where.mkdir(parents=True, exist_ok=True)
        # apt's sandbox user has to read it.
        where.chmod(0o755)
        shutil.rmtree(LISTS)
        LISTS.mkdir(mode=0o755)
        pathlib.Path("/etc/apt/sources.list").write_text("", "utf-8")
        (LISTS / "tests.list").write_text(f"deb [trusted=yes] file:{where} ./\n", "utf-8")

    def build(self, name: str, version: str = "1", **options: object) -> pathlib.Path:
        """As `debs.build`, in here; apt sees it after the next `offer`."""
        return build(self.where, name, version, **options)  # type: ignore[arg-type]

    def add(self, name: str, version: str = "1", **options: object) -> pathlib.Path:
        """Build one and let apt see it."""
        made = self.build(name, version, **options)
        self.offer()
        return made

    def remove(self, path: pathlib.Path) -> None:
        """Take a package away, as a mirror does with old versions."""
        path.unlink()
        self.offer()

    def offer(self) -> None:
        """Write the index of what is here and let apt read it."""
        stanzas = []
        for path in sorted(self.where.glob("*.deb")):
            control = run("dpkg-deb", "--field", path).stdout.rstrip("\n")
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            stanzas.append(f"{control}\nFilename: ./{path.name}\nSize: {len(content)}\nSHA256: {digest}\n")
        (self.where / "Packages").write_text("\n".join(stanzas), "utf-8")
        apt("update")
