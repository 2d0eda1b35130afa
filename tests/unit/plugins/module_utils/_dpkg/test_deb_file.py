# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Package files: what is written is read back, by dpkg-deb and tar too; whatever is damaged is noticed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.deb_file import (
    DIRECTORY,
    FILE,
    HARD,
    LINK,
    BadArchive,
    Deb,
    DebWriter,
    Entry,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.parallel_gzip import Gzip

if TYPE_CHECKING:
    import pathlib

CONTROL = {
    "control": (0o644, b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: X <x@localhost>\nDescription: x\n"),
    "md5sums": (0o644, b"0" * 32 + b"  usr/x\n"),
    "postinst": (0o755, b"#!/bin/sh\n"),
}


def noise(size: int, seed: str) -> bytes:
    """Bytes that cannot be compressed, the same in every run."""
    return hashlib.shake_128(seed.encode()).digest(size)


def write(path: pathlib.Path, content: dict[Entry, bytes], control: dict[str, tuple[int, bytes]]) -> list[Entry]:
    with (
        path.open("wb") as target,
        DebWriter(target.fileno(), {n: (m, bytes(len(c))) for n, (m, c) in control.items()}) as deb,
    ):
        entries = [deb.add(entry, [data[:3], data[3:]] if data else []) for entry, data in content.items()]
        deb.finish(control)
    return entries


def read(path: pathlib.Path) -> tuple[dict[str, bytes], list[Entry], str, int]:
    with path.open("rb") as source:
        deb = Deb(source.fileno())
        entries = list(deb.entries())
        return deb.control, entries, deb.sha256, deb.size


def example() -> dict[Entry, bytes]:
    rest = (0o644, 0, 0, 1_700_000_000)
    big = noise(100_000, "big")
    return {
        Entry("/.", DIRECTORY, "", 0, 0o555, 0, 0, 0): b"",
        Entry("/usr", DIRECTORY, "", 0, 0o755, 0, 0, 5): b"",
        Entry("/usr/x", FILE, "", 5, *rest): b"hello",
        Entry("/usr/y", HARD, "/usr/x", 0, *rest): b"",
        Entry("/usr/link", LINK, "../" + "l" * 300, 0, 0o777, 0, 0, 1): b"",
        Entry("/usr/" + "n" * 250, FILE, "", len(big), 0o6755, 3_000_000, 4_000_000, 2**33): big,
        Entry("/usr/" + "h" * 200, HARD, "/usr/" + "n" * 250, 0, 0o6755, 3_000_000, 4_000_000, 2**33): b"",
    }


def test_what_is_written_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.deb"
    entries = write(path, example(), CONTROL)
    assert read(path) == (
        {name: data for name, (dummy, data) in CONTROL.items()},
        entries,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        path.stat().st_size,
    )
    assert [entry._replace(value="") for entry in entries if entry.kind == FILE] == [
        entry for entry in example() if entry.kind == FILE
    ]
    assert entries[2].value == "5d41402abc4b2a76b9719d911017c592"


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not here")
def test_dpkg_deb_and_tar_read_the_same(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.deb"
    entries = write(path, example(), CONTROL)
    said = subprocess.run(["dpkg-deb", "--info", path, "postinst"], capture_output=True, check=True)
    assert said.stdout == CONTROL["postinst"][1]
    said = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(said.stdout)) as tar:
        members = tar.getmembers()
    assert [f"/{one.name[2:] or '.'}" for one in members] == [entry.path for entry in entries]
    assert [(one.mode, one.uid, one.gid, one.mtime) for one in members] == [entry[4:] for entry in entries]
    assert members[4].linkname == "../" + "l" * 300
    assert members[6].linkname == "./usr/" + "n" * 250


names = st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=130)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        names.filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) < 250),
        st.tuples(st.binary(max_size=2000), st.integers(0, 0o7777), st.integers(0, 2**32 - 2), st.integers(0, 2**34)),
        max_size=5,
    ),
    st.dictionaries(st.sampled_from(["preinst", "triggers", "md5sums"]), st.binary(max_size=1500)),
)
def test_whatever_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, tuple[bytes, int, int, int]],
    control: dict[str, bytes],
) -> None:
    path = tmp_path_factory.mktemp("deb") / "x.deb"
    content = {
        Entry(f"/{name}", FILE, "", len(data), mode, user, user, when): data
        for name, (data, mode, user, when) in files.items()
    }
    entries = write(path, content, {name: (0o644, data) for name, data in control.items()})
    assert read(path)[:2] == (control, entries)
    assert [entry.path for entry in entries] == [f"/{name}" for name in files]


@pytest.mark.slow
def test_every_damage_is_noticed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.deb"
    write(path, example(), CONTROL)
    good, sound = read(path), path.read_bytes()
    some = [int.from_bytes(noise(4, str(number)), "big") % len(sound) for number in range(300)]
    places = [*range(400), *some, *range(len(sound) - 60, len(sound))]
    unnoticed = []
    for place in places:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = read(path)
        except BadArchive:
            continue
        # Nothing of what is in it is told wrongly; the whole file's hash tells the rest.
        assert found[:2] == good[:2]
        assert found[2] != good[2]
        unnoticed.append(place)
    # Times and owners in ar's headers, a gzip stream's unused header.
    assert len(unnoticed) < 200
    for size in (0, 7, 8, 60, 100, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:size])
        with pytest.raises(BadArchive):
            read(path)
    path.write_bytes(sound + b"\n")
    with pytest.raises(BadArchive, match="follows its end"):
        read(path)


def test_a_size_that_is_not_kept(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.deb"
    entry = Entry("/x", FILE, "", 5, 0o644, 0, 0, 0)
    for data in (b"1234", b"123456"):
        with pytest.raises(BadArchive, match=f"/x has {len(data)} bytes, not 5"):
            write(path, {entry: data}, CONTROL)
    with (
        path.open("wb") as target,
        DebWriter(target.fileno(), CONTROL) as deb,
        pytest.raises(BadArchive, match="another size"),
    ):
        deb.finish({**CONTROL, "control": (0o644, bytes(3000))})


@pytest.mark.parametrize("size", [0, 1, (1 << 19) - 1, 1 << 19, (1 << 19) + 1, 7_000_003])
def test_the_stream_is_ordinary_gzip(size: int) -> None:
    data = bytes(97 + byte % 8 for byte in noise(min(size, 100_000), "text"))
    data = (data * (size // max(len(data), 1) + 1))[:size]
    out: list[bytes] = []
    with Gzip(out.append) as packer:
        at = 0
        while at < size:
            step = 1 + (at * 7919 + 12_345) % 900_000
            packer.add(data[at : at + step])
            at += step
        packer.finish()
    packed = b"".join(out)
    assert gzip.decompress(packed) == data
    done = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (data, b"")
    if size > 1_000_000:
        # Each piece knows what was before it.
        assert len(packed) < size * 0.62
