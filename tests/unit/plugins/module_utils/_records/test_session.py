# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions: all of a call or nothing, replayed from any point, mended when damaged."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    LedgerBroken,
    StateError,
    StorageError,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import MARK
from ansible_collections.intellistream.sage.plugins.module_utils._records import progress as records_progress
from ansible_collections.intellistream.sage.plugins.module_utils._records import session as records_session
from ansible_collections.intellistream.sage.plugins.module_utils._records.install_log import LOGS
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    STATUSES,
    fold,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import KEYS
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import NAME as PROGRESS
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RecordedInstallation

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOBODY = 65534


@pytest.fixture
def engine(tmp_path: pathlib.Path) -> Engine:
    return Engine(str(tmp_path / "sage"), lock_timeout=5)


def _file(engine: Engine, name: str) -> pathlib.Path:
    return pathlib.Path(engine.path, name)


def _move(engine: Engine, phase: str, status: str, data: t.Any = None) -> list[str]:
    with engine.session() as session:
        session.move(phase, status, data)
        session.commit()
        return session.repaired


def _now(engine: Engine) -> dict[str, t.Any]:
    with engine.reading() as session:
        return {**session.installation.as_dict()} if session.installation is not None else {}


def _contents(engine: Engine) -> dict[str, bytes]:
    top = pathlib.Path(engine.path)
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_nothing_is_there_and_nothing_is_made_by_reading(engine: Engine) -> None:
    with engine.reading() as session:
        assert session.installation is None
        assert session.history() == []
        assert session.progress_condition() == "missing"
    assert not engine.exists()
    assert not os.path.exists(engine.root)


def test_a_session_without_events_writes_nothing(engine: Engine) -> None:
    with engine.session() as session:
        assert not session.changed
        session.commit()
    assert sorted(os.listdir(engine.path)) == [MARK, "lock"]


def test_first_move_begins_an_installation(engine: Engine) -> None:
    _move(engine, "environment_setup", "started", "安装")
    assert _now(engine)["phases"]["environment_setup"]["data"] == "安装"
    progress = json.loads(_file(engine, PROGRESS).read_bytes())
    assert tuple(progress) == KEYS
    assert progress["current_phase"] == "environment_setup"
    assert sorted(os.listdir(engine.path)) == [MARK, PROGRESS, LEDGER, "lock", LOGS]


def test_what_is_not_committed_never_happened(engine: Engine) -> None:
    _move(engine, "environment_setup", "started")
    before = (_now(engine), _file(engine, LEDGER).read_bytes())
    with engine.session() as session:
        session.begin({}, {})
        session.move("cleanup", "completed")
    assert (_now(engine), _file(engine, LEDGER).read_bytes()) == before


def test_several_events_are_one_entry(engine: Engine) -> None:
    with engine.session() as session:
        for phase in PHASES:
            session.move(phase, "completed")
        session.commit()
    assert _file(engine, LEDGER).read_bytes().count(b"\n") == 1
    assert _now(engine)["status"] == "completed"


def test_moving_to_where_it_is_changes_nothing(engine: Engine) -> None:
    _move(engine, "python_deps", "completed", {"a": 1})
    before = _file(engine, LEDGER).read_bytes()
    with engine.session() as session:
        assert not session.move("python_deps", "completed", {"a": 1})
        assert not session.changed
        session.commit()
        assert session.move("python_deps", "completed", {"a": 2})
    assert _file(engine, LEDGER).read_bytes() == before


@pytest.mark.parametrize(("phase", "status"), [("nonsense", "started"), ("cleanup", "nonsense")])
def test_unknown_phases_and_statuses_are_refused(engine: Engine, phase: str, status: str) -> None:
    with engine.session() as session, pytest.raises(InputError, match="nonsense") as caught:
        session.move(phase, status)
    assert "Use one of" in caught.value.advice


def test_a_reading_session_takes_events_and_writes_nothing(engine: Engine) -> None:
    _move(engine, "environment_setup", "started")
    before = _contents(engine)
    with engine.reading() as session:
        session.begin({}, {})
        session.move("cleanup", "completed")
        session.commit()
        assert session.installation is not None
        assert session.installation.phases["cleanup"].done
    assert _contents(engine) == before


def test_beginning_again_abandons_the_unfinished_one(engine: Engine) -> None:
    _move(engine, "environment_setup", "completed", "kept")
    with engine.session() as session:
        before = session.installation
        session.begin({"python_deps": {"v": 1}}, {"os": "x"}, before, ["environment_setup"])
        session.commit()
    with engine.reading() as session:
        old, new = installations(session.history())
        assert (old.status, new.status) == ("abandoned", "running")
        assert new.install_id > old.install_id
        assert new.phases["environment_setup"].data == "kept"
        assert session.effective() is session.installation


def test_effective_is_the_latest_that_was_not_undone(engine: Engine) -> None:
    with engine.session() as session:
        for phase in PHASES:
            session.move(phase, "completed")
        session.commit()
        first = session.installation
        session.begin({}, {})
        session.add({"event": "undone", "outcome": "exact", "points": [], "phases": [], "status": "rolled_back"})
        session.commit()
        found = session.effective()
        assert first is not None
        assert found is not None
        assert found.install_id == first.install_id
        assert found.status == "completed"


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(PHASES)),
        st.tuples(st.just("captured"), st.sampled_from(PHASES)),
        st.tuples(st.just("undone"), st.sampled_from(["exact", "failed", "whole"])),
        st.tuples(st.sampled_from(STATUSES), st.sampled_from(PHASES)),
    ),
    min_size=1,
    max_size=12,
)


def _carry_out(session: Session, what: str, which: str) -> None:
    if what == "begin":
        session.begin({which: {"n": 1}}, {"os": "x"}, session.installation, PHASES[: PHASES.index(which)][:1])
    elif what == "captured":
        point = f"{session.required().install_id}.{len(session.required().points) + 1}"
        session.add(recorded({"event": "captured", "point": point, "phase": which, "resources": []}))
    elif what == "undone":
        points = [point["point"] for point in session.required().active_points[-1:]]
        outcome = {"event": "undone", "outcome": "differs" if which == "failed" else "exact", "points": points}
        session.add(
            recorded({**outcome, "phases": ["python_deps"], "status": "rolled_back" if which == "whole" else None})
        )
    else:
        session.move(which, what, {"安": f"'{which}'"})


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=EVENTS, data=st.data())
def test_any_sequence_cut_anywhere_replays_to_a_state_it_went_through(
    tmp_path: pathlib.Path, steps: list[tuple[str, str]], data: st.DataObject
) -> None:
    root = tmp_path / "sage"
    shutil.rmtree(root, ignore_errors=True)
    engine = Engine(str(root), lock_timeout=5)
    states: list[list[RecordedInstallation]] = [[]]
    ids: list[str] = []
    for what, which in steps:
        with engine.session() as session:
            assert session.repaired == []
            _carry_out(session, what, which)
            session.commit()
            memory = session.installation
        assert memory is not None
        with engine.reading() as session:
            assert session.installation is not None
            assert session.installation.as_dict() == memory.as_dict()
            assert session.progress_condition() == "current"
            history = [one.as_dict() for one in installations(session.history())]
        assert json.loads(_file(engine, PROGRESS).read_bytes()) == json.loads(records_progress.render(memory))
        assert tuple(json.loads(_file(engine, PROGRESS).read_bytes())) == KEYS
        if _file(engine, LEDGER).read_bytes().count(b"\n") == len(states):
            states.append(history)
        if memory.install_id not in ids:
            ids.append(memory.install_id)
    assert ids == sorted(ids)

    good = _file(engine, LEDGER).read_bytes()
    length = data.draw(st.integers(0, len(good)))
    _file(engine, LEDGER).write_bytes(good[:length])
    whole = good[:length].count(b"\n")
    if not whole:
        # Power was lost in the very first entry: there was no progress file yet.
        _file(engine, PROGRESS).unlink()
    with engine.reading() as session:
        assert [one.as_dict() for one in installations(fold(session.lines()))] == states[whole]
    _move(engine, "cleanup", "started", "goes on")
    with engine.reading() as session:
        assert session.progress_condition() == "current"
        assert len(session.lines()) == whole + 1 or length == len(good)


DAMAGE = {
    "missing": None,
    "corrupt": b'{"install_id": "2025',
    "edited": b'{"install_id": "20200101_000000"}',
}


@pytest.mark.parametrize("condition", DAMAGE)
def test_a_damaged_progress_file_is_rebuilt_and_kept_aside(engine: Engine, condition: str) -> None:
    _move(engine, "python_deps", "started")
    good = _file(engine, PROGRESS).read_bytes()
    bad = DAMAGE[condition]
    if bad is None:
        _file(engine, PROGRESS).unlink()
    else:
        _file(engine, PROGRESS).write_bytes(bad)
    with engine.reading() as session:
        assert session.progress_condition() == condition
        assert session.changed
    assert (_file(engine, PROGRESS).read_bytes() if _file(engine, PROGRESS).exists() else None) == bad
    with engine.session() as session:
        assert [condition in text for text in session.repaired] == [True]
        assert session.changed
    assert _file(engine, PROGRESS).read_bytes() == good
    aside = _file(engine, f"{PROGRESS}.{condition}")
    assert (aside.read_bytes() if aside.exists() else None) == bad
    with engine.session() as session:
        assert not session.changed


def test_a_torn_last_line_is_repaired_and_said(engine: Engine) -> None:
    _move(engine, "python_deps", "started")
    with _file(engine, LEDGER).open("ab") as stream:
        stream.write(b'{"begin":0,\0\0\0')
    with engine.reading() as session:
        assert "never finished" in session.repaired[0]
    assert "never finished" in _move(engine, "python_deps", "completed")[0]
    with engine.reading() as session:
        assert session.repaired == []
        assert len(session.lines()) == 2


def test_a_broken_chain_is_told_with_its_number(engine: Engine) -> None:
    for status in ("started", "failed", "started", "completed"):
        _move(engine, "python_deps", status)
    raw = _file(engine, LEDGER)
    raw.write_bytes(raw.read_bytes().replace(b'"failed"', b'"Failed"'))
    with pytest.raises(LedgerBroken) as caught, engine.reading():
        pass
    assert caught.value.number == 2
    raw.write_bytes(raw.read_bytes().replace(b'"Failed"', b'"failed"'))
    raw.write_bytes(raw.read_bytes().replace(b'"completed"', b'"Completed"'))
    with pytest.raises(LedgerBroken) as caught, engine.session():
        pass
    assert caught.value.number == 4
    assert "Restore ledger.jsonl" in str(caught.value)


def test_a_break_in_an_older_installation_does_not_hinder_the_current_one(engine: Engine) -> None:
    _move(engine, "python_deps", "started")
    with engine.session() as session:
        session.begin({}, {})
        session.commit()
    raw = _file(engine, LEDGER)
    raw.write_bytes(raw.read_bytes().replace(b'"python_deps"', b'"Python_deps"'))
    _move(engine, "python_deps", "started")
    with engine.reading() as session:
        with pytest.raises(LedgerBroken) as caught:
            session.history()
        assert caught.value.number == 1


def test_one_entry_has_one_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(clock, "now", lambda: f"2025-11-15T14:30:00.{next(ticks):03d}+08:00")
    with engine.session() as session:
        session.begin({}, {})
        session.move("python_deps", "started")
        session.commit()
        session.move("python_deps", "failed")
        session.commit()
        memory = session.installation
    assert memory is not None
    assert _now(engine) == memory.as_dict()
    assert memory.updated > memory.begun
    with engine.session() as session:
        assert session.repaired == []


def test_a_lost_ledger_is_an_error_and_absent_helps(engine: Engine) -> None:
    _move(engine, "python_deps", "started")
    _file(engine, LEDGER).unlink()
    for way in (engine.session, engine.reading):
        with pytest.raises(StateError, match="the history is lost") as caught, way():
            pass
        assert "state=absent" in caught.value.advice
    engine.reset()
    _move(engine, "python_deps", "started")


def test_reset_removes_everything_and_what_an_interrupted_one_left(engine: Engine) -> None:
    _move(engine, "python_deps", "started")
    os.makedirs(os.path.join(engine.path, "store", "deep"))
    hidden = pathlib.Path(engine.path).parent
    os.rename(engine.path, f"{engine.path}.removed.1")
    assert engine.exists()
    engine.reset()
    assert not engine.exists()
    assert sorted(os.listdir(hidden)) == [".gitignore"]
    engine.reset()
    assert sorted(os.listdir(hidden)) == [".gitignore"]


def test_reset_works_on_a_checkpoint_dir_with_a_slash(tmp_path: pathlib.Path) -> None:
    engine = Engine("/nonexistent", f"{tmp_path}/own/", 5)
    _move(engine, "python_deps", "started")
    engine.reset()
    assert list(tmp_path.iterdir()) == []


def test_x4_absent_removes_nothing_that_was_never_state(tmp_path: pathlib.Path) -> None:
    root, named = tmp_path / "root", tmp_path / "named"
    for directory in (named, tmp_path / "named.removed.old"):
        directory.mkdir()
        (directory / "customer.db").write_text("precious")
    engine = Engine(str(root), str(named), 5)
    with pytest.raises(UnsafePath, match="was not made by this collection"):
        engine.reset()
    (named / "customer.db").rename(tmp_path / "customer.db")
    # Empty: there is no state, before and after.
    assert not engine.exists()
    _move(engine, "python_deps", "started")
    engine.reset()
    assert (engine.exists(), list(named.iterdir())) == (False, [])
    assert (tmp_path / "named.removed.old" / "customer.db").read_text() == "precious"


def test_x4_a_store_elsewhere_is_removed_only_if_it_was_made(tmp_path: pathlib.Path) -> None:
    engine = Engine(str(tmp_path / "root"), lock_timeout=5, repackage_dir=str(tmp_path / "spool"))
    _move(engine, "python_deps", "started")
    (store,) = (tmp_path / "spool").iterdir()
    engine.reset()
    assert not store.exists()
    store.mkdir()
    (store / "customer.db").write_text("precious")
    with pytest.raises(UnsafePath, match="was not made by this collection"):
        _move(engine, "python_deps", "started")
    assert (store / "customer.db").read_text() == "precious"


def test_reset_does_not_follow_a_link(engine: Engine, tmp_path: pathlib.Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("")
    os.makedirs(os.path.dirname(engine.path))
    os.symlink(precious, engine.path)
    with pytest.raises(UnsafePath):
        engine.reset()
    os.unlink(engine.path)
    os.symlink(precious, f"{engine.path}.removed.1")
    with pytest.raises(StateError):
        engine.reset()
    assert (precious / "file").exists()


@ROOT_ONLY
def test_root_removes_nobody_elses_directory(engine: Engine) -> None:
    _move(engine, "python_deps", "started")
    os.chown(engine.path, NOBODY, NOBODY)
    with pytest.raises(UnsafePath, match="belongs to user id"):
        engine.reset()
    assert _file(engine, LEDGER).exists()


@pytest.mark.parametrize("name", [LEDGER, PROGRESS, "lock"])
@pytest.mark.parametrize("trick", ["link", "pipe", "hard link", "directory", "foreign"])
def test_a_state_file_that_is_something_else_is_refused(
    engine: Engine, tmp_path: pathlib.Path, name: str, trick: str
) -> None:
    _move(engine, "python_deps", "started")
    path = _file(engine, name)
    aside = tmp_path / "aside"
    path.rename(aside)
    before = aside.read_bytes()
    if trick == "link":
        path.symlink_to(aside)
    elif trick == "pipe":
        os.mkfifo(path)
    elif trick == "hard link":
        os.link(aside, path)
    elif trick == "directory":
        path.mkdir()
    elif os.geteuid() == 0:
        shutil.copy(aside, path)
        os.chown(path, NOBODY, NOBODY)
    else:
        pytest.skip("only root can give files away")
    with pytest.raises(StateError):
        _move(engine, "python_deps", "completed")
    assert aside.read_bytes() == before


def test_a_full_disk_leaves_the_old_state(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _move(engine, "python_deps", "started")
    before = (_now(engine), _file(engine, PROGRESS).read_bytes(), sorted(os.listdir(engine.path)))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(StorageError, match="No space left"):
        _move(engine, "python_deps", "completed")
    assert (_now(engine), _file(engine, PROGRESS).read_bytes(), sorted(os.listdir(engine.path))) == before


def test_a_progress_file_that_cannot_be_published_is_no_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _move(engine, "python_deps", "started")

    def refuse(*args: t.Any, **options: t.Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        assert "behind the ledger" in _move(engine, "python_deps", "completed")[0]
    with engine.reading() as session:
        assert session.progress_condition() == "stale"
    assert "stale" in _move(engine, "cleanup", "started")[0]
    assert sorted(os.listdir(engine.path)) == [MARK, PROGRESS, LEDGER, "lock", LOGS]


def _as_nobody(code: str, engine: Engine) -> subprocess.CompletedProcess[str]:
    script = f"import os, sys\nfrom {records_session.__name__} import Engine\nos.setuid({NOBODY})\n{code}"
    return subprocess.run(
        [sys.executable, "-c", script, engine.root],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


READ = """
try:
    with Engine(sys.argv[1]).reading() as session:
        print(session.installation.install_id, session.progress_condition())
except Exception as error:
    print(type(error).__name__, error)
"""


@ROOT_ONLY
def test_another_user_cannot_read_it_and_is_told_so(engine: Engine, tmp_path: pathlib.Path) -> None:
    _move(engine, "python_deps", "started")
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        if path != pathlib.Path("/tmp"):
            path.chmod(0o755)
    done = _as_nobody(READ, engine)
    assert done.stdout.startswith("UnsafePath No permission to use"), done.stderr
    assert "become_user" in done.stdout
    for path in (pathlib.Path(engine.path), _file(engine, LEDGER), _file(engine, PROGRESS)):
        path.chmod(0o755)
    done = _as_nobody(READ, engine)
    assert done.stdout == f"{_now(engine)['install_id']} current\n", done.stderr


def test_state_on_which_nothing_can_be_written_is_read(engine: Engine) -> None:
    _move(engine, "python_deps", "started")
    expected = _now(engine)
    for path in (_file(engine, LEDGER), _file(engine, PROGRESS), pathlib.Path(engine.path)):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert _now(engine) == expected
    finally:
        pathlib.Path(engine.path).chmod(0o700)


def test_an_event_about_others_alone_has_its_own_time(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(str(tmp_path))
    with engine.session() as session:
        first = session.begin({}, {}).install_id
        session.commit()
    with engine.session() as session:
        session.begin({}, {})
        session.commit()
    monkeypatch.setattr(clock, "now", lambda: "2099-01-01T00:00:00.000+00:00")
    with engine.session() as session:
        session.add({"event": "pruned", "installations": [first], "points": []})
        session.commit()
    with engine.reading() as session:
        assert session.lines()[-1].time == "2099-01-01T00:00:00.000+00:00"
        assert session.installation is not None
        assert session.installation.updated != "2099-01-01T00:00:00.000+00:00"
