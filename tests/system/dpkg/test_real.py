# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's own packages: real scripts, links, configuration, dependencies and sizes, without network.

The image brings every version of libssl3 and openssl that there was when it was made, and a library of 107 MB with what
it needs. git is one of its own packages.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from functools import cmp_to_key
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import LISTS, Repository, status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import Host, same

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = pathlib.Path("/srv/packages")
SSL = ("openssl", "libssl3")
BIG = "libllvm14"

pytestmark = pytest.mark.skipif(not PACKAGES.is_dir(), reason="only the image of bookworm has real packages")


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    """apt knows what the image brought, and nothing else."""
    Repository(PACKAGES).offer()
    return Host(sage_root)


def _older(one: str, other: str) -> int:
    return -1 if run("dpkg", "--compare-versions", one, "lt", other, ok=False).returncode == 0 else 1


def versions(name: str) -> list[str]:
    """Those at hand, oldest first."""
    names = [path.name.replace("%3a", ":").split("_") for path in PACKAGES.glob(f"{name}_*.deb")]
    return sorted((version for dummy, version, dummy in names), key=cmp_to_key(_older))


@contextlib.contextmanager
def nothing_at_hand() -> Iterator[None]:
    """apt can take nothing from anywhere: an undo has to come from the store alone."""
    source = LISTS / "tests.list"
    text = source.read_text("utf-8")
    source.write_text("", "utf-8")
    apt("clean")
    apt("update")
    assert apt("download", BIG, ok=False).returncode == 100
    yield
    source.write_text(text, "utf-8")


def uses_ssl() -> str:
    """A new process loads the library that is there now."""
    said = run("/usr/bin/python3", "-c", "import hashlib, ssl; hashlib.sha256(); print(ssl.OPENSSL_VERSION)").stdout
    found = re.search(r"OpenSSL (\S+)", said)
    assert found
    return found.group(1)


@pytest.mark.parametrize("which", [0, -1], ids=["oldest", "newest"])
def test_a_library_and_what_needs_it_at_another_version(which: int, host: Host) -> None:
    there = status("libssl3").split()[0]
    version = versions("libssl3")[which]
    assert version in versions("openssl")
    assert version != there, f"the image has only versions {versions('libssl3')}"
    conf = pathlib.Path("/etc/ssl/openssl.cnf")
    conf.write_text(f"{conf.read_text()}# mine\n")
    before, was = oracle.snapshot(), uses_ssl()
    point = host.capture(*(f"{name}={version}" for name in SSL))
    apt("install", "--allow-downgrades", *(f"{name}={version}" for name in SSL))
    host.settle(point)
    assert [status(name) for name in SSL] == [f"{version} ii"] * 2
    assert uses_ssl() == version.partition("-")[0]
    with nothing_at_hand():
        done = host.undo()
    # Other packages may not do with that version: apt removed them, and they come back, too.
    assert {f"{name} {there} (now {version})" for name in SSL} <= set(done["plan"]["install"])
    # What its real postinst may have done besides is named, although nothing came of it.
    assert "openssl: its postinst may change more than its files" in done["inexact"]
    assert uses_ssl() == was
    same(before)


@pytest.mark.parametrize("how", ["remove", "purge"])
def test_git_removed_and_restored(how: str, host: Host, tmp_path: pathlib.Path) -> None:
    run("git", "init", "-q", tmp_path / "work")
    configuration = pathlib.Path("/etc/bash_completion.d/git-prompt")
    configuration.write_text("edited\n")
    before = oracle.snapshot()
    point = host.capture("git", state="absent")
    apt(how, "git")
    host.settle(point)
    assert not pathlib.Path("/usr/bin/git").exists()
    assert configuration.exists() is (how == "remove")
    with nothing_at_hand():
        host.undo()
    same(before)
    assert "No commits yet" in run("git", "-C", tmp_path / "work", "status", LC_ALL="C").stdout


def test_a_hundred_megabytes_installed_edited_and_removed(host: Host) -> None:
    before = oracle.snapshot()
    first = point = host.capture(BIG)
    apt("install", "--no-install-recommends", BIG)
    host.settle(point)
    library = pathlib.Path(os.path.realpath("/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"))
    assert library.stat().st_size > 100_000_000
    with library.open("ab") as content:
        content.write(b"edited")
    there = oracle.snapshot()
    point = host.capture(BIG, "libz3-4", state="absent")
    apt("purge", BIG, "libz3-4")
    host.settle(point)
    assert not library.exists()
    with nothing_at_hand():
        host.undo()
    same(there)
    with nothing_at_hand():
        host.undo(first)
    same(before)
