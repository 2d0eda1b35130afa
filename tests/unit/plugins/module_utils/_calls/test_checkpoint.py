# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call: judged, begun, moved, captured and recorded, all of it or nothing."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    reset,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import (
    RollbackRequest,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition

INPUTS: dict[str, dict[str, t.Any]] = {"python_deps": {"version": "1"}}


@pytest.fixture
def engine(tmp_path: pathlib.Path) -> Engine:
    return Engine(str(tmp_path / "sage"), lock_timeout=5)


def _call(
    engine: Engine,
    *transitions: tuple[str, str] | Transition | dict[str, t.Any],
    inputs: dict[str, dict[str, t.Any]] | None = None,
    labels: dict[str, str] | None = None,
    resume: bool = True,
    check_mode: bool = False,
) -> dict[str, t.Any]:
    moves = [
        t.cast("Transition", {"phase": move[0], "status": move[1]} if isinstance(move, tuple) else move)
        for move in transitions
    ]
    return {**checkpoint(engine, CheckpointRequest(inputs, resume, labels or {}, moves), check_mode)}


def _finish(engine: Engine, inputs: dict[str, dict[str, t.Any]] | None = None) -> dict[str, t.Any]:
    if inputs is None or _call(engine, inputs=inputs)["resume"]["phase"]:
        verified(engine)
    return _call(engine, *[(name, "completed") for name in PHASES], inputs=inputs)


def _state(engine: Engine) -> dict[str, bytes]:
    root = pathlib.Path(engine.root)
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_first_call_begins(engine: Engine) -> None:
    result = _call(engine, ("environment_setup", "started"), inputs=INPUTS, labels={"install_mode": "dev"})
    assert result["changed"]
    assert result["resume"]["state"] == "none"
    assert result["progress"]["install_mode"] == "dev"
    assert result["phases"]["environment_setup"] == "started"
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["install_id"] == result["install_id"]


def test_check_mode_tells_the_same_and_writes_nothing(engine: Engine) -> None:
    said = _call(engine, ("environment_setup", "started"), inputs=INPUTS, check_mode=True)
    assert not os.path.exists(engine.root)
    done = _call(engine, ("environment_setup", "started"), inputs=INPUTS)
    for name in ("changed", "phases", "resume"):
        assert said[name] == done[name]
    before = _state(engine)
    again = _call(engine, ("environment_setup", "started"), inputs=INPUTS, check_mode=True)
    assert not again["changed"]
    assert _state(engine) == before


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", None])
def test_check_mode_foresees_that_the_progress_file_will_be_mended(engine: Engine, damage: bytes | None) -> None:
    _finish(engine, INPUTS)
    path = pathlib.Path(engine.path, "install_progress.json")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    said = _call(engine, inputs=INPUTS, check_mode=True)
    done = _call(engine, inputs=INPUTS)
    assert (said["changed"], said["repaired"]) == (done["changed"], done["repaired"]) == (True, done["repaired"])
    assert not _call(engine, inputs=INPUTS)["changed"]


def test_a_finished_one_is_left_alone(engine: Engine) -> None:
    first = _finish(engine, INPUTS)
    before = _state(engine)
    again = _finish(engine, INPUTS)
    assert not again["changed"]
    assert again["resume"]["state"] == "finished"
    assert again["install_id"] == first["install_id"]
    assert _state(engine) == before


def test_an_unfinished_one_is_continued(engine: Engine) -> None:
    first = _call(engine, ("environment_setup", "completed"), ("submodule_sync", "failed"), inputs=INPUTS)
    again = _call(engine, ("environment_setup", "started"), ("submodule_sync", "started"), inputs=INPUTS)
    assert again["install_id"] == first["install_id"]
    assert again["resume"]["phase"] == "submodule_sync"
    # What need not run again was passed over.
    assert again["phases"]["environment_setup"] == "completed"
    assert again["phases"]["submodule_sync"] == "started"


def test_changed_inputs_begin_a_new_one_that_takes_over_what_holds(engine: Engine) -> None:
    first = _finish(engine, INPUTS)
    second = _call(engine, inputs={"python_deps": {"version": "2"}})
    assert second["install_id"] > first["install_id"]
    assert second["resume"]["phase"] == "python_deps"
    assert list(second["phases"].values()) == ["completed"] * 2 + ["pending"] * 4
    again = _call(engine, inputs={"python_deps": {"version": "2"}})
    assert not again["changed"]
    assert again["resume"]["phase"] == "python_deps"


def test_without_resume_everything_begins_anew(engine: Engine) -> None:
    first = _finish(engine, INPUTS)
    second = _call(engine, inputs=INPUTS, resume=False)
    assert second["install_id"] > first["install_id"]
    assert set(second["phases"].values()) == {"pending"}


def test_another_system_begins_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _finish(engine, INPUTS)
    facts = {**host.facts(), "os_version": "99"}
    monkeypatch.setattr(host, "facts", lambda: facts)
    second = _call(engine, inputs=INPUTS)
    assert second["install_id"] > first["install_id"]
    assert second["resume"]["state"] == "outdated"
    assert second["phases"]["environment_setup"] == "pending"


def test_after_an_undo_the_one_before_counts(engine: Engine) -> None:
    _finish(engine, INPUTS)
    _finish(engine, {"python_deps": {"version": "2"}})
    with engine.session() as session:
        session.add({"event": "undone", "outcome": "exact", "points": [], "phases": [], "status": "rolled_back"})
        session.commit()
    assert _call(engine, inputs=INPUTS, check_mode=True)["resume"]["state"] == "finished"
    verdict = _call(engine, inputs={"python_deps": {"version": "2"}})["resume"]
    assert (verdict["state"], verdict["phase"]) == ("outdated", "python_deps")


def test_a_result_that_no_longer_holds(engine: Engine, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    spec = {"kind": "files", "paths": [str(path)]}
    moves: list[dict[str, t.Any]] = [{"phase": name, "status": "completed"} for name in PHASES]
    moves[3]["result"] = [spec]
    _call(engine, inputs=INPUTS)
    verified(engine)
    _call(engine, *moves)
    path.write_text("longer content")
    verdict = _call(engine, inputs=INPUTS)["resume"]
    assert (verdict["state"], verdict["phase"]) == ("outdated", "sage_packages")


def test_a_capture_comes_with_its_transition(engine: Engine, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    move = {"phase": "python_deps", "status": "started", "capture": [{"kind": "files", "paths": [str(path)]}]}
    said = _call(engine, move, check_mode=True)
    assert said["changed"]
    done = _call(engine, move)
    assert done["rollback_points"] == [f"{done['install_id']}.1"]
    assert done["progress"]["can_rollback"]
    assert pathlib.Path(engine.path, "ledger.jsonl").read_bytes().count(b"\n") == 1


def test_a_capture_that_fails_leaves_nothing(engine: Engine, tmp_path: pathlib.Path) -> None:
    _call(engine, ("environment_setup", "started"))
    before = _state(engine)
    deepest = tmp_path / "deep"
    deepest.mkdir()
    here = os.open(deepest, os.O_RDONLY)
    for _level in range(500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(CaptureError, match="more than 400 directories"):
        _call(
            engine,
            ("environment_setup", "completed"),
            {
                "phase": "python_deps",
                "status": "started",
                "capture": [{"kind": "files", "paths": [str(deepest)]}],
            },
        )
    assert _state(engine) == before


@pytest.mark.parametrize(
    "text",
    [
        "安装失败",
        "it's \"quoted\"\nand 'more'\r\n\ttabs \\ ",
        "$(touch /tmp/never) `id` ; rm -rf / && {{ lookup('pipe', 'id') }} {% raw %}",
        "\udcff\udc80 \ud800 \x00 \x1b[31m \u2028",
        "x@=" * 100_000,
        "",
    ],
    ids=["chinese", "quotes", "code", "junk", "long", "empty"],
)
def test_any_text_survives_as_it_is(engine: Engine, text: str) -> None:
    data = {"text": text, "list": [text, None, 1.5, True], text[:100] or "key": 1}
    moves: list[dict[str, t.Any]] = [
        {"phase": "environment_setup", "status": "completed", "data": text},
        {"phase": "python_deps", "status": "failed", "data": data},
    ]
    labels = {"install_mode": text, "environment_name": text, "python_path": text}
    result = _call(engine, *moves, inputs={"cleanup": {"text": text}}, labels=labels)
    assert result["data"] == {"environment_setup": text, "python_deps": data}
    with engine.reading() as session:
        assert session.installation is not None
        assert session.installation.phases["environment_setup"].data == text
        assert session.installation.phases["python_deps"].data == data
        assert session.installation.inputs == {"cleanup": {"text": text}}
        assert session.installation.labels == labels
    progress = json.loads(pathlib.Path(engine.path, "install_progress.json").read_bytes())
    assert {name: progress[name] for name in labels} == labels
    assert not _call(engine, *moves[1:], labels=labels)["changed"]


def test_credentials_are_nowhere_in_the_state(engine: Engine) -> None:
    url = "https://alice:hunter2@index.example/simple"
    result = _call(
        engine,
        {"phase": "environment_setup", "status": "failed", "data": f"could not fetch {url}?token=hunter2"},
        {"phase": "python_deps", "status": "failed", "data": {"url": url, "password": "hunter2", "deep": [{"u": url}]}},
        inputs={"python_deps": {"index_url": url, "api_token": "hunter2"}},
        labels={"environment_name": url},
    )
    assert b"hunter2" not in b"".join(_state(engine).values())
    assert "hunter2" not in str(result)
    # And they are not taken for a change the next time.
    with engine.reading() as session:
        assert session.installation is not None
        assert session.installation.inputs["python_deps"]["index_url"] == "https://index.example/simple"


def test_reset(engine: Engine) -> None:
    assert not reset(engine, False)["changed"]
    _finish(engine, INPUTS)
    assert reset(engine, True)["changed"]
    assert engine.exists()
    assert reset(engine, False)["changed"]
    assert not reset(engine, False)["changed"]


def test_recover_begins_nothing_after_a_killed_phase(engine: Engine, tmp_path: pathlib.Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("before")
    begin = {
        "phase": "python_deps",
        "status": "started",
        "capture": [{"kind": "files", "paths": [str(precious)]}],
    }
    _call(engine, ("environment_setup", "completed"), ("submodule_sync", "skipped"), begin, inputs=INPUTS)
    precious.write_text("half changed when it was killed")

    request = CheckpointRequest(INPUTS, True, {}, [], recover=True)
    state = _state(engine)
    for check_mode in (True, False):
        result = checkpoint(engine, request, check_mode)
        assert (result["changed"], result["recover"], result["resume"]) == (False, {"to": "python_deps"}, None)
        assert _state(engine) == state
    assert precious.read_text() == "half changed when it was killed"

    assert result["recover"] is not None
    assert rollback(engine, RollbackRequest(**result["recover"]), False)["exact"]
    assert precious.read_text() == "before"
    result = checkpoint(engine, request, False)
    assert result["resume"] is not None
    assert (result["recover"], result["resume"]["phase"]) == (None, "python_deps")


def test_recover_finishes_a_rollback_that_was_killed(engine: Engine, tmp_path: pathlib.Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("before")
    backup(engine, [{"kind": "files", "paths": [str(precious)]}], None, "", False)
    precious.write_text("after")
    request = CheckpointRequest(None, True, {}, [], recover=True)
    assert checkpoint(engine, request, False)["recover"] is None
    with engine.session() as session:
        [point] = session.history()[0].active_points
        session.add(
            recorded(
                {"event": "undoing", "installations": [point["install_id"]], "points": [point["point"]], "phases": []}
            )
        )
        session.commit()
    assert checkpoint(engine, request, False)["recover"] == {"to": "unfinished"}
    rollback(engine, RollbackRequest("unfinished"), False)
    assert precious.read_text() == "before"
    assert checkpoint(engine, request, False)["recover"] is None


def test_recover_leaves_ended_phases_alone(engine: Engine, tmp_path: pathlib.Path) -> None:
    precious = tmp_path / "precious"
    capture = [{"kind": "files", "paths": [str(precious)]}]
    _call(engine, {"phase": "environment_setup", "status": "started", "capture": capture}, inputs=INPUTS)
    precious.write_text("made")
    _call(engine, ("environment_setup", "completed"), ("submodule_sync", "skipped"), ("python_deps", "started"))
    assert checkpoint(engine, CheckpointRequest(INPUTS, True, {}, [], recover=True), False)["recover"] is None
    assert precious.read_text() == "made"
