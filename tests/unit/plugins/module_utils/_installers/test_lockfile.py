# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import interpreter, lockfile
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

if t.TYPE_CHECKING:
    import pathlib

PYTHON = interpreter.probe(sys.executable)
TOML = pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python cannot read TOML")
PYLOCK = """
lock-version = "1.0"
created-by = "test"
requires-python = ">=3.8"

[[packages]]
name = "A.B"
version = "1.0"
sdist = { url = "https://x/a.tar.gz", upload-time = 2026-01-01T00:00:00Z, hashes = { sha256 = "11" } }
wheels = [{ url = "https://x/a.whl", hashes = { sha256 = "00" } }]

[[packages]]
name = "win"
version = "2.0"
marker = "sys_platform == 'win32'"
wheels = [{ url = "https://x/b.whl", hashes = { sha256 = "22" } }]
"""
REQUIREMENTS = r"""
# a comment
--index-url https://u:p@x/simple
a_b[extra]==1.0 \
    --hash=sha256:11 \
    --hash=sha256:00   # via c
win == 2.0 ; sys_platform == 'win32' --hash=sha256:22
"""


@pytest.mark.parametrize("text", [pytest.param(PYLOCK, marks=TOML), REQUIREMENTS], ids=["pylock", "requirements"])
def test_parse(text: str) -> None:
    pins = lockfile.parse(text, PYTHON)
    assert pins == [
        Pin("a-b", "1.0", ("sha256:00", "sha256:11")),
        Pin("win", "2.0", ("sha256:22",), marker="sys_platform == 'win32'"),
    ]
    assert lockfile.applicable(pins, PYTHON) == pins[:1]


@TOML
@pytest.mark.parametrize("own", [True, False], ids=["by itself", "by the venv's Python"])
def test_toml_of_old_hosts(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    if not own:
        monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert len(lockfile.parse(PYLOCK, PYTHON)) == 2
    with pytest.raises(InputError, match="not TOML"):
        lockfile.parse(PYLOCK + "[", PYTHON)


@TOML
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('"1.0"\ncreated', '"2.0"\ncreated'), "only 1.x is supported"),
        (('">=3.8"', '">=3.99"'), "it is for Python >=3.99"),
        (("\n[[p", "\nenvironments = [\"sys_platform == 'win32'\"]\n[[p"), "not for this platform"),
        (("sdist = {", "vcs = {"), "comes from vcs"),
        (("sdist = {", "directory = { path = 'x' }\nsdist = {"), "relative path"),
        (('version = "2.0"', ""), "win has no version"),
        (("sys_platform ==", "sys_platform ~"), "cannot read the marker"),
        (("win32", "linux"), None),
    ],
)
def test_unusable_pylock(change: tuple[str, str], reason: str | None) -> None:
    text = PYLOCK.replace(*change, 1)
    if reason is None:
        assert len(lockfile.applicable(lockfile.parse(text, PYTHON), PYTHON)) == (2 if sys.platform == "linux" else 1)
        return
    with pytest.raises(InputError, match=reason):
        lockfile.applicable(lockfile.parse(text, PYTHON), PYTHON)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no distribution"),
        ("a>=1", "not pinned"),
        ("a==1.*", "not pinned"),
        ("a==1,!=2", "not pinned"),
        ("a", "not pinned"),
        ("a @ https://x/", "not pinned"),
        ("-e /x", "the option '-e'"),
        ("-r other.txt", "the option '-r'"),
        ("$(touch x)", "does not start with the name"),
        ("a==1\na==2", "pins a twice"),
        ("a==1 ; weird", "unknown name 'weird' in the marker"),
    ],
)
def test_unusable_requirements(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        lockfile.applicable(lockfile.parse(text, PYTHON), PYTHON)


@pytest.mark.parametrize("form", [pytest.param("pylock", marks=TOML), "requirements"])
def test_what_is_written_can_be_read(form: str) -> None:
    pins = [
        Pin("b", "1.0", ("sha256:11",), url="https://x/b-1.0.tar.gz"),
        Pin("a", "1.0", ("sha256:00",), marker="os_name == 'posix'", url="https://x/a-1.0-py3-none-any.whl"),
    ]
    text = lockfile.text(pins, form, PYTHON.minor)
    assert text == lockfile.text(reversed(pins), form, PYTHON.minor)
    assert lockfile.parse(text, PYTHON) == [pin._replace(url="") for pin in sorted(pins)]


@TOML
def test_directories() -> None:
    pins = [Pin("a", "1.0", path="/x y", editable=True), Pin("b", None, path="/z")]
    text = lockfile.text(pins, "pylock", PYTHON.minor)
    assert lockfile.parse(text, PYTHON) == [pin._replace(version=None) for pin in pins]


def test_pylock_wants_urls() -> None:
    with pytest.raises(InputError, match="a has no URL"):
        lockfile.text([Pin("a", "1.0")], "pylock", "3.11")


def test_files(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pylock.toml"
    assert lockfile.read_file(str(path)) is None
    lockfile.write_file(str(path), "安装\n")
    assert lockfile.read_file(str(path)) == "安装\n"
    with pytest.raises(FileNotFoundError):
        lockfile.write_file(str(tmp_path / "missing" / "x"), "")
    assert os.listdir(tmp_path) == ["pylock.toml"]
    assert lockfile.form_of("x/pylock.toml") == "pylock"
    assert lockfile.form_of("requirements.txt") == "requirements"


@TOML
def test_x11_a_lock_file_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(InputError, match="it is not TOML"):
        lockfile.parse('lock-version = "1.0"\npackages = ' + "[" * 100_000, PYTHON)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with its mark", "utf-16-be with its mark"]
)
def test_e22_a_lock_file_may_come_from_windows(tmp_path: pathlib.Path, encoding: str) -> None:
    codec, marked, dummy = encoding.partition(" with")
    text = "# \N{LATIN SMALL LETTER U WITH DIAERESIS}\r\nalpha==1.0\r\n"
    path = tmp_path / "lock"
    path.write_bytes((("\ufeff" if marked else "") + text).encode(codec))
    read = lockfile.read_file(str(path))
    assert read == text
    assert lockfile.parse(read, PYTHON) == [Pin("alpha", "1.0")]


def test_e22_a_lock_file_that_is_no_text_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lock").write_bytes(b"alpha==1.0 # \xfc\n")
    with pytest.raises(InputError, match="neither UTF-8 nor UTF-16"):
        lockfile.read_file(str(tmp_path / "lock"))
