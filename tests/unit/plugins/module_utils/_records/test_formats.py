# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record is a format: what other versions wrote is refused by name, and what they added is kept.

docs/formats.md specifies it. C(format_2.jsonl) is a ledger that this format wrote, with every event in it;
C(SAGE_WRITE_FORMAT=1) writes it anew, which only a change of the format needs.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decide import open_run
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
    IDENTITY,
    FleetDecision,
    LogIdentity,
    OpenedRun,
    PartVote,
    make_decision,
    open_log,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease, progress
from ansible_collections.intellistream.sage.plugins.module_utils._records import ledger as records_ledger
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    EVENTS,
    PHASES,
    REQUIRED,
    fold,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import (
    FORMAT,
    VERSION,
    Ledger,
    LedgerLine,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._reports import report
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import (
    RollbackRequest,
)
from ansible_collections.intellistream.sage.plugins.plugin_utils import _events as vocabulary
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils import everything
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import DecisionLog

WRITTEN = pathlib.Path(__file__).with_name(f"format_{FORMAT}.jsonl")
TOP = pathlib.Path(__file__).resolve().parents[5]
# Below these, names are data: of inputs, of packages, of a kind of resource.
_DATA = {"inputs", "facts", "spec", "specs", "plan", "data", "failure"}


@pytest.fixture
def engine(tmp_path: pathlib.Path) -> Engine:
    engine = Engine(str(tmp_path / "sage"), lock_timeout=5)
    with engine.session() as session:
        session.begin({"python_deps": {"version": "1"}}, {"os": "debian"})
        session.move("python_deps", "completed", "kept")
        session.commit()
    return engine


def _ledger(engine: Engine) -> pathlib.Path:
    return pathlib.Path(engine.path, records_ledger.NAME)


def _append(engine: Engine, events: t.Sequence[dict[str, t.Any]], **fields: t.Any) -> None:
    """What another version would write: a line with a right hash, and these fields in it."""
    with t.cast("t.ContextManager[t.Any]", open_state(engine.root)) as state:
        last = Ledger(state).tail()
    assert last is not None
    line = {
        "format": FORMAT,
        "writer": "9.8.7",
        "seq": last.seq + 1,
        "time": last.time,
        "install_id": last.install_id,
        "newest": last.newest,
        "thread": last.thread,
        "begin": last.begin,
        "earlier": {last.thread: last.offset},
        "events": list(events),
        "prev": last.hash,
        **fields,
    }
    line["hash"] = records_ledger._digest(records_ledger._dump(line))
    with _ledger(engine).open("ab") as stream:
        stream.write(records_ledger._dump(line) + b"\n")


def _files(engine: Engine) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in pathlib.Path(engine.path).iterdir() if path.is_file()}


def _refuses(engine: Engine, says: str, advice: str = "upgrade the collection") -> UnknownFormat:
    """Every way to the record says the same, and changes nothing; returns one of the errors."""
    before = {name: content for name, content in _files(engine).items() if name != "lock"}

    def begin() -> None:
        with engine.session() as session:
            session.begin({}, {})
            session.commit()

    for use in (
        begin,
        lambda: report.report(engine, None, False),
        lambda: report.report(engine, None, True),
        lambda: rollback(engine, RollbackRequest(), True),
    ):
        with pytest.raises(UnknownFormat, match=says) as caught:
            use()
        assert "version 9.8.7 of intellistream.sage wrote it" in caught.value.what
        assert advice in caught.value.advice
        assert caught.value.details["writer"] == "9.8.7"
    assert {name: content for name, content in _files(engine).items() if name != "lock"} == before
    return caught.value


def test_e26_an_event_of_a_newer_version_is_refused_by_name(engine: Engine) -> None:
    """Case E26: an older controller passed over silently what a newer one had recorded."""
    _append(
        engine,
        [
            {"event": "phase", "phase": "cleanup", "status": "completed", "data": None, "run": ""},
            {"event": "quarantined", "of": 1},
        ],
    )
    _refuses(engine, "Line 2 of the ledger has an event 'quarantined' that this version does not know")


def test_e26_also_one_about_another_installation(engine: Engine) -> None:
    _append(engine, [{"event": "quarantined", "installations": ["20200101_000000"]}])
    _refuses(engine, "quarantined")


_CHANGED = {"event": "undone", "outcome": "exact"}
_BEFORE = {"status": "failed", "phases": {"cleanup": "failed"}, "undone": {}}
_HERE = {"machine": "", "root": "", "checkpoints": ""}
_BEGUN: dict[str, t.Any] = {"event": "begun", "inputs": {}, "environment": {}, "identity": _HERE, "run": ""}
_CLEANUP = {"event": "phase", "phase": "cleanup", "status": "failed", "data": None, "run": ""}


@pytest.mark.parametrize(
    ("event", "field", "word"),
    [
        ({**_CLEANUP, "phase": "postcheck"}, "phase", "postcheck"),
        ({**_CLEANUP, "status": "quarantined"}, "status", "quarantined"),
        ({"event": "ended", "status": "quarantined"}, "status", "quarantined"),
        ({**_CHANGED, "outcome": "roughly"}, "outcome", "roughly"),
        ({**_CHANGED, "status": "quarantined"}, "status", "quarantined"),
        ({**_CHANGED, "phases": ["cleanup", "postcheck"]}, "phases", "postcheck"),
        ({"event": "redone", "before": {**_BEFORE, "status": "quarantined"}}, "status", "quarantined"),
        ({"event": "redone", "before": {**_BEFORE, "phases": {"postcheck": "failed"}}}, "phases", "postcheck"),
        ({"event": "redone", "before": {**_BEFORE, "phases": {"cleanup": "quarantined"}}}, "status", "quarantined"),
        ({**_BEGUN, "carried": {"postcheck": {"status": "completed"}}}, "carried", "postcheck"),
        ({**_BEGUN, "carried": {"cleanup": {"status": "quarantined"}}}, "status", "quarantined"),
    ],
)
def test_a_word_that_a_known_event_does_not_have_is_refused(
    engine: Engine, event: dict[str, t.Any], field: str, word: str
) -> None:
    """A phase or a status of a newer version was taken silently, or ended in a bare KeyError."""
    says = f"Line 2 of the ledger has an event {event['event']!r} with {field} {word!r}, which this version"
    _append(engine, [event])
    caught = _refuses(engine, says)
    assert caught.details["field"] == field
    assert caught.details["value"] == word


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"event": "window", "phase": "cleanup", "undo": 1.0, "seconds_left": 1.0}, "expected"),
        ({"event": "redone", "before": {"status": "failed", "phases": {}}}, "undone"),
        ({"event": "captured", "point": "p.1"}, "phase"),
        ({"event": "begun"}, "inputs"),
    ],
)
def test_a_known_event_without_one_of_its_fields_is_refused(
    engine: Engine, event: dict[str, t.Any], field: str
) -> None:
    _append(engine, [event])
    caught = _refuses(engine, f"Line 2 of the ledger has an event {event['event']!r} without {field!r}")
    assert caught.details["field"] == field


def test_every_event_is_refused_without_what_its_type_requires() -> None:
    required = {name: set(kind.__required_keys__) - {"event"} for name, kind in _types().items()}
    required["before"] = set(vocabulary.RecordBefore.__required_keys__)
    assert {name: set(fields.split()) for name, fields in REQUIRED.items()} == {
        name: fields for name, fields in required.items() if fields
    }


@pytest.mark.parametrize("number", [FORMAT + 1, FORMAT - 1, str(FORMAT), None])
def test_e26_a_line_of_another_format_is_refused(engine: Engine, number: t.Any) -> None:
    advice = "This version is newer, and reads no older formats" if number == FORMAT - 1 else "upgrade the collection"
    _append(engine, [], format=number)
    _refuses(engine, re.escape(f"Line 2 of the ledger has format {number!r}, this version reads {FORMAT}"), advice)


def test_what_is_marked_as_ignorable_is_passed_over(engine: Engine) -> None:
    with engine.reading() as session:
        assert session.installation is not None
        before = session.installation.as_dict()
    _append(
        engine, [{"event": "quarantined", "ignorable": True}, {**_CLEANUP, "phase": "postcheck", "ignorable": True}]
    )
    _append(engine, [{"event": "phase", "phase": "cleanup", "status": "failed"}], format=FORMAT + 1, ignorable=True)
    with engine.session() as session:
        assert session.installation is not None
        assert session.installation.as_dict() == before
        session.move("cleanup", "completed")
        session.commit()
        assert [entry.seq for entry in session.lines()] == [1, 2, 3, 4]
        assert session.history()[0].phases["cleanup"].status == "completed"


def test_fields_of_a_newer_version_are_kept(engine: Engine) -> None:
    """On disk, in what is folded, and in what is recorded again."""
    with engine.reading() as session:
        assert session.installation is not None
        name = f"{session.installation.install_id}.1"
    redo = {"points": [], "before": {}, "color": "redo"}
    taken = {"kind": "files", "path": "/x", "files": 1, "bytes": 1, "color": "taken"}
    point = {"point": name, "phase": PHASES[0], "description": "", "specs": [], "resources": [taken], "redo": redo}
    result = [{"spec": {"kind": "files"}, "facts": {}, "color": "result"}]
    archived = {name: {"name": "p.1.tar.gz", "color": "archive"}}
    _append(
        engine,
        [
            {"event": "described", "run": "r", "color": "described", "before": 1, "carried": 1},
            {
                "event": "phase",
                "phase": "python_deps",
                "status": "completed",
                "data": None,
                "run": "r",
                "result": result,
                "color": "phase",
            },
            {"event": "captured", **point, "color": "point"},
            {"event": "settled", "point": name, "after": result, "unchanged": False, "color": "not kept by the point"},
            {"event": "archived", "points": archived},
            {"event": "window", "phase": "python_deps", "expected": 1, "undo": 1, "seconds_left": 1, "color": "window"},
            {"event": "prepared", "run": "r", "decision_log": "l", "where": "w", "color": "prepared"},
            {"event": "committed", "run": "r", "by_script": False},
            {"event": "fired", "after": 1.0, "by": "at", "color": "fired"},
            {"event": "undone", "outcome": "exact", "work": {"files": 1, "color": "work"}},
        ],
        color="line",
    )
    with engine.session() as session:
        installation = session.installation
        assert installation is not None
        content: t.Any = installation.as_dict()
        session.begin({}, {"os": "debian"}, installation, ["python_deps"])
        session.commit()
        carried = session.history()[-1].phases["python_deps"].as_dict()
    assert b'"color":"line"' in _ledger(engine).read_bytes()
    [kept] = content["rollback_points"]
    colors = [
        content["color"],
        content["phases"]["python_deps"]["color"],
        kept["color"],
        kept["redo"]["color"],
        kept["resources"][0]["color"],
        kept["after"][0]["color"],
        kept["archive"]["color"],
        content["window"]["python_deps"]["color"],
        content["fleet"]["color"],
        content["fired"]["color"],
        content["undo"]["color"],
    ]
    assert colors == [
        *("described", "phase", "point", "redo", "taken", "result", "archive", "window", "prepared", "fired", "work"),
    ]
    assert dict(carried)["color"] == "phase"
    assert carried["data"] is None
    assert carried["result"] == result


def test_a_manifest_of_another_format_is_refused(tmp_path: pathlib.Path) -> None:
    host = SageHost(tmp_path).make()
    host.install("1")
    [manifest] = host.store.glob("*/*/0.json")
    content = json.loads(manifest.read_bytes())
    assert content["format"] == contents.FORMAT
    with host.engine.reading() as session:
        assert session.where is not None
        [point] = session.history()[-1].points
        data = json.dumps({**content, "format": contents.FORMAT + 1}).encode()
        manifest.write_bytes(data)
        taken = {**point["resources"][0], "sha256": records_ledger._digest(data)}
        with contents.point_dir(session.where, point["install_id"], point["point"]) as directory:
            says = f"0.json has format {contents.FORMAT + 1}, this version reads {contents.FORMAT}"
            with pytest.raises(UnknownFormat, match=says):
                contents.read_manifest(directory, taken)


def _decide(log: DecisionLog) -> None:
    log.write(make_decision("r1", "commit", ["a"], "all", log.identity))
    log.vote(PartVote("r1", 1, parts=2, hosts=["a"], until=None))
    log.open("r1", ["a"])


@pytest.mark.parametrize("name", ["r1.json", ".r1.1.vote", ".r1.ca978112ca1bbdca.opened", IDENTITY])
def test_a_decision_file_of_another_format_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    path = str(tmp_path / "fleet")
    open_run(path, "r1", False)

    def read() -> tuple[FleetDecision | None, list[PartVote], list[OpenedRun]]:
        log = open_log(path)
        assert log is not None
        with log:
            return log.read("r1"), log.votes("r1", 2), log.opened("r1")

    with t.cast("DecisionLog", open_log(path)) as log:
        _decide(log)
    before = read()
    file = pathlib.Path(path, name)
    content = json.loads(file.read_bytes())
    assert content.pop("hash")

    def write(fields: dict[str, t.Any], hashed: dict[str, t.Any]) -> None:
        digest = records_ledger._digest(json.dumps(hashed, sort_keys=True).encode())
        file.write_text(json.dumps({**fields, "hash": digest}))

    write({**content, "format": 2}, {**content, "format": 2})
    with pytest.raises(UnknownFormat, match=f"{name} has format 2, this version reads 1") as caught:
        read()
    assert "stay in doubt" in caught.value.untouched
    # An edited number is an edited file.
    write({**content, "format": 2}, content)
    with pytest.raises(StateError, match="was changed after it was written"):
        read()
    # What a newer version of this format added is passed over, and stays: such a file is never written again.
    write({**content, "color": "new"}, {**content, "color": "new"})
    assert read() == before


def test_a_mark_of_another_format_is_refused(engine: Engine) -> None:
    with engine.session() as session:
        assert session.where is not None
        mark.write(session.where, mark.make(session.required().install_id, "token", 100.0))
        content = json.loads(session.where.read(mark.NAME) or b"")
        assert content["format"] == mark.FORMAT
        # What a newer version added to this format is kept when the switch is renewed.
        session.where.write(mark.NAME, json.dumps({**content, "color": "new"}).encode())
        mark.renew_or_disarm(session)
        assert json.loads(session.where.read(mark.NAME) or b"")["color"] == "new"
        session.where.write(mark.NAME, json.dumps({**content, "format": 9}).encode())
        says = f"deadman.json has format 9, this version reads {mark.FORMAT}"
        for use in (
            lambda: mark.read(session.where),
            lambda: mark.renew_or_disarm(session),
            lambda: mark.status(session),
        ):
            with pytest.raises(UnknownFormat, match=says):
                use()


def test_a_progress_file_of_another_version_is_put_aside(engine: Engine) -> None:
    """It has the original's keys and no number: it is a view, which is written and never read."""
    file = pathlib.Path(engine.path, progress.NAME)
    other = json.dumps({**json.loads(file.read_bytes()), "color": "new"}).encode()
    good = file.read_bytes()
    file.write_bytes(other)
    with engine.session() as session:
        assert "was edited" in session.repaired[0]
    assert file.read_bytes() == good
    assert pathlib.Path(engine.path, f"{progress.NAME}.edited").read_bytes() == other


def test_the_version_that_lines_name_is_that_of_the_collection() -> None:
    assert f"\nversion: {VERSION}\n" in (TOP / "galaxy.yml").read_text()


def _entries() -> list[LedgerLine]:
    """The ledger that was checked in, its chain checked."""
    return [records_ledger._parse(line) for line in WRITTEN.read_bytes().splitlines()]


def _shape(content: t.Any, path: str = "") -> set[str]:
    """The fields of an event, with those inside of them, and what type each has."""
    if path.rpartition(".")[2] in _DATA:
        return {path}
    shape = {f"{path}: {type(content).__name__}"} if path else set()
    if isinstance(content, dict):
        for name, part in content.items():
            field = "*" if name in PHASES or re.match(r"\d{8}_\d{6}|/", name) else name
            shape |= _shape(part, f"{path}.{field}" if path else field)
    elif isinstance(content, list):
        shape = shape.union(*(_shape(part, f"{path}[]") for part in content))
    return shape


def _shapes(entries: t.Iterable[LedgerLine]) -> dict[str, set[str]]:
    shapes: dict[str, set[str]] = {}
    for entry in entries:
        for event in entry.events:
            shapes.setdefault(event["event"], set()).update(_shape(dict(event)))
    return shapes


def test_a_ledger_of_this_format_is_what_this_version_writes(tmp_path: pathlib.Path) -> None:
    played = everything.play(tmp_path / "host")
    if os.environ.get("SAGE_WRITE_FORMAT"):
        _write(everything.plain(played, tmp_path / "host"), tmp_path / "written")
    assert _shapes(_entries()) == _shapes(played)
    summaries = [
        [(one.state, one.origin, len(one.points), one.altered) for one in fold(entries)]
        for entries in (_entries(), played)
    ]
    assert summaries[0] == summaries[1]


def _write(lines: t.Sequence[tuple[str, t.Any, str, str]], path: pathlib.Path) -> None:
    with t.cast("t.ContextManager[t.Any]", open_state("/", str(path), create=True)) as state:
        ledger = Ledger(state)
        for install_id, events, time, thread in lines:
            ledger.append(ledger.tail(), install_id, events, time, thread)
    WRITTEN.write_bytes((path / records_ledger.NAME).read_bytes())


def test_a_ledger_of_this_format_is_read_from_everywhere(tmp_path: pathlib.Path) -> None:
    """As a whole, from each installation on, and by one that goes on with it."""
    engine = Engine(str(tmp_path / "sage"))
    with engine.session():
        pass
    _ledger(engine).write_bytes(WRITTEN.read_bytes())
    _ledger(engine).chmod(0o600)
    with engine.session() as session:
        history = session.history()
        installed = installations(history)
        for count in range(1, len(installed) + 1):
            recent = session.recent(count)[-count:]
            assert [one.as_dict() for one in recent] == [one.as_dict() for one in installed[-count:]]
        session.begin({}, {})
        session.commit()
        assert len(session.history()) == len(history) + 1
    assert report.report(engine, None, True)["ledger"]["intact"]


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        ({"environment": {"machine": "0"}}, {"environment": {"machine_id": "0"}}),
        ({"changes": [{"name": "foo"}]}, {"changes": [{"package": "foo"}]}),
        ({"seconds": 1.0}, {"seconds": "1.0"}),
        ({"points": ["1.1"]}, {"points": [1]}),
        ({"carried": {PHASES[0]: {"ended": None}}}, {"carried": {PHASES[0]: {"ended": 0}}}),
    ],
)
def test_a_field_that_is_renamed_or_gets_another_type_is_seen(
    event: dict[str, t.Any], changed: dict[str, t.Any]
) -> None:
    assert _shape(event) != _shape(changed)


def test_every_event_occurs_in_it() -> None:
    assert set(_shapes(_entries())) == EVENTS


def _types() -> dict[str, t.Any]:
    """Event → its type."""
    return {
        name: kind
        for kind in t.get_args(vocabulary.Event)
        for name in re.findall(r"['\"](\w+)['\"]", str(kind.__annotations__["event"]))
    }


def test_the_vocabulary_is_what_is_written() -> None:
    types = _types()
    assert set(types) == EVENTS
    for event in (event for entry in _entries() for event in entry.events):
        kind = types[event["event"]]
        assert kind.__required_keys__ <= set(event) <= set(kind.__annotations__), event["event"]
        if event["event"] == "begun":
            assert set(event["environment"]) in (set(), set(vocabulary.Environment.__annotations__))


def test_changes_of_packages_are_what_is_written() -> None:
    captures = [event for entry in _entries() for event in entry.events if event["event"] == "captured"]
    written = [change for event in captures for taken in event["resources"] for change in taken.get("changes", [])]
    assert written
    for change in written:
        kind = vocabulary.PackageChange
        assert kind.__required_keys__ <= set(change) <= set(kind.__annotations__)
    assert {field for change in written for field in change} == set(vocabulary.PackageChange.__annotations__)


def test_the_documentation_has_every_event_and_field() -> None:
    text = (TOP / "docs" / "formats.md").read_text()
    missing = {name for name in EVENTS if f"`{name}`" not in text}
    # What is asked of one call, and a view of an installation: neither is recorded.
    unrecorded = {"Transition", "_TransitionOptions", "FleetMember"}
    for kind in (kind for name, kind in vars(vocabulary).items() if name not in unrecorded):
        missing |= {name for name in getattr(kind, "__annotations__", ()) if f"`{name}`" not in text}
    missing |= {name for name in records_ledger.FIELDS if f"`{name}`" not in text}
    missing |= {name for name in progress.KEYS if f"`{name}`" not in text}
    for record in (mark.Mark, lease.Lease, FleetDecision, PartVote, LogIdentity):
        missing |= {name for name in record._fields if f"`{name}`" not in text}
    # Of a lease, what is known of its file and is not in it.
    missing -= {*lease._NOT_WRITTEN}
    assert not missing


def test_an_event_from_a_later_version_is_refused_when_it_is_taken(engine: Engine) -> None:
    with engine.session() as session, pytest.raises(UnknownFormat, match="'from_the_future'"):
        session.add(recorded({"event": "from_the_future"}))
