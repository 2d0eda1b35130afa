# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and undo of a git work tree with submodules, against an oracle that asks git itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    ConflictError,
    RollbackError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
from ansible_collections.intellistream.sage.plugins.module_utils._git import command as git_command
from ansible_collections.intellistream.sage.plugins.module_utils._git.resource import GitResource
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts
    from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import Snapshot

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("git") is None, reason="needs git")]

WEIRD = b'we\nird "\\ \xff\t\xc3\xa4'


def git(path: Path, *arguments: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *options, "-C", str(path), *arguments], check=True, capture_output=True)
    return done.stdout.decode(errors="surrogateescape").strip()


def commit(path: Path, text: str) -> str:
    (path / "file").write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", text)
    return git(path, "rev-parse", "HEAD")


def facts(path: Path) -> Snapshot:
    """All that an undo promises: the tree and what git says of it, of submodules too."""
    found = {
        name: what
        for name, what in snapshot(path, times=False).items()
        if name != ".git" and ".git" not in name.split("/")
    }
    inner = [path / line.split()[1] for line in git(path, "submodule", "status", "--recursive").splitlines() if line]
    for each in [path, *(one for one in inner if (one / ".git").exists())]:
        for command in (
            ("status", "--porcelain=v2", "--untracked-files=all", "--ignored"),
            ("rev-parse", "HEAD", "--symbolic-full-name", "HEAD"),
            ("ls-files", "--stage"),
            ("submodule", "status", "--recursive"),
            ("config", "--local", "--get-regexp", r"^(core|submodule)\."),
            ("for-each-ref", "refs/heads", "refs/remotes", "refs/tags"),
        ):
            said = git(each, *command).splitlines()
            if command[0] == "submodule":
                # In brackets is some name of the commit.
                said = [line.partition(" (")[0] for line in said]
            found[f"{each.relative_to(path)} {command[0]}"] = tuple(said)
    modules = path / ".git/modules"
    found["modules"] = tuple(sorted(str(one.relative_to(modules)) for one in modules.rglob("HEAD")))
    return found


def upstream(path: Path) -> None:
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    for name in ("script", "gone", "moved", "staged", "both"):
        (path / name).write_text(f"{name}\n" * 20)
    (path / "link").symlink_to("script")
    (path / ".gitignore").write_text("*.ignored\n")
    (path / "directory").mkdir()
    (path / "directory/below").write_text("below")
    commit(path, "one")


def _clone(top: Path) -> None:
    """A clone of a repository with a submodule in a submodule, whose branches change them."""
    (top / "root").mkdir(parents=True)
    main = top / "main"
    for name in ("deep", "sub", "late", "main"):
        upstream(top / name)
    git(top / "sub", "submodule", "add", "-q", str(top / "deep"), "in/deep")
    commit(top / "sub", "two")
    git(main, "submodule", "add", "-q", str(top / "sub"), "inner")
    commit(main, "two")
    git(main, "checkout", "-q", "-b", "added")
    git(main, "submodule", "add", "-q", str(top / "late"), "more/late")
    shutil.rmtree(main / "directory")
    (main / "directory").write_text("a file now")
    (main / "new").write_text("new")
    commit(main, "with another submodule")
    git(main, "checkout", "-q", "-b", "removed", "main")
    git(main, "rm", "-q", "-f", "inner")
    (main / "inner").mkdir(exist_ok=True)
    (main / "inner/file").write_text("no submodule")
    git(main, "add", "-A")
    commit(main, "without")
    git(main, "checkout", "-q", "-b", "updated", "main")
    shutil.rmtree(main / "more")
    commit(top / "sub", "three")
    git(main, "submodule", "update", "-q", "--init", "--remote", "inner")
    commit(main, "updated")
    git(main, "checkout", "-q", "main")
    git(top, "clone", "-q", "--recursive", str(main), "work")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests of this process, made once: git takes a second of processor time for it."""
    top = tmp_path_factory.mktemp("prepared")
    _clone(top / "here")
    (top / "here").rename(top / "saved")
    return top


@pytest.fixture
def tmp_path(prepared: Path) -> Iterator[Path]:
    """One directory for all tests, since repositories know each other by their paths."""
    here = prepared / "here"
    subprocess.run(["cp", "-a", str(prepared / "saved"), str(here)], check=True)
    # As after a clone: what git remembers of files is what they are.
    git(here / "work", "status")
    yield here
    shutil.rmtree(here)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The clone."""
    return tmp_path / "work"


def dirty(work: Path) -> None:
    """Every kind of work that nobody committed."""
    (work / "file").write_text("changed")
    (work / "staged").write_text("staged")
    (work / "both").write_text("staged")
    (work / "announced").write_text("announced")
    (work / "added").write_text("added")
    git(work, "add", "staged", "both", "added")
    git(work, "add", "--intent-to-add", "announced")
    (work / "both").write_text("staged and changed")
    (work / "script").chmod(0o755)
    (work / "gone").unlink()
    git(work, "mv", "moved", "away")
    (work / "link").unlink()
    (work / "link").symlink_to("nowhere")
    (work / "untracked/deep").mkdir(parents=True)
    (work / "untracked/deep/one").write_text("untracked")
    (work / "untracked/tool").write_text("tool")
    (work / "untracked/tool").chmod(0o755)
    (work / "untracked/secret").write_text("secret")
    (work / "untracked/secret").chmod(0o600)
    (work / "untracked/link").symlink_to("/nowhere")
    with open(os.fsencode(work) + b"/" + WEIRD, "wb") as stream:
        stream.write(b"\0binary\r\n")
    with open(os.fsencode(work) + b"/a" + WEIRD, "wb") as stream:
        stream.write(b"")
    git(work, "add", "--intent-to-add", os.fsdecode(b"a" + WEIRD))
    (work / "x.ignored").write_text("ignored")


def change(work: Path, branch: str) -> None:
    """What ansible.builtin.git does with force and recursive."""
    git(work, "reset", "-q", "--hard", "HEAD")
    git(work, "fetch", "-q", "origin")
    git(work, "checkout", "-q", "--force", branch)
    git(work, "reset", "-q", "--hard", f"origin/{branch}", "--")
    git(work, "submodule", "-q", "sync")
    git(work, "submodule", "-q", "update", "--init", "--recursive", "--force")


class Taken:
    """A capture, without the engine."""

    def __init__(self, work: Path, name: str = "0") -> None:
        self.work = work
        directory = work.parent / "store" / name
        directory.mkdir(parents=True, exist_ok=True)
        self.where = PrivateDir(str(directory), os.open(directory, os.O_RDONLY))
        self.manifest: Facts = GitResource(str(work)).capture(self.where)

    def way(self, **options: Any) -> Undo:
        return GitResource(str(self.work)).undo([Layer({}, self.manifest, self.where)], UndoOptions(**options))

    def back(self, **options: Any) -> None:
        undo = self.way(**options)
        assert undo.conflicts == []
        undo.check()
        undo.execute()
        assert undo.verify() == []


def engine(work: Path) -> Engine:
    return Engine(str(work.parent / "root"))


def capture(work: Path) -> bool:
    return bool(backup(engine(work), [{"kind": "git", "path": str(work)}], None, "", False)["changed"])


def unpinned(found: Snapshot) -> Snapshot:
    """Without what an undo does not take back: refs that were fetched or made since."""
    return {name: what for name, what in found.items() if not name.endswith(" for-each-ref")}


def test_commits_come_back_offline(work: Path, tmp_path: Path) -> None:
    recorded = GitResource(str(work)).observe()
    assert recorded["branch"] == "main"
    assert list(recorded["submodules"]) == ["inner", "inner/in/deep"]
    before = facts(work)
    assert capture(work)
    assert not capture(work)
    assert facts(work) == before
    change(work, "updated")
    commit(work, "newer")
    for name in ("main", "sub", "deep"):
        shutil.rmtree(tmp_path / name)
    assert len(GitResource(str(work)).differences(recorded)) == 1
    result = rollback(engine(work), RollbackRequest("last"), False)
    assert result["plan"]["restore"]
    assert GitResource(str(work)).observe() == recorded
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    assert rollback(engine(work), RollbackRequest("last"), False)["changed"] is False


@pytest.mark.parametrize("branch", ["added", "removed", "updated"])
def test_work_comes_back_from_any_change(work: Path, tmp_path: Path, branch: str) -> None:
    dirty(work)
    if branch != "removed":
        # There git would not overwrite it.
        dirty(work / "inner")
        dirty(work / "inner/in/deep")
        git(work / "inner", "checkout", "-q", "-b", "mine")
    git(work, "branch", "other")
    before = facts(work)
    taken = Taken(work)
    assert changes(before, facts(work)) == {}, "capturing changed something"
    assert taken.way().plan == {"install": [], "erase": [], "restore": [], "remove": []}
    assert not taken.way().touches()
    if branch == "removed":
        git(work, "submodule", "-q", "deinit", "-f", "inner")
    change(work, branch)
    git(work, "reflog", "expire", "--expire=now", "--all")
    for gitdir in (work / ".git", work / ".git/modules/inner", work / ".git/modules/inner/modules/in/deep"):
        git(work, f"--git-dir={gitdir}", f"--work-tree={gitdir}", "gc", "-q", "--prune=now")
    for name in ("main", "sub", "deep", "late"):
        shutil.rmtree(tmp_path / name)
    taken.back()
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    taken.back()
    assert changes(unpinned(before), unpinned(facts(work))) == {}


def test_files_that_did_not_change_are_not_written(work: Path) -> None:
    dirty(work)
    os.utime(work / "untracked/secret", (1, 1))
    taken = Taken(work)
    (work / "staged").write_text("again")
    taken.back(force=True, resumed=True)
    assert (work / "untracked/secret").stat().st_mtime == 1
    assert (work / "staged").read_text() == "staged"


def test_detached_head_comes_back(work: Path) -> None:
    git(work, "checkout", "-q", "--detach", "HEAD~1")
    git(work, "submodule", "deinit", "-q", "-f", "--all")
    recorded = GitResource(str(work)).observe()
    assert recorded["branch"] is None
    before = facts(work)
    capture(work)
    git(work, "checkout", "-q", "main")
    rollback(engine(work), RollbackRequest("last"), False)
    assert GitResource(str(work)).observe() == recorded
    assert changes(unpinned(before), unpinned(facts(work))) == {}


def test_a_conflict_in_progress_is_refused(work: Path) -> None:
    git(work, "checkout", "-q", "-b", "ours")
    commit(work, "ours")
    git(work, "checkout", "-q", "-b", "theirs", "HEAD~1")
    commit(work, "theirs")
    with pytest.raises(subprocess.CalledProcessError):
        git(work, "merge", "ours")
    with pytest.raises(CaptureError, match="a merge is in progress"):
        capture(work)
    git(work, "merge", "--quit")
    with pytest.raises(CaptureError, match="file has a conflict"):
        capture(work)
    git(work, "reset", "-q", "--hard")
    git(work, "update-index", "--assume-unchanged", "file")
    with pytest.raises(CaptureError, match="file has a conflict, or git was told not to look"):
        capture(work)
    assert git(work, "for-each-ref", "refs/sage") == ""


def test_a_merge_begun_since_is_a_conflict_and_kept(work: Path) -> None:
    before, taken = facts(work), Taken(work)
    git(work, "checkout", "-q", "-b", "theirs")
    commit(work, "theirs")
    git(work, "checkout", "-q", "main")
    commit(work, "ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(work, "merge", "theirs")
    (work / "file").write_text("half merged")
    undo = taken.way(force=True)
    assert f"{work} has a merge that was not finished" in undo.conflicts
    undo.execute()
    assert undo.verify() == []
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    kept = git(work, "for-each-ref", "--format=%(refname)", "refs/sage/kept").splitlines()
    assert "half merged" in [git(work, "show", f"{one}:file") for one in kept]
    assert "ours" in [git(work, "show", f"{one}:file") for one in kept]


def test_changes_since_are_conflicts_and_kept(work: Path) -> None:
    dirty(work)
    before = facts(work)
    assert capture(work)
    (work / "file").write_text("precious")
    (work / "untracked/tool").write_text("better")
    (work / "others").write_text("in nobody's way")
    (work / "inner/file").write_text("precious too")
    (work / "staged").write_text("other")
    git(work, "add", "staged")
    for request in (RollbackRequest("last"), RollbackRequest("last")):
        with pytest.raises(ConflictError, match="not committed") as caught:
            rollback(engine(work), request, False)
    named = {line.split(" was ")[0] for line in caught.value.details["conflicts"]}
    assert named == {str(work / name) for name in ("file", "untracked/tool", "inner/file", "staged")}
    assert (work / "file").read_text() == "precious"
    rollback(engine(work), RollbackRequest("last", force=True), False)
    assert (work / "others").read_text() == "in nobody's way"
    (work / "others").unlink()
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    kept = git(work, "for-each-ref", "--format=%(refname)", "refs/sage/kept")
    assert git(work, "show", f"{kept}:file") == "precious"
    assert git(work, "show", f"{kept}:untracked/tool") == "better"
    assert git(work, "show", f"{kept}^2:staged") == "other"
    kept = git(work / "inner", "for-each-ref", "--format=%(refname)", "refs/sage/kept")
    assert git(work / "inner", "show", f"{kept}:file") == "precious too"


def test_a_file_in_the_way_is_a_conflict(work: Path) -> None:
    """Ignored files and files in a directory where there was a file are not overwritten in silence."""
    (work / "z.ignored").write_text("tracked")
    git(work, "add", "-f", "z.ignored")
    commit(work, "an ignored file")
    (work / "untracked").write_text("a file")
    taken = Taken(work)
    git(work, "checkout", "-q", "HEAD~1")
    (work / "z.ignored").write_text("somebody's")
    (work / "untracked").unlink()
    (work / "untracked").mkdir()
    (work / "untracked/below").write_text("somebody's")
    named = {line.split(" was ")[0] for line in taken.way().conflicts}
    assert named == {str(work / "z.ignored"), str(work / "untracked/below")}


def test_another_repository_inside_is_left_alone(work: Path) -> None:
    upstream(work / "nested")
    (work / "nested/file").write_text("changed")
    before = facts(work)
    taken = Taken(work)
    assert taken.manifest["repository"]["nested"] == ["nested/"]
    change(work, "updated")
    taken.back()
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    assert not taken.way().touches()


def test_work_in_a_submodule_that_came_is_a_conflict_and_kept(work: Path) -> None:
    before, taken = facts(work), Taken(work)
    change(work, "added")
    late = work / "more/late"
    assert taken.way().plan["remove"] == [str(late)]
    assert taken.way().conflicts == []
    (late / "mine").write_text("mine")
    git(late, "checkout", "-q", "-b", "local")
    commit(late, "local work")
    (late / "file").write_text("not committed")
    undo = taken.way(force=True)
    assert undo.conflicts == [
        f"{late}/file was changed or added and not committed",
        f"{late} has commits that are on no remote",
    ]
    undo.execute()
    assert undo.verify() == []
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    assert not (work / "more").exists()
    kept = git(work, "for-each-ref", "--format=%(refname)", "refs/sage/kept").splitlines()
    assert {git(work, "show", f"{one}:file") for one in kept} == {"local work", "not committed"}
    assert {git(work, "show", f"{one}:mine") for one in kept} == {"mine"}


def test_commits_since_are_kept(work: Path) -> None:
    taken = Taken(work)
    newer = commit(work, "newer")
    taken.back()
    assert git(work, "for-each-ref", "--format=%(objectname)", "refs/sage/kept") == newer


def test_a_head_that_somebody_moved_is_a_conflict(work: Path) -> None:
    taken = Taken(work)
    change(work, "updated")
    left = GitResource(str(work)).observe()
    layers = [Layer({}, taken.manifest, taken.where, after=left)]
    assert GitResource(str(work)).undo(layers, UndoOptions()).conflicts == []
    commit(work, "newer")
    assert "the installation left it at" in GitResource(str(work)).undo(layers, UndoOptions()).conflicts[0]


def test_absent_is_removed_and_comes_back(work: Path, tmp_path: Path) -> None:
    os.rename(work, tmp_path / "elsewhere")
    capture(work)
    os.rename(tmp_path / "elsewhere", work)
    before = facts(work)
    result = rollback(engine(work), RollbackRequest("last"), False)
    assert not work.exists()
    assert result["redo_point"]
    rollback(engine(work), RollbackRequest(str(result["redo_point"])), False)
    assert changes(before, facts(work)) == {}


def test_work_in_a_clone_that_was_not_there_is_a_conflict(work: Path, tmp_path: Path) -> None:
    os.rename(work, tmp_path / "elsewhere")
    capture(work)
    os.rename(tmp_path / "elsewhere", work)
    (work / "x.ignored").write_text("does not matter")
    (work / "inner/untracked").write_text("matters")
    commit(work / "inner/in/deep", "on no remote")
    with pytest.raises(ConflictError) as caught:
        rollback(engine(work), RollbackRequest("last"), False)
    inner = work / "inner"
    assert caught.value.details["conflicts"] == [
        f"{inner}/untracked was changed or added and not committed",
        f"{inner}/in/deep has commits that are on no remote",
    ]
    rollback(engine(work), RollbackRequest("last", force=True), False)
    assert not work.exists()


def test_k10_a_clone_with_work_is_kept_aside_where_no_point_keeps_it(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.rename(work, tmp_path / "elsewhere")
    capture(work)
    os.rename(tmp_path / "elsewhere", work)
    (work / "untracked").write_text("matters")
    real = os.fstatvfs
    monkeypatch.setattr(os, "fstatvfs", lambda fd: os.statvfs_result([*real(fd)[:4], 0, *real(fd)[5:10]]))
    assert rollback(engine(work), RollbackRequest("last", force=True), False)["redo_point"] is None
    assert not work.exists()
    [kept] = [path for path in tmp_path.rglob("untracked") if "aside" in path.parts]
    assert kept.read_text() == "matters"


def test_what_a_killed_clone_left_is_nobodys_work(work: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    backup(engine(work), [{"kind": "git", "path": str(clone)}], "submodule_sync", "", False)
    git(tmp_path, "init", "-q", "clone")
    (clone / "half").write_text("written")
    rollback(engine(work), RollbackRequest("last"), False)
    assert not clone.exists()


def test_what_a_killed_checkout_left_is_nobodys_work(work: Path) -> None:
    before = facts(work)
    backup(engine(work), [{"kind": "git", "path": str(work)}], "submodule_sync", "", False)
    (work / "file").write_text("half of the next")
    (work / ".git/index.lock").write_text("")
    rollback(engine(work), RollbackRequest("last"), False)
    assert unpinned(facts(work)) == unpinned(before)


def test_an_undo_that_removed_a_submodule_can_be_undone(work: Path, tmp_path: Path) -> None:
    capture(work)
    change(work, "added")
    (work / "more/late/untracked").write_text("untracked")
    before = facts(work)
    for name in ("main", "sub", "deep", "late"):
        shutil.rmtree(tmp_path / name)
    with pytest.raises(ConflictError):
        rollback(engine(work), RollbackRequest("last"), False)
    result = rollback(engine(work), RollbackRequest("last", force=True), False)
    assert not (work / "more").exists()
    rollback(engine(work), RollbackRequest(str(result["redo_point"])), False)
    assert changes(before, facts(work)) == {}


def test_no_work_tree_is_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(CaptureError, match="not a git work tree"):
        capture(tmp_path / "plain")
    git(tmp_path / "plain", "init", "-q")
    with pytest.raises(CaptureError, match="not a git work tree with a commit"):
        capture(tmp_path / "plain")


def pins(directory: Path) -> int:
    return len(
        git(
            directory.parent, f"--git-dir={directory}", f"--work-tree={directory}", "for-each-ref", "refs/sage"
        ).splitlines()
    )


def test_what_git_would_convert_is_refused(work: Path) -> None:
    (work / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (work / "good.txt").write_bytes(b"one\r\ntwo\r\n")
    before, taken = facts(work), Taken(work)
    change(work, "updated")
    (work / "good.txt").unlink()
    taken.back()
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    (work / "bad.txt").write_bytes(b"one\ntwo\r\n")
    with pytest.raises(CaptureError, match=r"would not write .*/bad\.txt as it is"):
        Taken(work)


def test_pins_can_be_released(work: Path) -> None:
    dirty(work / "inner")
    first, second = Taken(work, "1"), Taken(work, "2")
    places = (work / ".git", work / ".git/modules/inner", work / ".git/modules/inner/modules/in/deep")
    assert [pins(one) for one in places] == [2, 2, 2]
    git(work, "submodule", "deinit", "-q", "-f", "--all")
    for dummy in (1, 2):
        GitResource(str(work)).release(first.manifest)
        assert [pins(one) for one in places] == [1, 1, 1]
    shutil.rmtree(work)
    GitResource(str(work)).release(second.manifest)


def test_a_submodule_that_claims_a_place_outside_is_not_followed(work: Path, tmp_path: Path) -> None:
    taken = Taken(work)
    change(work, "added")
    outside = tmp_path / "outside"
    git(tmp_path, "clone", "-q", str(tmp_path / "late"), str(outside))
    git(work, "config", "--file", ".git/modules/more/late/config", "core.worktree", str(outside))
    before = snapshot(outside)
    undo = taken.way()
    undo.execute()
    assert undo.verify() == []
    assert changes(before, snapshot(outside)) == {}


def test_what_was_captured_and_is_gone_is_found_before(work: Path) -> None:
    dirty(work)
    taken = Taken(work)
    change(work, "updated")
    git(work, "update-ref", "-d", taken.manifest["ref"])
    git(work, "gc", "-q", "--prune=now")
    before = facts(work)
    with pytest.raises(StoreError, match="not in its repository any more"):
        taken.way().check()
    assert facts(work) == before


def test_a_submodule_whose_repository_is_gone_is_a_conflict(work: Path) -> None:
    taken = Taken(work)
    change(work, "updated")
    shutil.rmtree(work / "inner")
    shutil.rmtree(work / ".git/modules/inner")
    assert taken.way().conflicts == [f"the repository of submodule {work}/inner is gone"]
    with pytest.raises(RollbackError, match="is gone"):
        taken.way(force=True).execute()


def test_locks_of_a_killed_attempt_are_no_obstacle(work: Path) -> None:
    before, taken = facts(work), Taken(work)
    change(work, "updated")
    (work / ".git/index.lock").touch()
    with pytest.raises(RollbackError, match=r"index\.lock"):
        taken.way().execute()
    for name in ("HEAD.lock", "config.lock", "refs/heads/main.lock", "modules/inner/index.lock"):
        (work / ".git" / name).touch()
    (work / ".git" / f"{taken.manifest['ref']}.lock").touch()
    taken.back(resumed=True)
    assert changes(unpinned(before), unpinned(facts(work))) == {}
    assert Taken(work).manifest["ref"] == taken.manifest["ref"]


def test_programs_of_the_repository_do_not_run(work: Path, tmp_path: Path) -> None:
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    for name in ("post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change"):
        shutil.copy(script, work / ".git/hooks" / name)
    taken = Taken(work)
    git(work, "-c", "core.hooksPath=/dev/null", "checkout", "-q", "--detach", "HEAD~1")
    git(work, "config", "core.fsmonitor", str(script))
    git(work, "config", "commit.gpgSign", "true")
    git(work, "config", "gpg.program", str(script))
    (tmp_path / "ran").unlink(missing_ok=True)
    (work / "others").write_text("others")
    Taken(work, "2")
    taken.back()
    assert not (tmp_path / "ran").exists()


class Stop(BaseException):
    """The process is gone."""


CHANGING = {"update-ref", "symbolic-ref", "config", "submodule", "fetch", "-u"}


# In two halves, since it takes longest of all.
@pytest.mark.crash
@pytest.mark.parametrize("first", [1, 2])
def test_interrupted_anywhere_and_run_again(
    first: int, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirty(work)
    git(work / "inner", "submodule", "deinit", "-q", "-f", "in/deep")
    git(work / "inner", "checkout", "-q", "-b", "mine")
    (work / "inner/untracked").write_text("untracked")
    before = unpinned(facts(work))
    taken = Taken(work)
    change(work, "added")
    git(work, "submodule", "deinit", "-q", "-f", "inner")
    saved = tmp_path / "saved"
    shutil.copytree(work, saved, symlinks=True)
    count, limit = 0, first - 2

    def interrupted(function: Any, counts: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            if counts(arguments):
                count += 1
                if count == limit:
                    raise Stop
            return function(*arguments, **options)

        return call

    def writes(arguments: Any) -> bool:
        return bool(CHANGING.intersection(arguments)) and "core.worktree" not in arguments[-1:]

    monkeypatch.setattr(git_command, "git", interrupted(git_command.git, writes))
    monkeypatch.setattr(os, "rename", interrupted(os.rename, bool))
    monkeypatch.setattr(shutil, "rmtree", interrupted(shutil.rmtree, lambda given: "sage-removed" in str(given[0])))
    while True:
        undo = taken.way()
        assert undo.conflicts == []
        count, limit = 0, limit + 2
        try:
            undo.execute()
            break
        except Stop:
            count = -10000
        taken.back(resumed=True)
        assert changes(before, unpinned(facts(work))) == {}, f"interrupted at {limit}"
        count = -10000
        shutil.rmtree(work)
        shutil.copytree(saved, work, symlinks=True)
    assert limit > 12
    assert changes(before, unpinned(facts(work))) == {}
