# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of an environment that somebody edits in place: named by the verification, mended by installing again."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t
import zipfile

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError, NotVerified
from ansible_collections.intellistream.sage.plugins.modules import sage_verify
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER, Bench

Plan = list[dict[str, t.Any]]


class Sage:
    """A little SAGE that is installed.

    :ivar plan: what was installed.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        wheelhouse.main(str(bench.base))
        bench.make_venv()
        self.plan: Plan = bench.resolve("isage==0.1")["plan"]["distributions"]
        bench.install(self.plan)

    def file(self, path: str) -> pathlib.Path:
        """A file in site-packages."""
        [found] = pathlib.Path(self.bench.venv).glob(f"lib/python3*/site-packages/{path}")
        return found

    def edit(self, path: str = "tinydep/__init__.py") -> bytes:
        """Change one byte in place, and neither size nor mtime; returns what was there."""
        file = self.file(path)
        before, info = file.read_bytes(), file.stat()
        with open(file, "r+b") as stream:
            stream.write(b"#" if before[:1] != b"#" else b" ")
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
        return before

    def verify(self) -> dict[str, t.Any]:
        """A call of sage_verify without a record."""
        spec = sage_verify.SPEC.options["distributions"]["options"]
        defaults = {name: option.get("default") for name, option in spec.items()}
        return self.bench.call(
            sage_verify, venv=self.bench.venv, distributions=[{**defaults, **one} for one in self.plan], record=False
        )

    def changing(self) -> list[str]:
        """The names that a plan made now would replace."""
        return [
            one["name"] for one in self.bench.resolve("isage==0.1")["plan"]["distributions"] if one["action"] != "keep"
        ]


@pytest.fixture
def sage(bench: Bench) -> Sage:
    return Sage(bench)


def test_v8_a_same_size_edit_with_an_old_mtime_is_not_verified_and_is_mended(sage: Sage) -> None:
    assert sage.verify()["evidence"]["files"] > 0
    assert sage.changing() == []
    content = sage.edit()
    with pytest.raises(NotVerified, match=r"1 file of tinydep 1\.1 was edited: lib/.*/tinydep/__init__\.py"):
        sage.verify()
    assert sage.changing() == ["tinydep"]
    # As the advice says.
    done = sage.bench.install(sage.plan)
    assert [one["name"] for one in done["replaced"]] == ["tinydep"]
    assert sage.file("tinydep/__init__.py").read_bytes() == content
    sage.verify()
    assert not sage.bench.install(sage.plan)["changed"]


def test_v8_a_new_environment_gets_no_edit_out_of_the_cache(sage: Sage) -> None:
    content = sage.edit()
    shutil.rmtree(sage.bench.venv)
    sage.bench.make_venv()
    sage.bench.install(sage.plan)
    assert sage.file("tinydep/__init__.py").read_bytes() == content
    sage.verify()


@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_v8_an_environment_linked_from_a_damaged_cache_by_hand_is_mended(sage: Sage) -> None:
    """All times are older than the installation then: only the content tells."""
    content = sage.edit()
    other = pathlib.Path(f"{sage.bench.base}/other")
    os.rename(sage.bench.venv, other)
    sage.bench.make_venv()
    for directory in other.glob("lib/python3*/site-packages/*"):
        target = pathlib.Path(sage.bench.venv, directory.relative_to(other))
        if directory.is_dir() and not target.exists():
            shutil.copytree(directory, target, copy_function=os.link)
    with pytest.raises(NotVerified, match=r"1 file of tinydep 1\.1 was edited"):
        sage.verify()
    assert sage.bench.install(sage.plan)["changed"]
    assert sage.file("tinydep/__init__.py").read_bytes() == content


@EITHER
def test_e18_what_is_gone_empty_or_a_directory_is_named_and_mended(sage: Sage) -> None:
    os.truncate(sage.file("tinydep/__init__.py"), 0)
    metadata = sage.file("isage-0.1.dist-info/METADATA")
    metadata.unlink()
    metadata.mkdir()
    sage.file("isage_tools-0.1.dist-info/WHEEL").unlink()
    with pytest.raises(NotVerified) as caught:
        sage.verify()
    site = metadata.parents[1].relative_to(sage.bench.venv)
    assert caught.value.details["differences"] == [
        f"1 file of isage 0.1 is no regular file any more: {site}/isage-0.1.dist-info/METADATA",
        f"1 file of isage-tools 0.1 is gone: {site}/isage_tools-0.1.dist-info/WHEEL",
        f"1 file of tinydep 1.1 was edited: {site}/tinydep/__init__.py",
    ]
    metadata.rmdir()
    sage.bench.install(sage.plan)
    sage.verify()


@EITHER
def test_k8_rows_that_say_nothing_and_shared_files_bar_nothing(sage: Sage) -> None:
    record = sage.file("tinydep-1.1.dist-info/RECORD")
    text = record.read_text()
    record.write_text(f"{text}tinydep/__init__.py,sha256=AAAA,3\ntinydep,,\n../../../bin/python,md5=zz,1\n")
    sage.verify()
    # Installed by two: the later one's content is in force.
    module = sage.file("tinydep/__init__.py")
    info = sage.file("isage-0.1.dist-info/RECORD")
    row = next(line for line in text.splitlines() if line.startswith("tinydep/__init__.py,"))
    info.write_text(f"{info.read_text()}{row}\n")
    record.write_text(text.replace(row, "tinydep/__init__.py,sha256=AAAA,3"))
    sage.verify()
    module.write_text("neither\n")
    with pytest.raises(NotVerified, match="was edited"):
        sage.verify()


@EITHER
def test_k8_what_cannot_be_read_is_a_warning_and_never_installed_through(sage: Sage) -> None:
    """A package that is a link to somebody's sources: an installer would empty them."""
    package = sage.file("tinydep")
    sources = sage.bench.base / "sources"
    os.rename(package, sources)
    package.symlink_to(sources)
    (sources / "__init__.py").write_text("mine\n")
    sage.verify()
    [warning] = sage.bench.warnings
    assert "1 file of tinydep 1.1 cannot be read: " in warning
    assert not sage.bench.install(sage.plan)["changed"]
    assert (sources / "__init__.py").read_text() == "mine\n"


@EITHER
def test_k9_what_is_wrong_where_it_comes_from_is_said(sage: Sage) -> None:
    """A wheel whose own RECORD is wrong differs whatever is done."""
    wheelhouse.make_wheel(sage.bench.wheels, "liar", "1.0", ())
    [wheel] = pathlib.Path(sage.bench.wheels).glob("liar-*.whl")
    _rewrite(wheel)
    with pytest.raises(InstallerError, match=r"1 file of liar 1\.0 was edited: .*choose another version") as caught:
        sage.bench.install([{"name": "liar", "version": "1.0"}])
    assert caught.value.details["differences"]


def _rewrite(wheel: pathlib.Path) -> None:
    """Give the first module of a wheel another content than its RECORD says."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    module = next(name for name in members if name.endswith("__init__.py"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content + b"# more\n" if name == module else content)
