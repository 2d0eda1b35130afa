# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wheels whose own RECORD is wrong (V5, K8): named, and a bar to nothing. And captures of what RECORD does not tell."""

from __future__ import annotations

import hashlib
import os
import pathlib
import typing as t
import zipfile

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NotVerified
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.modules import sage_check, sage_checkpoint, sage_rollback
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER, Bench
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.test_edited import Finished

# The hash of nothing, as RECORD spells it.
NOTHING = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"
DIRECTORIES = ("odd/,,", "odd/sub/,,0", f"odd/sub/,{NOTHING}", "odd/sub,,")


def publish(bench: Bench, version: str, rows: t.Sequence[str] = (), content: bytes = b"") -> None:
    """Put a wheel into the index.

    :param rows: that its RECORD has besides.
    :param content: of a file of which its RECORD has another hash.
    """
    modules = {"odd/__init__.py": f"VERSION = {version!r}\n", "odd/sub/data.txt": "data"}
    path = wheelhouse.make_wheel(bench.wheels, "odd", version, modules=modules)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["odd/sub/data.txt"] = content or members["odd/sub/data.txt"]
    members[f"odd-{version}.dist-info/RECORD"] += "".join(f"{row}\n" for row in rows).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def tree(venv: str) -> dict[str, bytes | str]:
    """Path → content or target of all but byte code."""
    content: dict[str, bytes | str] = {}
    for path in pathlib.Path(venv).rglob("*"):
        if path.is_symlink():
            content[str(path)] = os.readlink(path)
        elif path.is_file() and "__pycache__" not in path.parts:
            content[str(path)] = path.read_bytes()
    return content


def begin(bench: Bench, version: str) -> None:
    """Begin an installation, with a capture of what that version will replace."""
    captured = {"kind": "venv", "path": bench.venv, "distributions": [{"name": "odd", "version": version}]}
    transitions: list[dict[str, t.Any]] = [{"phase": phase, "status": "completed"} for phase in PHASES[:2]]
    transitions.append({"phase": PHASES[2], "status": "started", "capture": [captured]})
    root = str(bench.base / "root")
    bench.call(sage_checkpoint, root=root, lock_timeout=5, inputs={}, resume=False, transitions=transitions)


def roll_back(bench: Bench) -> dict[str, t.Any]:
    """Undo that installation."""
    return bench.call(sage_rollback, root=str(bench.base / "root"), lock_timeout=5, to="last")


CASES: dict[str, dict[str, t.Any]] = {
    "directories": {"rows": DIRECTORIES},
    "no such file": {"rows": ["odd/gone.py,,", f"odd/empty.py,{NOTHING}"]},
    "another content": {"content": b"more data"},
    "another content of the same size": {"content": b"DATA"},
}


@pytest.mark.parametrize("case", [*list(CASES)[-1:], *(pytest.param(name, marks=pytest.mark.slow) for name in CASES)])
def test_v5_a_wrong_record_bars_no_installation_and_no_rollback(bench: Bench, case: str) -> None:
    bench.make_venv()
    for version in ("1.0", "1.1"):
        publish(bench, version, **CASES[case])
    bench.install([{"name": "odd", "version": "1.0"}])
    before = tree(bench.venv)
    begin(bench, "1.1")
    installed = bench.install([{"name": "odd", "version": "1.1"}])
    assert [distribution["version"] for distribution in installed["replaced"]] == ["1.1"]
    # uv writes a RECORD of its own, in which only hashes are those of the archive.
    wrong = {pathlib.Path(path).name: digest for path, digest in installed["wrong_records"].items()}
    if "content" in CASES[case]:
        assert wrong == {"data.txt": hashlib.sha256(CASES[case]["content"]).hexdigest()}
        assert any("data.txt. It was published so: its RECORD is wrong." in text for text in bench.warnings)
    elif case == "no such file" and bench.tool == "pip":
        assert wrong == {"gone.py": "", "empty.py": ""}
    else:
        assert wrong == {}
    roll_back(bench)
    assert tree(bench.venv) == before


@EITHER
def test_k9_what_is_wrong_where_it_comes_from_is_named_and_verified(bench: Bench) -> None:
    """It differed whatever was done, and no rerun was ever verified."""
    finished = Finished(bench)
    publish(bench, "1.0", content=b"more data")
    finished.plan = [*finished.plan, {"name": "odd", "version": "1.0", "group": "third_party"}]
    plan = [{name: distribution[name] for name in ("name", "version")} for distribution in finished.plan]
    wrong = bench.install(plan)["wrong_records"]
    with pytest.raises(NotVerified, match=r"1 file of odd 1\.0 was edited"):
        finished.end()
    finished.end(wrong_records=wrong)
    assert [text for text in finished.warnings if "data.txt" in text and "RECORD" in text]
    # A rerun has nothing to do, the check finds nothing, and another verification knows.
    assert finished.reasons() == {}
    assert bench.call(sage_check, root=finished.root, lock_timeout=5)["findings"] == []
    finished.end()
    # It stays as it came: an edit of it is an edit.
    finished.file("odd/sub/data.txt").write_bytes(b"more DATA")
    assert "1 file of odd 1.0 was edited" in finished.reasons()[PHASES[2]]
    assert [finding["name"] for finding in bench.call(sage_check, root=finished.root, lock_timeout=5)["findings"]]
    with pytest.raises(NotVerified, match=r"1 file of odd 1\.0 was edited"):
        finished.end()


@EITHER
def test_v8_an_edit_that_hides_is_captured_as_it_is(bench: Bench) -> None:
    """Of the same size, with an old mtime: the capture had the hash of RECORD, and nothing went back to it."""
    bench.make_venv()
    for version in ("1.0", "1.1"):
        publish(bench, version)
    bench.install([{"name": "odd", "version": "1.0"}])
    [file] = pathlib.Path(bench.venv).glob("lib/python3*/site-packages/odd/sub/data.txt")
    file.unlink()
    file.write_bytes(b"DATA")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    before = tree(bench.venv)
    begin(bench, "1.1")
    bench.install([{"name": "odd", "version": "1.1"}])
    assert roll_back(bench)["exact"]
    assert tree(bench.venv) == before
