# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signed packages, hosts that insist on signatures, and packages that dnf is told to hold: none of it stops an undo."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._hooks import places
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import ORIGINAL, UPGRADED, Host, example, write
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

WHO = "tests@example.org"
SIGNATURE = "%{NAME} %{RSAHEADER:pgpsig} %{DSAHEADER:pgpsig} %{SIGMD5} %{SHA256HEADER}\\n"


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


@pytest.fixture
def home(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A key to sign with."""
    path = tmp_path / "gnupg"
    path.mkdir(0o700)
    run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", WHO, "rsa2048", "sign", "never", GNUPGHOME=str(path))
    yield path
    run("gpgconf", "--kill", "all", GNUPGHOME=str(path))


def sign(home: pathlib.Path, repository: Repository) -> None:
    """Sign all packages, let rpm and dnf know the key, and let them refuse what is not signed."""
    for package in (*repository.where.glob("*.rpm"), *repository.where.parent.glob("shell/*.rpm")):
        define = ("--define", f"_gpg_name {WHO}", "--define", "__gpg /usr/bin/gpg")
        run("rpmsign", *define, "--addsign", package, GNUPGHOME=str(home))
    key = home / "key.asc"
    key.write_text(run("gpg", "--armor", "--export", WHO, GNUPGHOME=str(home)).stdout, "utf-8")
    run("rpm", "--import", key)
    settings = pathlib.Path("/etc/yum.repos.d/tests.repo")
    settings.write_text(settings.read_text("utf-8").replace("gpgcheck=0", "gpgcheck=1\nlocalpkg_gpgcheck=1"), "utf-8")
    with pathlib.Path("/etc/rpm/macros").open("a", encoding="utf-8") as macros:
        macros.write("%_pkgverify_level all\n")
    repository.offer()


def signatures() -> str:
    """What the database has of signatures."""
    return "\n".join(sorted(run("rpm", "-qa", "--qf", SIGNATURE).stdout.splitlines()))


def test_signed_packages_where_signatures_are_required(host: Host, repository: Repository, home: pathlib.Path) -> None:
    example(repository)
    dnf("remove", "foo", "bar")
    sign(home, repository)
    unsigned = repository.build("unsigned")
    assert run("rpm", "-U", unsigned, ok=False).returncode
    unsigned.unlink()
    dnf("install", "foo-1", "bar-1")
    before = signatures()
    assert before.count("Key ID") >= 2
    write("/etc/foo.conf", "mine\n")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    assert set(UPGRADED) <= set(installed())
    saved = sorted(host.root.rglob("*.rpm"))
    assert [path.name for path in saved] == ["bar-1-1.noarch.rpm", "foo-1-1.noarch.rpm"]
    for path in saved:
        # Signed was what the package held then, so the saved one has digests only.
        said = run("rpmkeys", "--define", "_pkgverify_level digest", "-Kv", path).stdout
        assert ("digest: OK" in said, "Signature" in said) == (True, False), said
    assert host.undo()["exact"]
    assert host.differences() == []
    assert signatures() == before
    # The next upgrade, and another undo, with the same signatures.
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.undo()
    assert host.differences() == []
    assert signatures() == before


LOCK = """
import dnf

class Lock(dnf.Plugin):
    name = "lock"

    def sack(self):
        query = self.base.sack.query().filterm(name=["foo", "bar"]).filterm(version__neq="2")
        self.base.sack.add_excludes(query)
"""


@pytest.mark.parametrize("by", ["plugin", "excludepkgs"])
def test_packages_that_dnf_holds(host: Host, repository: Repository, by: str) -> None:
    """As `dnf versionlock` holds them, which itself is in another package of Debian's."""
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    conf = pathlib.Path("/etc/dnf/dnf.conf")
    plugin = pathlib.Path(places.dnf_plugins(), "lock.py")
    was, there = conf.read_bytes(), plugin.parent.is_dir()
    if by == "plugin":
        plugin.parent.mkdir(parents=True, exist_ok=True)
        plugin.write_text(LOCK, "utf-8")
    else:
        conf.write_bytes(was + b"excludepkgs=foo bar\n")
    assert dnf("downgrade", "foo-1", ok=False).returncode
    assert host.undo()["exact"]
    assert installed() == ORIGINAL
    # Locked, dnf does not tell what is wanted of them.
    conf.write_bytes(was)
    plugin.unlink(missing_ok=True)
    if not there and plugin.parent.is_dir():
        plugin.parent.rmdir()
    assert host.differences() == []
