# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RPM packages made by a test, and a repository of them in a directory that dnf uses without network."""

from __future__ import annotations

import grp
import pathlib
import pwd
import shutil
import tempfile
from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.tests.system.command import run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Ghost, Item, Items, lay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CACHE = pathlib.Path("/var/cache/dnf")
# The package that is installed from the beginning: without files, it only provides /bin/sh.
SHELL = "shell-of-the-system"
REPOSITORIES = pathlib.Path("/etc/yum.repos.d")


def installed() -> list[str]:
    """All packages but the tests' own."""
    return sorted(set(run("rpm", "-qa").stdout.split()) - {f"{SHELL}-1-1.noarch"})


def _line(path: str, item: Item) -> str:
    """One line of a spec's list of files."""
    if isinstance(item, (str, bytes)):
        item = File(item)
    words = [item.rpm] if item.rpm else []
    if isinstance(item, (File, Directory)):
        owner, group = pwd.getpwuid(item.owner).pw_name, grp.getgrgid(item.group).gr_name
        words.insert(0, f"%attr({item.mode:04o}, {owner}, {group})")
    elif isinstance(item, Ghost):
        words.insert(0, f"%attr({item.mode:04o}, root, root)")
    if isinstance(item, Directory):
        words.append("%dir")
    return " ".join([*words, path])


def spec(
    name: str,
    version: str,
    release: str,
    arch: str,
    files: Items,
    scripts: Mapping[str, str],
    triggers: Mapping[str, str],
    fields: Sequence[str],
    staged: pathlib.Path,
) -> str:
    """The text of a spec file."""
    lines = [
        "%global debug_package %{nil}",
        "%global __os_install_post %{nil}",
        f"Name: {name}",
        f"Version: {version}",
        f"Release: {release}",
        "Summary: A package of a test",
        "License: GPL-3.0-or-later",
        "AutoReqProv: no",
        *(["BuildArch: noarch"] if arch == "noarch" else []),
        *fields,
        "%description",
        "A package of a test",
        "%install",
        f"mkdir -p %{{buildroot}} && cp -a {staged}/. %{{buildroot}}/",
    ]
    # rpmbuild takes even an absent ghost's path only when something is there.
    for path, item in files.items():
        if isinstance(item, Ghost):
            lines.append(f'mkdir -p "%{{buildroot}}$(dirname {path})" && : >%{{buildroot}}{path}')
    for script, body in scripts.items():
        lines += [f"%{script}", body.replace("%", "%%")]
    for trigger, body in triggers.items():
        lines += [f"%{trigger}", body.replace("%", "%%")]
    lines += ["%files", *(_line(path, item) for path, item in files.items())]
    return "\n".join(lines) + "\n"


def build(
    where: pathlib.Path,
    name: str,
    version: str = "1",
    release: str = "1",
    *,
    arch: str = "noarch",
    files: Items | None = None,
    scripts: Mapping[str, str] | None = None,
    triggers: Mapping[str, str] | None = None,
    fields: Sequence[str] = (),
    payload: str = "w1.gzdio",
) -> pathlib.Path:
    """Make an .rpm in the directory `where`. `arch`: noarch, or anything else for this machine's.

    `scripts`: {"post": "exit 1", "preun": …}, with `-p <lua>` in the key if need be; `triggers`:
    {"triggerin -- foo": …}; `fields`: lines of the preamble: "Requires: goo >= 1", "Epoch: 1", "Obsoletes: old";
    `payload`: rpm's `_binary_payload`; with w.ufdio, uncompressed, equally long files give equally long packages.
    """
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        staged = pathlib.Path(work, "staged")
        staged.mkdir(mode=0o755)
        lay(staged, files or {})
        text = spec(name, version, release, arch, files or {}, scripts or {}, triggers or {}, fields, staged)
        path = pathlib.Path(work, f"{name}.spec")
        path.write_text(text, "utf-8")
        define = [
            f"_topdir {work}",
            "_build_id_links none",
            f"_binary_payload {payload}",
            "_enable_debug_packages 0",
            "_missing_build_ids_terminate_build 0",
        ]
        run("rpmbuild", "--quiet", *(word for one in define for word in ("--define", one)), "-bb", path)
        (made,) = pathlib.Path(work, "RPMS").rglob("*.rpm")
        return pathlib.Path(shutil.move(str(made), str(where / made.name)))


class Repository:
    """A directory of packages that dnf takes from, the only one; `build` and `offer`, or both by `add`."""

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        where.mkdir(parents=True, exist_ok=True)
        where.chmod(0o755)
        if REPOSITORIES.is_dir():
            shutil.rmtree(REPOSITORIES)
        REPOSITORIES.mkdir(mode=0o755)
        (REPOSITORIES / "tests.repo").write_text(
            f"[tests]\nname=tests\nbaseurl=file://{where}\nenabled=1\ngpgcheck=0\n", "utf-8"
        )
        pathlib.Path("/etc/dnf/vars/releasever").write_text("1\n", "utf-8")
        # Scripts need a shell, which here is a Debian package's.
        if run("rpm", "-q", SHELL, ok=False).returncode:
            run("rpm", "-U", build(where.parent / "shell", SHELL, fields=["Provides: /bin/sh"]))

    def build(self, name: str, version: str = "1", release: str = "1", **options: object) -> pathlib.Path:
        """As `rpms.build`, in here; dnf sees it after the next `offer`."""
        return build(self.where, name, version, release, **options)  # type: ignore[arg-type]

    def add(self, name: str, version: str = "1", release: str = "1", **options: object) -> pathlib.Path:
        """Build one and let dnf see it."""
        made = self.build(name, version, release, **options)
        self.offer()
        return made

    def remove(self, path: pathlib.Path) -> None:
        """Take a package away, as a mirror does with old versions."""
        path.unlink()
        self.offer()

    def offer(self) -> None:
        """Write the index of what is here."""
        # Not with --update: a package made or signed again in the same second, as long as before, is taken for the old.
        run("createrepo_c", "--quiet", self.where)
        # dnf looks again only after minutes.
        for cache in CACHE.iterdir():
            if cache.is_dir():
                shutil.rmtree(cache)
            else:
                cache.unlink()
