# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What random sequences and enumerated kills found, each as the smallest test that fails without its fix."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    ConflictError,
    InputError,
    RollbackError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._files.undo import FilesUndo
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.crash.test_undo import FINISHED, KILLED, attempt
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._undo.test_redo import Host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_rollback_that_left_differences_can_be_run_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own point must not cancel what it was to undo."""
    host.install("one", pack="1.0")
    wanted = host.look()
    second = host.install("two", pack="2.0", fresh="1.0")
    newer = host.look()

    def spoil(undo: Any, real: Any = FilesUndo.execute) -> None:
        real(undo)
        host.file.write_text("spoiled")

    with monkeypatch.context() as patch:
        patch.setattr(FilesUndo, "execute", spoil)
        with pytest.raises(RollbackError, match="config"):
            rollback(host.engine, RollbackRequest(second), False)
    redo = host.redo_point()
    assert host.undo(second)["changed"] is True
    assert changes(wanted, host.look()) == {}
    assert host.undo(second)["changed"] is False
    host.undo(redo)
    assert changes(newer, host.look()) == {}
    assert host.now().status == "completed"
    host.undo(second)
    assert changes(wanted, host.look()) == {}


@pytest.mark.slow
def test_an_interrupted_rollback_is_taken_back(tmp_path: Path) -> None:
    """What it had captured brings back what was there, wherever it was killed."""
    nth, result, seen = 0, KILLED, 0
    while result != FINISHED:
        nth += 13
        (tmp_path / str(nth)).mkdir()
        host = Host(tmp_path / str(nth))
        host.install("one", pack="1.0")
        second = host.install("two", pack="2.0", fresh="1.0")
        wanted = host.look()
        result = attempt(functools.partial(host.undo, second), nth, None)
        redo = host.redo_point()
        if not redo:
            continue
        seen += result == KILLED
        host.undo(redo)
        assert changes(wanted, host.look()) == {}, nth
        assert host.now().status == "completed"
        assert host.undo(redo)["changed"] is False
        host.undo(second)
    assert seen > 1


def test_an_interrupted_removal_is_taken_back(tmp_path: Path) -> None:
    nth, result = 0, KILLED
    while result != FINISHED:
        nth += 7
        (tmp_path / str(nth)).mkdir()
        host = Host(tmp_path / str(nth))
        first = host.install("one", pack="1.0")
        wanted = host.look()
        result = attempt(functools.partial(host.undo, first), nth, None)
        if host.redo_point():
            host.undo(host.redo_point())
        assert changes(wanted, host.look()) == {}, nth


def test_an_edit_after_a_rollback_is_a_conflict_of_its_redo(host: Host) -> None:
    host.install("one", pack="1.0")
    host.install("two", pack="2.0")
    undone = host.undo()
    host.file.write_text("mine")
    with pytest.raises(ConflictError, match="config was changed by somebody"):
        host.undo(undone["redo_point"])
    assert host.file.read_text() == "mine"


def test_directories_of_what_is_undone_twice_go(host: Host) -> None:
    """A newer capture lists directories that an older change had made."""
    host.install("one", pack="1.0")
    wanted = host.look()
    second = host.install("two", fresh="1.0")
    host.install("three", fresh="2.0", pack="2.0")
    host.undo(second)
    assert changes(wanted, host.look()) == {}


def test_a_point_before_a_removal(host: Host) -> None:
    """Two steps: the removed environment comes back, then what was in it then."""
    host.install("one", pack="1.0")
    middle = host.now().points[1]["point"]
    undone = host.undo()
    with pytest.raises(InputError, match=rf"removed .* as a whole[\s\S]*{undone['redo_point']}"):
        host.undo(middle)
    host.undo(undone["redo_point"])
    host.undo(middle)
    assert host.venv.installed() == {}
    assert host.venv.path.exists()


def test_a_point_whose_change_has_ended_is_not_used_again(host: Host) -> None:
    """What was left then says nothing about the next change."""
    specs = [{"kind": "files", "paths": [str(host.file)]}]
    before = host.look()
    first = backup(host.engine, specs, None, "", False)["rollback_point"]
    assert backup(host.engine, specs, None, "", False)["changed"] is False
    settled(host.engine, first["id"], False)
    second = backup(host.engine, specs, None, "", False)["rollback_point"]
    assert second["id"] != first["id"]
    host.file.write_text("new")
    host.undo(second["id"])
    assert changes(before, host.look()) == {}


def test_into_the_middle_of_what_a_rollback_undid(host: Host) -> None:
    """What is undone there stays marked as undone; what is before counts again."""
    first = host.install("one", pack="1.0")
    wanted = host.look()
    second = host.install("two", pack="2.0", fresh="1.0")
    third = host.install("three", pack="3.0")
    host.undo(second)
    host.undo(third)
    assert host.venv.installed() == {"pack": "2.0", "fresh": "1.0"}
    assert host.now().status == "rolled_back"
    assert host.undo(third)["changed"] is False
    host.undo(second)
    assert changes(wanted, host.look()) == {}
    host.undo(first)
    assert not host.venv.path.exists()


def test_the_last_change_is_not_brought_back(host: Host) -> None:
    """After a rollback further back than the last change, there is nothing of it to take back."""
    host.install("one", pack="1.0")
    wanted = host.look()
    second = host.install("two", pack="2.0", fresh="1.0")
    host.install("three", pack="3.0")
    host.undo(second)
    assert host.undo("last")["changed"] is False
    assert changes(wanted, host.look()) == {}


def test_an_environment_that_is_gone_is_refused_before_anything_is_changed(host: Host) -> None:
    host.install("one", pack="1.0")
    host.install("two", pack="2.0")
    host.venv.remove()
    before = host.look()
    for check_mode in (True, False):
        with pytest.raises(RollbackError, match="is gone"):
            rollback(host.engine, RollbackRequest("last", force=True), check_mode)
    assert changes(before, host.look()) == {}


@pytest.mark.slow
def test_an_interrupted_undo_of_settled_files_is_finished(tmp_path: Path) -> None:
    """What it had half-way done is nobody else's change."""
    nth, result, seen = 0, KILLED, 0
    while result != FINISHED:
        nth += 3
        (tmp_path / str(nth)).mkdir()
        host = Host(tmp_path / str(nth))
        link = host.path / "data" / "link"
        host.file.write_text("before")
        link.mkdir(mode=0o555)
        wanted = host.look()
        specs = [{"kind": "files", "paths": [str(link), str(host.file)]}]
        made = backup(host.engine, specs, None, "", False)["rollback_point"]
        link.rmdir()
        link.symlink_to("config")
        settled(host.engine, made["id"], False)
        result = attempt(host.undo, nth, None)
        seen += host.interrupted()
        host.undo()
        assert changes(wanted, host.look()) == {}, nth
    assert seen > 1


@pytest.mark.slow
def test_back_again_from_an_interrupted_redo(tmp_path: Path) -> None:
    """What a redo had begun to bring back is undone, although it is marked as undone already."""
    nth, result, seen = 0, KILLED, 0
    while result != FINISHED:
        nth += 17
        (tmp_path / str(nth)).mkdir()
        host = Host(tmp_path / str(nth))
        host.install("one", pack="1.0")
        wanted = host.look()
        second = host.install("two", pack="2.0", fresh="1.0")
        redo = host.undo(second)["redo_point"]
        result = attempt(functools.partial(host.undo, redo), nth, None)
        seen += host.interrupted()
        host.undo(second)
        assert changes(wanted, host.look()) == {}, nth
    assert seen > 1


def test_a_missing_environment_is_not_as_it_was_captured(host: Host) -> None:
    host.install("one", pack="1.0")
    host.install("two", pack="2.0")
    host.venv.remove()
    with pytest.raises(ConflictError, match="was removed by somebody"):
        host.undo("last", kinds=["venv"])


def test_e27_that_others_edited_a_file_later_is_not_as_it_was_captured(host: Host) -> None:
    host.file.write_text("captured")
    backup(host.engine, [{"kind": "files", "paths": [str(host.file)]}], None, "by hand", False)
    with host.engine.reading() as session:
        point = session.history()[-1].points[-1]["point"]
    # The change came to nothing, and somebody edited the file after it.
    settled(host.engine, point, False)
    host.file.write_text("edited later")
    said = host.undo(point, kinds=["files"])["msg"]
    assert said.startswith("Nothing to roll back")
    assert "as they were captured" not in said
    assert host.file.read_text() == "edited later"


def test_what_was_made_in_a_directory_that_a_newer_point_holds_goes(host: Host) -> None:
    """What the older point's change had left there says nothing of it."""
    directory = host.path / "data" / "conf.d"
    directory.mkdir()
    wanted = host.look()
    older = _point(host, directory / "one")
    settled(host.engine, older, False)
    _point(host, directory)
    (directory / "one").write_text("of the newer change")
    host.undo(older)
    assert changes(wanted, host.look()) == {}


@pytest.mark.parametrize("looked", [True, False])
def test_what_a_newer_point_changed_in_a_directory_is_no_conflict(host: Host, looked: bool) -> None:
    directory = host.path / "data" / "conf.d"
    directory.mkdir()
    (directory / "one").write_text("before")
    wanted = host.look()
    older = _point(host, directory)
    (directory / "one").write_text("of the older change")
    settled(host.engine, older, False)
    newer = _point(host, directory / "one")
    (directory / "one").write_text("of the newer change, which is longer")
    if looked:
        settled(host.engine, newer, False)
    host.undo(older)
    assert changes(wanted, host.look()) == {}


def test_an_edit_after_a_newer_point_looked_is_a_conflict(host: Host) -> None:
    directory = host.path / "data" / "conf.d"
    directory.mkdir()
    older = _point(host, directory / "one")
    (directory / "one").write_text("of the older change")
    settled(host.engine, older, False)
    newer = _point(host, directory)
    (directory / "two").write_text("of the newer change")
    settled(host.engine, newer, False)
    (directory / "one").write_text("of somebody else, and longer")
    before = host.look()
    with pytest.raises(ConflictError, match=r"conf\.d/one"):
        rollback(host.engine, RollbackRequest(older), False)
    assert changes(before, host.look()) == {}


def _point(host: Host, path: Path) -> str:
    """The name of a point made by hand."""
    return backup(host.engine, [{"kind": "files", "paths": [str(path)]}], None, str(path), False)["rollback_point"][
        "id"
    ]


def test_k10_what_others_installed_since_is_kept_aside(host: Host) -> None:
    """No rollback point keeps it, since nobody wants the halves of an unfinished installation back."""
    host.install("one", fresh="3.0", pack="3.0")
    wanted = host.look()
    _killed(host, "two", fresh="1.0", pack="1.0")
    theirs = {"fresh/__init__.py": "of somebody else", "fresh/more.py": "more of it", "../../../bin/fresh": "a script"}
    host.venv.install("fresh", "7.1", theirs)
    with pytest.raises(ConflictError, match=r"fresh 7\.1"):
        host.undo()
    assert host.undo(force=True)["redo_point"] is None
    assert changes(wanted, host.look()) == {}
    assert {*theirs.values()} <= _stored(host)


def test_k10_an_environment_with_what_others_installed_is_kept_aside(host: Host) -> None:
    """The unfinished installation had made it; it goes, and what others installed into it is theirs."""
    wanted = host.look()
    _killed(host, "one", fresh="1.0", pack="1.0")
    host.venv.install("handmade", "7.1", {"handmade/__init__.py": "of somebody else"})
    with pytest.raises(ConflictError, match=r"handmade 7\.1"):
        host.undo()
    assert host.undo(force=True)["redo_point"] is None
    assert changes(wanted, host.look()) == {}
    assert "of somebody else" in _stored(host)


def test_k1_what_was_rolled_back_in_part_and_not_kept_is_not_exact(host: Host) -> None:
    """Nothing is left to undo for an earlier date, and what was in the environment then is not there."""
    bare = host.install("zero")
    first = host.install("one", pack="1.0")
    middle = host.now().updated
    host.undo(first, kinds=["venv"], keep_broken=True)
    again = host.undo(first, kinds=["venv"])
    assert (again["changed"], again["exact"]) == (False, True)
    result = host.undo(middle)
    assert (result["changed"], result["exact"]) == (False, False)
    assert "was not kept" in result["inexact"][0]
    assert "pack" not in host.venv.installed()
    # What came later goes, and the result is still not what there was.
    second = host.install("two", other="1.0")
    for target in (middle, second):
        result = host.undo(target)
        assert (result["changed"], result["exact"]) == (True, target == second)
        host.undo(result["redo_point"])
    # Before all of it there is nothing to be wrong about.
    assert host.undo(first)["exact"] is True
    assert host.undo(bare)["exact"] is True


def test_k1_what_was_rolled_back_in_part_and_kept_is_exact(host: Host) -> None:
    host.install("one", pack="1.0")
    middle, wanted = host.now().updated, host.look()
    assert host.undo("last", kinds=["venv"])["redo_point"]
    assert host.undo(middle)["exact"] is True
    assert changes(wanted, host.look()) == {}


def test_a_finished_installation_that_was_rolled_back_in_part_is_kept_when_the_rest_goes(host: Host) -> None:
    """It is no failed one, of which nobody wants anything back."""
    first = host.install("one", pack="1.0")
    host.undo(host.now().points[1]["point"])
    wanted = host.look()
    assert (host.now().status, host.venv.installed()) == ("failed", {})
    redo = host.undo(first)["redo_point"]
    assert redo
    assert not host.venv.path.exists()
    host.undo(redo)
    assert changes(wanted, host.look()) == {}


def _killed(host: Host, inputs: str, **versions: str) -> None:
    """An installation whose installer is killed while it puts the last of these in place."""
    venv: dict[str, Any] = {"kind": "venv", "path": str(host.venv.path)}
    host.call(inputs, {"phase": PHASES[0], "status": "started", "capture": [venv]})
    if not host.venv.path.exists():
        host.venv.make()
    pins = [{"name": name, "version": version} for name, version in versions.items()]
    done: Transition = {"phase": PHASES[0], "status": "completed"}
    host.call(inputs, done, {"phase": PHASES[2], "status": "started", "capture": [{**venv, "distributions": pins}]})
    for name, version in versions.items():
        host.venv.install(name, version, register=name != [*versions][-1])


def _stored(host: Host) -> set[str]:
    """The content of all files below the root, where the engine keeps what is nobody's to destroy."""
    files = [path for path in (host.path / "root").rglob("*") if path.is_file() and not path.is_symlink()]
    return {path.read_text(errors="replace") for path in files}
