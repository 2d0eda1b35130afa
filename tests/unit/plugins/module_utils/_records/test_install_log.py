# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of each installation: what people find in it, who may read it, and that it never stops anything."""

from __future__ import annotations

import pathlib
import stat
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records import install_log
from ansible_collections.intellistream.sage.plugins.module_utils._records.install_log import LOGS
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

SECRET = "https://alice:hunter2@index.example/simple"


@pytest.fixture
def engine(tmp_path: pathlib.Path) -> Engine:
    return Engine(str(tmp_path / "sage"), lock_timeout=5)


def _call(engine: Engine, *moves: dict[str, t.Any], said: t.Sequence[str] = (), **request: t.Any) -> dict[str, t.Any]:
    asked = CheckpointRequest(
        request.get("inputs"), request.get("resume", True), labels={}, transitions=t.cast("t.Any", moves), said=said
    )
    return {**checkpoint(engine, asked, check_mode=False)}


def _log(engine: Engine, install_id: str) -> pathlib.Path:
    return pathlib.Path(engine.path, LOGS, f"{install_id}.log")


def test_s59_what_happened_is_in_the_log_redacted_and_private(engine: Engine, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("before")
    capture = [{"kind": "files", "paths": [str(tmp_path / "file")]}]
    begun = _call(engine, {"phase": "python_deps", "status": "started", "capture": capture}, inputs={})
    failure = {"message": f"no answer of {SECRET}", "output": "line one\nline two"}
    _call(engine, {"phase": "python_deps", "status": "failed", "data": failure}, said=["numpy 2.1", f"from {SECRET}"])
    path = _log(engine, begun["install_id"])
    text = path.read_text()
    assert "hunter2" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    lines = text.splitlines()
    assert lines[0].endswith(" begun")
    assert any("python_deps: started" in line for line in lines)
    assert any("captured" in line and "before python_deps: 1 files, 6 bytes" in line for line in lines)
    # What an installer said comes before what was recorded then, each with the time of the record.
    at = next(number for number, line in enumerate(lines) if "the installer said:" in line)
    assert lines[at + 1 : at + 3] == ["    numpy 2.1", "    from https://index.example/simple"]
    assert lines[at + 3].endswith("python_deps: failed")
    assert lines[at + 4 :] == [
        "    message: no answer of https://index.example/simple",
        "    output: line one",
        "    line two",
    ]
    assert lines[at].startswith(begun["progress"]["start_time"][:11])


def test_s59_an_installation_that_was_given_up_has_that_in_its_own_log(engine: Engine) -> None:
    first = _call(engine, {"phase": "python_deps", "status": "started"}, inputs={})["install_id"]
    second = _call(engine, inputs={}, resume=False)["install_id"]
    assert first != second
    assert "status abandoned" in _log(engine, first).read_text()
    assert "begun" in _log(engine, second).read_text()
    assert "abandoned" not in _log(engine, second).read_text()


def test_s59_a_log_that_cannot_be_written_stops_nothing(engine: Engine, tmp_path: pathlib.Path) -> None:
    first = _call(engine, {"phase": "environment_setup", "status": "started"}, inputs={})["install_id"]
    path = _log(engine, first)
    (tmp_path / "elsewhere").write_text("theirs")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    result = _call(engine, {"phase": "environment_setup", "status": "completed"})
    assert result["phases"]["environment_setup"] == "completed"
    assert any("the log of the installation lacks" in line for line in result["repaired"])
    assert (tmp_path / "elsewhere").read_text() == "theirs"


def test_s59_a_log_has_an_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_log, "MOST", 1000)
    for number in range(4):
        status = "completed" if number % 2 else "started"
        result = _call(engine, {"phase": "environment_setup", "status": status}, said=["x" * 600])
    assert _log(engine, result["install_id"]).stat().st_size == 1000


def test_r37_each_capture_tells_its_files_size_and_time(engine: Engine, tmp_path: pathlib.Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name * 10)
    moves = [
        {"phase": phase, "status": "started", "capture": [{"kind": "files", "paths": [str(tmp_path / name)]}]}
        for phase, name in (("environment_setup", "a"), ("python_deps", "b"))
    ]
    first = _call(engine, moves[0], inputs={})
    assert [(point["phase"], point["files"], point["bytes"]) for point in first["captured"]] == [
        ("environment_setup", 1, 10)
    ]
    assert isinstance(first["captured"][0]["seconds"], float)
    second = _call(engine, moves[1])
    assert [point["phase"] for point in second["captured"]] == ["python_deps"]
    assert {name: second["captured_total"][name] for name in ("files", "bytes")} == {"files": 2, "bytes": 20}
    assert "captured" not in _call(engine, *[{"phase": name, "status": "completed"} for name in PHASES[:3]])
