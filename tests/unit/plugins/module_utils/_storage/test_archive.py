# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives give back exactly what went in, and nothing else."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import compression
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StorageError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir, open_state
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive as storage_archive
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

ID, NAME = "20250101_000000", "20250101_000000.1"
Point = dict[str, t.Any]


@pytest.fixture(params=[compression.ZSTD, compression.GZIP])
def suffix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """With and without the program."""
    wanted = str(request.param)
    if wanted == compression.ZSTD and not shutil.which("zstd"):
        pytest.skip("there is no zstd")
    if wanted == compression.GZIP:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return wanted


@pytest.fixture
def state(tmp_path: Path) -> t.Iterator[PrivateDir]:
    opened = open_state(str(tmp_path / "root"), create=True)
    assert opened is not None
    with opened:
        yield opened


def _place(state: PrivateDir) -> Path:
    return Path(state.path, "store", ID, NAME)


def _made(state: PrivateDir) -> Path:
    with state.child("store", True) as store, store.child(ID, True) as installation, installation.child(NAME, True):
        return _place(state)


def _fill(place: Path) -> None:
    content = place / "0" / "lib" / "深い" / ("x" * 200)
    content.mkdir(parents=True)
    (content / "empty").touch()
    (content / "a file\nwith 'names'").write_bytes(os.urandom(100_000))
    (place / "0" / "lib" / os.fsdecode(b"not\xffutf8")).write_text("x" * 5_000_000)
    (place / "0" / "none").mkdir()
    (place / "0" / "script").write_text("#!/bin/sh\n")
    (place / "0" / "script").chmod(0o755)
    (place / "0.json").write_text("{}")
    (place / "0.items").write_text("- f\n")
    with contextlib.suppress(OSError):
        os.setxattr(place / "0" / "script", "user.sage", b"\0\xff=\n")
    for number, (directory, names, files) in enumerate(os.walk(place)):
        for name in [*names, *files]:
            os.utime(os.path.join(directory, name), ns=(1, 1_600_000_000_123_456_789 + number))
    os.utime(place / "0.json", ns=(0, -1_500_000_000))
    if os.geteuid() == 0:
        os.chown(place / "0" / "script", 1234, 4_000_000)
    (place / "0" / "none").chmod(0o500)


def _times(place: Path) -> dict[str, int]:
    return {str(path.relative_to(place)): path.lstat().st_mtime_ns for path in place.rglob("*")}


def _packed(state: PrivateDir) -> Point:
    point: Point = {"install_id": ID, "point": NAME}
    point["archive"] = storage_archive.pack(state, point)
    return point


def _names(state: PrivateDir) -> list[str]:
    return sorted(os.listdir(_place(state).parent))


def test_exactly_what_went_in(state: PrivateDir, suffix: str) -> None:
    place = _made(state)
    _fill(place)
    before, times = snapshot(place), _times(place)
    attributes = os.listxattr(place / "0" / "script")
    point = _packed(state)
    assert point["archive"]["name"] == NAME + suffix
    assert point["archive"]["bytes"] < 1_000_000
    assert _names(state) == [NAME, NAME + suffix]
    assert changes(before, snapshot(place)) == {}
    shutil.rmtree(place)
    with storage_archive.unpack(state, point) as directory:
        assert directory.path == str(place)
        assert directory.read("0.json") == b"{}"
    assert changes(before, snapshot(place)) == {}
    assert _times(place) == times
    assert os.listxattr(place / "0" / "script") == attributes
    for name in attributes:
        assert name != "user.sage" or os.getxattr(place / "0" / "script", name) == b"\0\xff=\n"
    assert storage_archive.intact(state, point)
    assert _names(state) == [NAME, NAME + suffix]


def test_another_tar_reads_it(state: PrivateDir, suffix: str, tmp_path: Path) -> None:
    place = _made(state)
    (place / "0.json").write_text("{}")
    (place / "0").mkdir()
    (place / "0" / "file").write_text("content")
    point = _packed(state)
    path = os.environ["PATH"] if suffix == compression.ZSTD else os.defpath
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(
        ["tar", "-xf", str(place) + suffix, "-C", str(there)], check=True, capture_output=True, env={"PATH": path}
    )
    there.chmod(0o700)
    assert changes(snapshot(place, times=False), snapshot(there, times=False)) == {}
    assert storage_archive.member(state, point, "0.json") == b"{}"
    with pytest.raises(StoreError, match="not in it"):
        storage_archive.member(state, point, "1.json")


def test_a_state_that_is_only_read_stays_as_it_is(state: PrivateDir, suffix: str, tmp_path: Path) -> None:
    place = _made(state)
    _fill(place)
    before = snapshot(place)
    point = _packed(state)
    shutil.rmtree(place)
    whole = snapshot(state.path)
    reading = open_state(str(tmp_path / "root"))
    assert reading is not None
    with reading, contextlib.ExitStack() as stack:
        there = Path(storage_archive.opened(reading, point, stack).path)
        assert not there.is_relative_to(state.path)
        found = snapshot(there)
    assert changes(before, found) == {}
    assert not there.exists()
    assert changes(whole, snapshot(state.path)) == {}
    with contextlib.ExitStack() as stack:
        assert storage_archive.opened(state, point, stack).path == str(place)
    assert changes(before, snapshot(place)) == {}
    with contextlib.ExitStack() as stack:
        assert storage_archive.opened(state, point, stack).path == str(place)
    shutil.rmtree(place)
    del point["archive"]
    with contextlib.ExitStack() as stack, pytest.raises(FileNotFoundError):
        storage_archive.opened(state, point, stack)


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "gone", "link", "another"])
def test_a_damaged_archive_is_refused(state: PrivateDir, suffix: str, damage: str, tmp_path: Path) -> None:
    place = _made(state)
    _fill(place)
    point = _packed(state)
    shutil.rmtree(place)
    archive = Path(str(place) + suffix)
    content = archive.read_bytes()
    if damage == "flip":
        archive.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    elif damage == "cut":
        archive.write_bytes(content[:-10])
    elif damage == "grow":
        archive.write_bytes(content + b"\0")
    elif damage in ("gone", "link"):
        archive.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        archive.symlink_to(tmp_path / "elsewhere")
    if damage == "another":
        point["archive"]["name"] = f"../{ID}/{NAME}{suffix}"
    before = snapshot(state.path)
    with pytest.raises((StoreError, StorageError) if damage != "link" else Exception, match=r"cannot be used|symbolic"):
        storage_archive.unpack(state, point)
    assert changes(before, snapshot(state.path)) == {}
    assert not storage_archive.intact(state, point)


def _forged(state: PrivateDir, *members: tuple[tarfile.TarInfo, bytes], packed: bool = True) -> Point:
    """An archive that the ledger vouches for, by whoever could write both."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = gzip.compress(stream.getvalue()) if packed else stream.getvalue()
    _made(state).rmdir()
    archive = Path(f"{_place(state)}.tar.gz")
    archive.write_bytes(data)
    record = {"name": archive.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return {"install_id": ID, "point": NAME, "archive": record}


def _member(name: str, **values: t.Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = {"SAGE.mtime_ns": "1"}
    for key, value in values.items():
        setattr(info, key, value)
    return info


def test_a_forged_archive_of_the_right_form_is_read(state: PrivateDir) -> None:
    point = _forged(state, (_member("0", type=tarfile.DIRTYPE, mode=0o755), b""), (_member("0/a"), b"x"))
    with storage_archive.unpack(state, point) as directory:
        assert Path(directory.path, "0", "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    "info",
    [
        _member("../outside"),
        _member("0/../../outside"),
        _member("/outside"),
        _member("0/./a"),
        _member("0//a"),
        _member("missing/a"),
        _member("0/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        _member("0/link", type=tarfile.LNKTYPE, linkname="0/a"),
        _member("0/dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        _member("0/dev", type=tarfile.BLKTYPE),
        _member("0/fifo", type=tarfile.FIFOTYPE),
        _member("0/sparse", type=tarfile.GNUTYPE_SPARSE),
        _member("0/odd", type=tarfile.CONTTYPE),
        _member("0/suid", mode=0o4755),
        _member("0/sgid", mode=0o2755),
        _member("0", type=tarfile.DIRTYPE),
        _member("0/first"),
        _member("0/first/a"),
        _member("0/foreign", pax_headers={}),
        _member("0/foreign", pax_headers={"SAGE.mtime_ns": "1.5"}),
        _member("0/foreign", pax_headers={"SAGE.mtime_ns": "1", "SAGE.xattrs": "[1]"}),
        _member("0/foreign", pax_headers={"SAGE.mtime_ns": "1", "SAGE.xattrs": '{"user.a": "zz"}'}),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}-{info.mode:o}",
)
def test_other_members_are_refused(state: PrivateDir, info: tarfile.TarInfo) -> None:
    sound = [(_member("0", type=tarfile.DIRTYPE, mode=0o755), b""), (_member("0/first"), b"x")]
    point = _forged(state, *sound, (info, b""))
    before = snapshot(state.path)
    with pytest.raises(StoreError, match="cannot be used"):
        storage_archive.unpack(state, point)
    assert changes(before, snapshot(state.path)) == {}


def test_what_is_no_archive_is_refused(state: PrivateDir) -> None:
    point = _forged(state, (_member("a"), b"x"), packed=False)
    with pytest.raises(StoreError, match="damaged"):
        storage_archive.unpack(state, point)
    assert _names(state) == [f"{NAME}.tar.gz"]


@pytest.mark.skipif(not shutil.which("zstd"), reason="there is no zstd")
def test_a_missing_program_is_named(state: PrivateDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = _made(state)
    (place / "0.json").write_text("{}")
    point = _packed(state)
    shutil.rmtree(place)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="needs the program zstd"):
        storage_archive.unpack(state, point)
    assert _names(state) == [f"{NAME}.tar.zst"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("how", [compression.ZSTD, compression.GZIP])
def test_a_full_disk_leaves_what_was_there(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(root)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        opened = open_state(str(root), create=True)
        assert opened is not None
        with opened as state:
            place = _made(state)
            (place / "0").mkdir()
            (place / "0" / "noise").write_bytes(os.urandom(2_000_000))
            before = snapshot(state.path)
            with monkeypatch.context() as patch:
                if how == compression.GZIP:
                    patch.setenv("PATH", str(tmp_path))
                with pytest.raises(StorageError):
                    storage_archive.pack(state, {"install_id": ID, "point": NAME})
            assert changes(before, snapshot(state.path)) == {}
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_another_thing_than_files_is_not_packed(state: PrivateDir, suffix: str) -> None:
    place = _made(state)
    (place / "0").mkdir()
    (place / "0" / "link").symlink_to("/etc")
    with pytest.raises(Exception, match="symbolic link"):
        storage_archive.pack(state, {"install_id": ID, "point": NAME})
    assert _names(state) == [NAME]
