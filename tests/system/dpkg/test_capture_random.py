# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any package, changed in any way: from its capture all of it can be put back, with dpkg and cp."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import DIRECTORY, FILE, LINK
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Hard, Item, Link
from ansible_collections.intellistream.sage.tests.system.debs import build
from ansible_collections.intellistream.sage.tests.system.dpkg.capturing import Captured, reinstall, removal

if TYPE_CHECKING:
    from collections.abc import Callable

# With SAGE_TEST_EXAMPLES=<number> as many random packages, other ones each time.
MORE = int(os.environ.get("SAGE_TEST_EXAMPLES", "0"))
FILES = [f"/opt/any/{name}" for name in ("a", "b c", "d/e", "d/f", "d/g/h", "ü")]
CONFFILES = [f"/etc/any/{name}" for name in ("1", "2", "sub/3")]
PATHS = [*FILES, *CONFFILES, "/opt/any/link", "/opt/any/hard", "/opt/any/dir", "/opt/any/d", "/etc/any/sub"]

modes = st.sampled_from([0o644, 0o600, 0o4755, 0o2710, 0o1777, 0o444])
packages = st.fixed_dictionaries(
    {path: st.builds(File, st.binary(max_size=2000), modes, st.integers(0, 3), st.integers(0, 70000)) for path in FILES}
)
confs = st.lists(st.sampled_from(CONFFILES), unique=True)
actions = st.sampled_from(
    ["write", "delete", "mode", "owner", "link", "dangling", "directory", "time", "attribute", "beside"]
)
edits = st.lists(st.tuples(st.sampled_from(PATHS), actions), max_size=8)


def edit(path: str, action: str) -> None:
    """Change something as an admin might."""
    place = pathlib.Path(path)
    there = os.path.lexists(path) and not place.is_symlink()
    make: dict[str, Callable[[], object]] = {
        "write": lambda: place.write_text(f"changed {path}"),
        "delete": lambda: None,
        "link": lambda: place.symlink_to("/etc/debian_version"),
        "dangling": lambda: place.symlink_to("nowhere"),
        "directory": lambda: place.mkdir(0o751),
    }
    change: dict[str, Callable[[], object]] = {
        "mode": lambda: place.chmod(0o2750),
        "owner": lambda: os.chown(path, 12, 13),
        "time": lambda: os.utime(path, ns=(1, 1_600_000_000_000_000_007)),
        "attribute": lambda: os.setxattr(path, "user.any", b"thing"),
    }
    if not place.parent.is_dir():
        return
    if action == "beside":
        pathlib.Path(f"{path}.dpkg-dist").write_text("beside")
    elif action in make:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        make[action]()
    elif there:
        change[action]()


def put_back(captured: Captured) -> None:
    """What dpkg cannot, as the facts tell it."""
    facts = captured.facts["packages"]["any:all"]
    for path in facts["missing"]:
        assert not os.path.lexists(path), path
    for path in facts["extra"]:
        item = captured.items["any:all"][f"extra/any:all{path}"]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        pathlib.Path(path).parent.mkdir(exist_ok=True)
        if item.kind == FILE:
            shutil.copyfile(f"{captured.content}/extra/any:all{path}", path)
        elif item.kind == LINK:
            os.symlink(item.value, path)
        else:
            assert item.kind == DIRECTORY
            os.mkdir(path)
        os.lchown(path, item.uid, item.gid)
        if item.kind != LINK:
            os.chmod(path, item.mode)
            for name, value in item.xattrs.items():
                os.setxattr(path, name, bytes.fromhex(value))
    for path, attributes in facts["xattrs"].items():
        for name, value in attributes.items():
            os.setxattr(path, name, bytes.fromhex(value))
    for path, when in facts["times"].items():
        os.utime(path, ns=(when, when), follow_symlinks=False)


def look() -> oracle.Snapshot:
    """All there is of the package, quicker than a look at everything."""
    found = {**oracle.files("/opt"), **oracle.files("/etc")}
    for about in pathlib.Path("/var/lib/dpkg/info").glob("any.*"):
        found[str(about)] = about.read_text(errors="surrogateescape")
    # Those are put back by whoever rewrites dpkg's record.
    found["status"] = re.sub(r"^Conffiles:\n(?: .*\n)+", "", run("dpkg-query", "-s", "any").stdout, flags=re.MULTILINE)
    for top in ("/opt/any", "/etc/any"):
        for directory, dummy, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                found[f"time {path}"] = str(os.lstat(path).st_mtime_ns)
    return found


# Not made smaller: every example takes seconds.
@settings(
    max_examples=MORE or 10,
    derandomize=not MORE,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(packages, confs, edits)
def test_any_package_comes_back(content: dict[str, File], conffiles: list[str], edited: list[tuple[str, str]]) -> None:
    items: dict[str, Item] = {**content, **{path: f"{path}\n" for path in conffiles}}
    items.update(
        {"/opt/any/link": Link("a"), "/opt/any/hard": Hard("/opt/any/a"), "/opt/any/dir": Directory(0o1777, 1)}
    )
    with tempfile.TemporaryDirectory() as work:
        where = pathlib.Path(work)
        try:
            run("dpkg", "--install", build(where, "any", files=items, conffiles=sorted(conffiles)))
            for path, action in edited:
                edit(path, action)
            before = look()
            if "/etc/any/sub/3" in conffiles and os.path.lexists("/etc/any/sub") and not os.path.isdir("/etc/any/sub"):
                # dpkg itself cannot go on from here.
                with pytest.raises(CaptureError, match="/etc/any/sub/3 cannot be captured"):
                    removal(where / "root", "any")
                assert oracle.diff(before, look()) == []
                return
            captured = removal(where / "root", "any")
            assert oracle.diff(before, look()) == []
            # dpkg would give up where there is a file in place of a directory.
            for top in ("/opt/any", "/etc/any"):
                shutil.rmtree(top, ignore_errors=True)
            run("dpkg", "--purge", "any")
            reinstall(captured.deb("any:all"))
            put_back(captured)
            after = look()
            # Times of copies are those of copying, here.
            copied = {f"time {path}" for path in captured.facts["packages"]["any:all"]["extra"]}
            differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - copied
            # What lies beside anything but configuration is not the package's.
            assert {name for name in differing if not name.endswith(".dpkg-dist")} == set()
        finally:
            run("dpkg", "--purge", "any", ok=False)
            for top in ("/opt/any", "/etc/any"):
                shutil.rmtree(top, ignore_errors=True)
