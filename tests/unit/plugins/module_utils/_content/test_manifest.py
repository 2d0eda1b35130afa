# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of what was captured: every name and value comes back, here and in a POSIX shell."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._content import manifest
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    ABSENT,
    DIRECTORY,
    FILE,
    LINK,
    Item,
)
from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Items, Writer
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

if TYPE_CHECKING:
    from pathlib import Path

SHA = "ab" * 32
NAMES = st.binary(min_size=1, max_size=20).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
TIMES = st.integers(-(10**18), 10**18)
XATTRS = st.dictionaries(NAMES.map("user.{}".format), st.binary().map(bytes.hex), max_size=3)
ITEMS = st.one_of(
    st.tuples(
        st.just(FILE), st.just(SHA), st.integers(0, 1 << 40), TIMES, st.integers(0, 0o7777), st.just(1), st.just(2)
    ),
    st.tuples(st.just(FILE), st.just(SHA), st.just(1), TIMES, st.just(0o644), st.just(1), st.just(2), st.just(True)),
    st.tuples(
        st.just(FILE), st.just(SHA), st.just(1), TIMES, st.just(0o644), st.just(1), st.just(2), st.just(False), XATTRS
    ),
    st.tuples(st.just(LINK), NAMES, st.just(0), TIMES, st.just(0o777)),
    st.tuples(
        st.just(DIRECTORY),
        st.just(""),
        st.just(0),
        TIMES,
        st.just(0o2755),
        st.just(1),
        st.just(2),
        st.just(False),
        XATTRS,
    ),
    st.tuples(st.just(ABSENT)),
).map(lambda values: Item(*values))


def point(path: Path) -> PrivateDir:
    """A directory of a rollback point."""
    path.mkdir(mode=0o700)
    return PrivateDir(str(path), os.open(path, os.O_RDONLY))


@settings(deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.lists(st.tuples(NAMES, ITEMS), max_size=5)), max_size=4),
    st.sampled_from([2, 10, 100, 1 << 18]),
)
def test_everything_comes_back(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[str, list[tuple[str, Item]]]], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, point(tmp_path_factory.mktemp("store") / "point") as where:
        # What is read at once may end anywhere in a line.
        patch.setattr(manifest, "_BLOCK", block)
        with contextlib.closing(Writer(where, "0.items")) as writer:
            for name, items in wanted:
                writer.section(name, "1.0", "info")
                for path, item in items:
                    writer.add(path, item)
            digest = writer.finish()
        with Items(where, "0.items", digest) as read:
            assert [(one.name, list(read.read(one))) for one in read.sections] == wanted
            assert [list(read.paths(one)) for one in read.sections] == [
                [path for path, dummy in items] for dummy, items in wanted
            ]


def test_a_shell_reads_the_same_names(tmp_path: Path) -> None:
    names = [
        "plain",
        "two words",
        "tab\tnew\nline",
        "back\\slash",
        "-",
        ".",
        "$(touch x)'\"",
        "é",
        os.fsdecode(b"\xff"),
    ]
    with point(tmp_path / "point") as where, contextlib.closing(Writer(where, "0.items")) as writer:
        writer.section()
        for name in names:
            writer.add(name, Item(FILE, SHA))
        writer.finish()
    script = (
        'while read -r kind a b c d e f g h path; do [ "$kind" = @ ] || printf \'%b\\0\' "$path"; done < point/0.items'
    )
    out = subprocess.run(["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
    assert [os.fsdecode(name) for name in out.split(b"\0")[:-1]] == names


@pytest.mark.parametrize("change", [b"", b"x", None])
def test_a_changed_list_is_refused(tmp_path: Path, change: bytes | None) -> None:
    with point(tmp_path / "point") as where:
        with contextlib.closing(Writer(where, "0.items")) as writer:
            writer.section("name")
            digest = writer.finish()
        if change is None:
            (tmp_path / "point/0.items").unlink()
        else:
            (tmp_path / "point/0.items").write_bytes(change)
        with pytest.raises(StoreError):
            Items(where, "0.items", digest)
