# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention on real states: what goes is gone, what stays can be gone back through."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive as storage_archive
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> SageHost:
    return SageHost(tmp_path).make()


def _archives(host: SageHost) -> list[str]:
    return [name.partition(".tar")[0] for name in host.stored() if ".tar." in name]


def test_nothing_is_removed_unless_asked(host: SageHost) -> None:
    names = [host.install(version) for version in "123"]
    assert host.stored() == [f"{name}.1" for name in names]
    assert not host.clean()["changed"]
    assert host.stored() == [f"{name}.1" for name in names]


def test_check_mode_predicts_and_writes_nothing(host: SageHost) -> None:
    names = [host.install(version) for version in "123"]
    before = snapshot(host.path)
    said = host.clean(check_mode=True, installations=1)
    assert changes(before, snapshot(host.path)) == {}
    occupied = host.occupied()
    done = host.clean(installations=1)
    assert said == done
    assert done["pruned"] == [f"{names[0]}.1", f"{names[1]}.1"]
    assert done["bytes"] == host.occupied()
    assert done["freed_bytes"] == occupied - host.occupied() > 100_000
    assert (done["kept"], done["protected"], done["warnings"]) == (1, [], [])
    assert host.stored() == [f"{names[2]}.1"]
    assert not host.clean(installations=1)["changed"]
    assert host.clean(check_mode=True, installations=1)["freed_bytes"] == 0


def test_at_the_end_of_an_installation_with_its_own_end(host: SageHost) -> None:
    first = host.install("1")
    second = host.begin("2")
    before = snapshot(host.path)
    assert retain(host.engine, Limits(installations=1), True)["pruned"] == []
    assert changes(before, snapshot(host.path)) == {}
    done = host.end(Limits(installations=1))
    assert done["pruned"] == [f"{first}.1"]
    assert host.stored() == [f"{second}.1"]
    rollback(host.engine, RollbackRequest(second), False)
    assert changes(host.before[second], snapshot(host.data)) == {}
    with pytest.raises(InputError, match="retention removed") as caught:
        rollback(host.engine, RollbackRequest(first), False)
    # The next step is named, and it helps (E27).
    assert "The oldest that can be reached is how it is now" in caught.value.advice


def test_e27_a_refused_target_names_the_oldest_that_can_be_reached(host: SageHost) -> None:
    first, second, third = (host.install(version) for version in "123")
    assert host.clean(installations=2)["pruned"] == [f"{first}.1"]
    with pytest.raises(InputError) as caught:
        rollback(host.engine, RollbackRequest(first), False)
    oldest = caught.value.advice.split("reached is ")[1].split()[0]
    assert oldest == f"{second}.1" < third
    rollback(host.engine, RollbackRequest(oldest), False)
    assert changes(host.before[second], snapshot(host.data)) == {}


def test_s59_logs_go_with_what_they_are_about(host: SageHost) -> None:
    logs = host.path / "root" / ".sage" / "checkpoints" / "logs"
    first, second, third = (host.install(version) for version in "123")
    assert sorted(os.listdir(logs)) == [f"{name}.log" for name in (first, second, third)]
    assert host.clean(check_mode=True, installations=2)["pruned"] == [f"{first}.1"]
    assert len(os.listdir(logs)) == 3
    host.clean(installations=2)
    assert sorted(os.listdir(logs)) == [f"{second}.log", f"{third}.log"]
    assert "captured" in (logs / f"{third}.log").read_text()
    assert not host.clean(installations=2)["changed"]


def test_a_first_installation_leaves_nothing_to_clean(host: SageHost) -> None:
    host.begin("1")
    assert host.end(Limits(installations=1, days=1, bytes=1)) == {}
    assert not host.clean(installations=1, days=1, bytes=1, archive=True, redo=False)["changed"]
    host.begin("2")
    assert host.prunable()


def test_what_a_failed_phase_left_of_the_same_installation_is_told(host: SageHost) -> None:
    name = host.begin("1")
    host.call(transitions=[{"phase": "python_deps", "status": "failed"}])
    rollback(host.engine, RollbackRequest("python_deps"), False)
    assert host.end(Limits())["pruned"] == [f"{name}.1"]
    assert not host.prunable()


def test_what_nobody_recorded_is_told(host: SageHost) -> None:
    name = host.install("1")
    assert not host.prunable()
    (host.store / name / f"{name}.2").mkdir(mode=0o700)
    assert host.clean()["changed"]
    assert not host.prunable()


def test_failed_attempts_do_not_push_good_ones_out(host: SageHost) -> None:
    good = host.install("1")
    for version in "2345":
        host.begin(version)
        host.call(transitions=[{"phase": "python_deps", "status": "failed"}])
        retain(host.engine, Limits(installations=1), False)
    assert f"{good}.1" in host.stored()
    assert host.clean(installations=1, days=1, bytes=1)["pruned"] == []
    rollback(host.engine, RollbackRequest(good), False)
    assert changes(host.before[good], snapshot(host.data)) == {}


def test_back_through_archives(host: SageHost) -> None:
    names = [host.install(version, Limits()) for version in "1234"]
    assert _archives(host) == [f"{name}.1" for name in names[:3]]
    assert len(host.stored()) == 4
    before = snapshot(host.store)
    assert not host.clean(archive=True)["changed"]
    assert not host.clean(check_mode=True, archive=True)["changed"]
    assert changes(before, snapshot(host.store)) == {}
    rollback(host.engine, RollbackRequest(names[1]), False)
    assert changes(host.before[names[1]], snapshot(host.data)) == {}
    rollback(host.engine, RollbackRequest(names[0]), False)
    assert changes(host.before[names[0]], snapshot(host.data)) == {}


def _unpack(host: SageHost) -> None:
    with host.engine.session() as session:
        for one in session.history():
            for point in one.points:
                if point.get("archive") and f"{point['point']}" not in host.stored() and session.where is not None:
                    storage_archive.unpack(session.where, point).close()


def test_what_was_unpacked_goes_again(host: SageHost) -> None:
    names = [host.install(version, Limits()) for version in "12"]
    stored = host.stored()
    _unpack(host)
    assert host.stored() == sorted([*stored, f"{names[0]}.1"])
    said = host.clean(check_mode=True)
    done = host.clean()
    assert said == done
    assert done["changed"]
    assert done["pruned"] == done["archived"] == []
    assert done["freed_bytes"] > 0
    assert host.stored() == stored
    _unpack(host)
    archive = next(host.store.rglob("*.tar.*"))
    archive.write_bytes(archive.read_bytes()[:-1] + b"?")
    assert "is damaged" in host.clean()["warnings"][0]
    assert f"{names[0]}.1" in host.stored()


def test_what_a_rollback_put_aside_stays(host: SageHost) -> None:
    names = [host.install(version, Limits()) for version in "12"]
    _unpack(host)
    kept = host.store / names[0] / f"{names[0]}.1" / "0" / "aside"
    kept.mkdir()
    (kept / "notes").write_text("mine")
    for dummy in range(2):
        host.clean(archive=True)
        assert (kept / "notes").read_text() == "mine"
    host.install("3")
    host.clean(installations=1)
    assert names[0] not in os.listdir(host.store)


def test_what_was_put_aside_is_never_compressed(host: SageHost) -> None:
    name = host.install("1")
    (host.store / name / f"{name}.1" / "0" / "aside").mkdir()
    host.install("2")
    assert not host.clean(archive=True)["changed"]
    assert _archives(host) == []


def test_nothing_of_an_interrupted_rollback_is_touched(host: SageHost) -> None:
    names = [host.install(version) for version in "123"]
    (host.store / names[1] / "unknown").mkdir()
    with host.engine.session() as session:
        session.add(recorded({"event": "undoing", "installations": [names[1]], "points": [f"{names[1]}.1"]}))
        session.commit()
    done = host.clean(installations=1, archive=True, bytes=1)
    assert done["pruned"] == [f"{names[0]}.1"]
    assert done["archived"] == []
    assert "a rollback of it was interrupted" in done["protected"][0]
    assert host.stored() == [f"{names[1]}.1", f"{names[2]}.1", "unknown"]


def test_an_archive_goes_with_its_point(host: SageHost) -> None:
    names = [host.install(version, Limits()) for version in "123"]
    done = host.clean(installations=2)
    assert done["pruned"] == [f"{names[0]}.1"]
    assert _archives(host) == [f"{names[1]}.1"]
    assert os.listdir(host.store) == [name for name in os.listdir(host.store) if name != names[0]]


def test_content_that_is_linked_elsewhere_is_not_compressed(host: SageHost) -> None:
    host.begin("1")
    host.end()
    captured = next(path for path in host.store.glob("2*/*/*/copies/*/*") if path.stat().st_size > 1000)
    os.link(captured, host.path / "cache")
    host.install("2")
    before = host.stored()
    result = host.clean(archive=True)
    assert (result["changed"], result["archived"], host.stored()) == (False, [], before)
    assert result["bytes"] == host.occupied()
    (host.path / "cache").unlink()
    assert len(host.clean(archive=True)["archived"]) == 1


def test_bytes(host: SageHost) -> None:
    names = [host.install(version) for version in "123"]
    size = host.occupied()
    assert not host.clean(bytes=size)["changed"]
    done = host.clean(bytes=size - 1)
    assert done["pruned"] == [f"{names[0]}.1"]
    assert done["bytes"] == host.occupied() < size
    done = host.clean(bytes=1)
    assert done["pruned"] == [f"{names[1]}.1"]
    assert len(done["protected"]) == 1


def test_leftovers_of_killed_captures_go(host: SageHost) -> None:
    name = host.install("1")
    for left in (f"{name}.2", f".{name}.1.unpack", f".{name}.1.gone"):
        (host.store / name / left / "0").mkdir(parents=True)
    (host.store / name / f"{name}.1.tar.gz").write_bytes(b"never recorded")
    (host.store / "20200101_000000" / "20200101_000000.1").mkdir(parents=True)
    said = host.clean(check_mode=True)
    done = host.clean()
    assert said == done
    assert done["changed"]
    assert host.stored() == [f"{name}.1"]
    assert sorted(os.listdir(host.store)) == [name, "farm"]
    assert not host.clean()["changed"]


def test_a_redo_point_stays_until_it_is_dropped(host: SageHost) -> None:
    names = [host.install(version) for version in "12"]
    after = snapshot(host.data)
    rollback(host.engine, RollbackRequest(names[1]), False)
    assert host.clean()["pruned"] == []
    redo = host.changes()[-1].points[-1]
    assert redo["redo"]["points"] == [f"{names[1]}.1"]
    rollback(host.engine, RollbackRequest(redo["point"]), False)
    assert changes(after, snapshot(host.data)) == {}
    rollback(host.engine, RollbackRequest(names[1]), False)
    dropped = host.clean(redo=False)["pruned"]
    assert {f"{names[1]}.1", redo["point"]} <= set(dropped)
    assert host.stored() == [f"{names[0]}.1"]
    rollback(host.engine, RollbackRequest(names[0]), False)
    assert changes(host.before[names[0]], snapshot(host.data)) == {}


def test_a_host_without_a_record_is_left_alone(tmp_path: Path) -> None:
    host = SageHost(tmp_path)
    result = host.clean(installations=1, bytes=1, archive=True)
    assert not result["changed"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_store_is_not_followed(host: SageHost) -> None:
    names = [host.install(version) for version in "12"]
    outside = host.path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    shutil.rmtree(host.store / names[0] / f"{names[0]}.1")
    (host.store / names[0] / f"{names[0]}.1").symlink_to(outside)
    (host.store / names[1] / "stray").symlink_to(outside)
    host.clean(installations=1)
    assert host.stored() == [f"{names[1]}.1"]
    (host.store / "swapped").symlink_to(outside)
    assert host.clean(installations=1)["changed"] is False
    assert (outside / "file").read_text() == "precious"


def test_what_the_script_has_begun_is_left_alone(host: SageHost) -> None:
    names = [host.install(version) for version in "123"]
    begun = host.store.parent / "rollback.begun"
    begun.write_text("")
    done = host.clean(installations=1, archive=True)
    assert (done["changed"], done["pruned"], done["kept"]) == (False, [], 3)
    assert "rollback.sh began to take back the latest change" in done["protected"][0]
    assert host.stored() == [f"{name}.1" for name in names]


def test_the_script_never_names_what_is_gone(host: SageHost) -> None:
    name = host.install("1")
    script = host.store.parent / "rollback.sh"
    assert f"{name}.1" in script.read_text()
    host.clean(archive=True, uncompressed=0)
    assert _archives(host) == [f"{name}.1"]
    assert f"{name}.1" not in script.read_text()


def test_a_store_that_cannot_be_read_is_a_warning(host: SageHost) -> None:
    names = [host.install(version) for version in "12"]
    host.store.rename(host.path / "elsewhere")
    host.store.symlink_to(host.path / "elsewhere")
    done = host.clean(installations=1)
    assert (done["changed"], done["pruned"], done["kept"]) == (False, [], 2)
    assert "nothing was removed" in done["warnings"][0]
    assert sorted(os.listdir(host.path / "elsewhere")) == [*names, "farm"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_no_room_for_an_archive_is_a_warning(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        host = SageHost(place).make()
        first = host.begin("1")
        host.end()
        host.begin("2")
        with (place / "filler").open("wb") as stream:
            stream.write(b"x" * (30 << 20))
        result = host.end(Limits())
        assert result["archived"] == []
        assert "stays uncompressed" in result["warnings"][0]
        assert f"{first}.1" in host.stored()
        assert _archives(host) == []
        assert host.history()[-1].status == "completed"
        (place / "filler").unlink()
        assert host.clean(archive=True)["archived"] == [f"{first}.1"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_what_cannot_be_removed_is_a_warning(host: SageHost) -> None:
    names = [host.install(version) for version in "12"]
    (host.store / names[0] / f"{names[0]}.1" / "0").chmod(0o500)
    done = host.clean(installations=1)
    assert "was not removed" in done["warnings"][0]


@pytest.mark.slow
def test_a_pin_in_a_repository_is_released(host: SageHost, tmp_path: Path) -> None:
    from ansible_collections.intellistream.sage.plugins.module_utils._base import command

    clone = tmp_path / "clone"
    for arguments in (["init", "-q", str(clone)], ["-C", str(clone), "commit", "-q", "--allow-empty", "-m", "1"]):
        command.checked(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments])
    refs: list[str] = []
    for version in "12":
        host.begin(version)
        (clone / "work").write_text(version)
        backup(host.engine, [{"kind": "git", "path": str(clone)}], "submodule_sync", version, False)
        host.end(Limits() if version == "2" else None)
        refs.append(command.checked(["git", "-C", str(clone), "for-each-ref", "refs/sage"]).stdout)
    assert set() < set(refs[0].splitlines()) < set(refs[1].splitlines())
    assert len(_archives(host)) == 2
    host.clean(installations=1)
    left = command.checked(["git", "-C", str(clone), "for-each-ref", "refs/sage"]).stdout
    assert set(left.splitlines()) == set(refs[1].splitlines()) - set(refs[0].splitlines())
