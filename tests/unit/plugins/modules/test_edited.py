# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of an environment that somebody edits in place: named by the verification, mended by installing again."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NotVerified
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.modules import (
    sage_check,
    sage_checkpoint,
    sage_resume_info,
    sage_retention,
    sage_verify,
)
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER, Bench

Plan = list[dict[str, t.Any]]


class Sage:
    """A little SAGE that is installed.

    :ivar plan: what was installed.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        wheelhouse.main(str(bench.base))
        bench.make_venv()
        self.plan: Plan = bench.resolve("isage==0.1")["plan"]["distributions"]
        bench.install(self.plan)

    def file(self, path: str) -> pathlib.Path:
        """A file in site-packages."""
        [found] = pathlib.Path(self.bench.venv).glob(f"lib/python3*/site-packages/{path}")
        return found

    def edit(self, path: str = "tinydep/__init__.py") -> bytes:
        """Change one byte in place, and neither size nor mtime; returns what was there."""
        file = self.file(path)
        before, info = file.read_bytes(), file.stat()
        with open(file, "r+b") as stream:
            stream.write(b"#" if before[:1] != b"#" else b" ")
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
        return before

    def verify(self, **options: t.Any) -> dict[str, t.Any]:
        """A call of sage_verify, without a record if nobody says otherwise."""
        spec = sage_verify.SPEC.options["distributions"]["options"]
        defaults = {name: option.get("default") for name, option in spec.items()}
        distributions = [{**defaults, **one} for one in self.plan]
        return self.bench.call(
            sage_verify, **{"venv": self.bench.venv, "distributions": distributions, "record": False, **options}
        )

    def changing(self) -> list[str]:
        """The names that a plan made now would replace."""
        return [
            one["name"] for one in self.bench.resolve("isage==0.1")["plan"]["distributions"] if one["action"] != "keep"
        ]


@pytest.fixture
def sage(bench: Bench) -> Sage:
    return Sage(bench)


def test_v8_a_same_size_edit_with_an_old_mtime_is_not_verified_and_is_mended(sage: Sage) -> None:
    assert sage.verify()["evidence"]["files"] > 0
    assert sage.changing() == []
    content = sage.edit()
    with pytest.raises(NotVerified, match=r"1 file of tinydep 1\.1 was edited: lib/.*/tinydep/__init__\.py"):
        sage.verify()
    assert sage.changing() == ["tinydep"]
    # As the advice says.
    done = sage.bench.install(sage.plan)
    assert [one["name"] for one in done["replaced"]] == ["tinydep"]
    assert sage.file("tinydep/__init__.py").read_bytes() == content
    sage.verify()
    assert not sage.bench.install(sage.plan)["changed"]


def test_v8_a_new_environment_gets_no_edit_out_of_the_cache(sage: Sage) -> None:
    content = sage.edit()
    shutil.rmtree(sage.bench.venv)
    sage.bench.make_venv()
    sage.bench.install(sage.plan)
    assert sage.file("tinydep/__init__.py").read_bytes() == content
    sage.verify()


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_v8_an_environment_linked_from_a_damaged_cache_by_hand_is_mended(sage: Sage) -> None:
    """All times are older than the installation then: only the content tells."""
    content = sage.edit()
    other = pathlib.Path(f"{sage.bench.base}/other")
    os.rename(sage.bench.venv, other)
    sage.bench.make_venv()
    for directory in other.glob("lib/python3*/site-packages/*"):
        target = pathlib.Path(sage.bench.venv, directory.relative_to(other))
        if directory.is_dir() and not target.exists():
            shutil.copytree(directory, target, copy_function=os.link)
    with pytest.raises(NotVerified, match=r"1 file of tinydep 1\.1 was edited"):
        sage.verify()
    assert sage.bench.install(sage.plan)["changed"]
    assert sage.file("tinydep/__init__.py").read_bytes() == content


@EITHER
def test_e18_what_is_gone_empty_or_a_directory_is_named_and_mended(sage: Sage) -> None:
    os.truncate(sage.file("tinydep/__init__.py"), 0)
    metadata = sage.file("isage-0.1.dist-info/METADATA")
    metadata.unlink()
    metadata.mkdir()
    sage.file("isage_tools-0.1.dist-info/WHEEL").unlink()
    with pytest.raises(NotVerified) as caught:
        sage.verify()
    site = metadata.parents[1].relative_to(sage.bench.venv)
    assert caught.value.details["differences"] == [
        f"1 file of isage 0.1 is no regular file any more: {site}/isage-0.1.dist-info/METADATA",
        f"1 file of isage-tools 0.1 is gone: {site}/isage_tools-0.1.dist-info/WHEEL",
        f"1 file of tinydep 1.1 was edited: {site}/tinydep/__init__.py",
    ]
    metadata.rmdir()
    sage.bench.install(sage.plan)
    sage.verify()


@EITHER
def test_k8_rows_that_say_nothing_and_shared_files_bar_nothing(sage: Sage) -> None:
    record = sage.file("tinydep-1.1.dist-info/RECORD")
    text = record.read_text()
    record.write_text(f"{text}tinydep/__init__.py,sha256=AAAA,3\ntinydep,,\n../../../bin/python,md5=zz,1\n")
    sage.verify()
    # Installed by two: the later one's content is in force.
    module = sage.file("tinydep/__init__.py")
    info = sage.file("isage-0.1.dist-info/RECORD")
    row = next(line for line in text.splitlines() if line.startswith("tinydep/__init__.py,"))
    info.write_text(f"{info.read_text()}{row}\n")
    record.write_text(text.replace(row, "tinydep/__init__.py,sha256=AAAA,3"))
    sage.verify()
    module.write_text("neither\n")
    with pytest.raises(NotVerified, match="was edited"):
        sage.verify()


@pytest.mark.slow
@EITHER
def test_k8_what_cannot_be_read_is_a_warning_and_never_installed_through(sage: Sage) -> None:
    """A package that is a link to somebody's sources: an installer would empty them."""
    package = sage.file("tinydep")
    sources = sage.bench.base / "sources"
    os.rename(package, sources)
    package.symlink_to(sources)
    (sources / "__init__.py").write_text("mine\n")
    sage.verify()
    [warning] = sage.bench.warnings
    assert "1 file of tinydep 1.1 cannot be read: " in warning
    assert not sage.bench.install(sage.plan)["changed"]
    assert (sources / "__init__.py").read_text() == "mine\n"


class Finished(Sage):
    """The same, recorded from the first phase to the last.

    :ivar warnings: of the last verification.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.root = str(bench.base / "root")
        self.end()

    def end(self, **verification: t.Any) -> None:
        """Record all phases as done, verified by the module with these options."""
        result = {phase: [self._resource(group)] for phase, group in ((PHASES[2], "third_party"), (PHASES[3], "sage"))}
        done = [{"phase": phase, "status": "completed", "result": result.get(phase, [])} for phase in PHASES[:4]]
        self._checkpoint(inputs={}, resume=False, transitions=[*done, {"phase": PHASES[4], "status": "started"}])
        self.verify(**verification)
        self.warnings = list(self.bench.warnings)
        self._checkpoint(transitions=[{"phase": phase, "status": "completed"} for phase in PHASES[4:]])

    def verify(self, **options: t.Any) -> dict[str, t.Any]:
        """A call of sage_verify that records."""
        return super().verify(root=self.root, record=True, lock_timeout=5, **options)

    def _checkpoint(self, **options: t.Any) -> dict[str, t.Any]:
        return self.bench.call(sage_checkpoint, root=self.root, lock_timeout=5, **options)

    def _resource(self, group: str) -> dict[str, t.Any]:
        planned = [one for one in self.plan if one["group"] == group]
        distributions = [{"name": one["name"], "version": one["version"]} for one in planned]
        return {"kind": "venv", "path": self.bench.venv, "distributions": distributions}

    def reasons(self) -> dict[str, str]:
        """Phase → why it would run again; the verdicts that look and that begin agree."""
        look = self.bench.call(sage_resume_info, root=self.root, inputs={})
        assert look["finished"] == (not look["resume"]["reasons"])
        begin = self.bench.call(sage_checkpoint, check=True, root=self.root, lock_timeout=5, inputs={})
        assert begin["resume"]["reasons"] == look["resume"]["reasons"]
        return {reason["phase"]: reason["reason"] for reason in look["resume"]["reasons"]}

    @property
    def table(self) -> pathlib.Path:
        """The newest table of what was verified."""
        return max(pathlib.Path(self.root).glob(".sage/checkpoints/verified/*.table"))


@pytest.fixture
def finished(bench: Bench) -> Finished:
    return Finished(bench)


@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_e18_a_rerun_sees_what_was_edited_and_which_phase_mends_it(finished: Finished) -> None:
    assert finished.reasons() == {}
    # As somebody who looks for a fault does.
    with open(finished.file("tinydep/__init__.py"), "a", encoding="utf-8") as stream:
        stream.write("print('here')\n")
    os.truncate(finished.file("isage/__init__.py"), 0)
    finished.file("isage_tools-0.1.dist-info/WHEEL").unlink()
    reasons = finished.reasons()
    site = finished.file("isage").parent.relative_to(finished.bench.venv)
    assert reasons[PHASES[2]] == f"1 file of tinydep 1.1 was edited: {site}/tinydep/__init__.py"
    assert "file" in reasons[PHASES[3]]
    finished.bench.install(finished.plan)
    assert finished.reasons() == {}
    finished.end()
    assert finished.reasons() == {}
    # What is gone as a whole is mended by its own phase, and nothing is told of its files.
    shutil.rmtree(finished.file("isage"))
    shutil.rmtree(finished.file("isage-0.1.dist-info"))
    assert finished.reasons() == {PHASES[3]: "isage was 0.1, is gone"}


@pytest.mark.slow
@EITHER
def test_f21_the_same_content_with_another_inode_and_mtime_is_no_edit(finished: Finished) -> None:
    for file in pathlib.Path(finished.bench.venv).rglob("*"):
        if file.is_file() and not file.is_symlink() and "site-packages" in file.parts:
            copy = file.with_name(f"{file.name}.copy")
            shutil.copyfile(file, copy)
            os.replace(copy, file)
    assert finished.reasons() == {}
    finished.edit()
    assert list(finished.reasons()) == [PHASES[2]]


@pytest.mark.slow
@EITHER
def test_e18_what_nobody_verified_makes_no_phase_run_again(finished: Finished) -> None:
    """A service that writes into its package, byte code, somebody else's distribution."""
    package = finished.file("isage")
    (package / "cache.db").write_text("1")
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.cpython-313.pyc").write_bytes(b"1")
    finished.bench.wheel("other", "1.0")
    finished.bench.install([{"name": "other", "version": "1.0"}])
    (finished.file("other") / "__init__.py").write_text("edited\n")
    assert finished.reasons() == {}


@EITHER
@pytest.mark.parametrize(
    "damage", ["gone", *(pytest.param(how, marks=pytest.mark.slow) for how in ("altered", "cut", "another format"))]
)
def test_e18_without_a_usable_table_verification_runs_again(finished: Finished, damage: str) -> None:
    table, content = finished.table, finished.table.read_bytes()
    if damage == "gone":
        table.unlink()
    else:
        table.write_bytes(
            {"altered": content.replace(b"tinydep", b"tinydeq"), "cut": content[:-9], "another format": b"x"}[damage]
        )
    [(phase, reason)] = finished.reasons().items()
    assert phase == PHASES[4]
    assert reason.startswith("nobody can tell whether files were edited since: ")
    assert str(table) in reason
    checked = finished.bench.call(sage_check, root=finished.root, lock_timeout=5)
    assert [finding["name"] for finding in checked["findings"]] == ["table_unusable"]
    finished.end()
    assert finished.reasons() == {}


@pytest.mark.slow
@EITHER
def test_f3_what_was_written_in_the_moment_of_the_look_is_read(finished: Finished) -> None:
    """The times of a file do not tell two writes of one moment apart."""
    file = finished.file("tinydep/__init__.py")
    os.utime(file)
    finished.end()
    content = finished.edit()
    assert list(finished.reasons()) == [PHASES[2]]
    # Content that is right is no edit, whenever it was written.
    file.write_bytes(content)
    assert finished.reasons() == {}


@pytest.mark.slow
@EITHER
def test_f2_an_edit_that_keeps_size_and_mtime_hides_from_nobody(finished: Finished) -> None:
    """The ctime tells that something was written; where that alone moved, the content decides."""
    file = finished.file("tinydep/__init__.py")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    finished.end()
    os.chmod(file, 0o640)
    assert finished.reasons() == {}
    os.chmod(file, 0o644)
    finished.edit()
    assert list(finished.reasons()) == [PHASES[2]]
    findings = finished.bench.call(sage_check, root=finished.root, lock_timeout=5)["findings"]
    assert [finding["name"] for finding in findings] == ["drift"]
    assert f"{file}: was edited (tinydep 1.1)" in findings[0]["text"]
    with pytest.raises(NotVerified, match="1 file of tinydep"):
        finished.end()


@EITHER
def test_v8_what_a_table_vouches_for_is_not_read_again(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = Tree.digest

    def reading(tree: Tree, path: str) -> str:
        read.append(path)
        return digest(tree, path)

    monkeypatch.setattr(Tree, "digest", reading)
    monkeypatch.setattr(footprint_table, "GRANULE_NS", -(10**12))
    finished.end()
    assert not [path for path in read if path.endswith(".py")]
    # Any other ctime counts, though size and mtime are the same.
    finished.edit()
    with pytest.raises(NotVerified, match="1 file of tinydep"):
        finished.end()


def _findings(finished: Finished) -> dict[str, str]:
    """Name of each finding → severity and text."""
    checked = finished.bench.call(sage_check, root=finished.root, lock_timeout=5)
    return {finding["name"]: f"{finding['severity']}: {finding['text']}" for finding in checked["findings"]}


@EITHER
def test_k1_what_record_does_not_list_any_more_is_said_until_it_is_installed_anew(finished: Finished) -> None:
    """A RECORD that was cut short took files out of the verification, without a word."""
    record = finished.file("tinydep-1.1.dist-info/RECORD")
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(line for line in lines if not line.startswith("tinydep/__init__.py,")))
    assert "RECORD" in finished.reasons()[PHASES[2]]
    path = finished.file("tinydep/__init__.py").relative_to(finished.bench.venv)
    sentence = f"1 file of tinydep 1.1 is not in RECORD any more: {path}"
    for dummy in range(2):
        finished.end()
        look = finished.bench.call(sage_resume_info, root=finished.root, inputs={})
        assert (look["finished"], look["unverified"]) == (True, [sentence])
        assert _findings(finished) == {"unverified": f"wrong: not verified: {sentence}"}
    # It is watched all the same.
    content = finished.edit()
    assert "was edited" in finished.reasons()[PHASES[2]]
    # As the advice says.
    shutil.rmtree(record.parent)
    finished.bench.install(finished.plan)
    finished.end()
    assert finished.file("tinydep/__init__.py").read_bytes() == content
    assert finished.bench.call(sage_resume_info, root=finished.root, inputs={})["unverified"] == []
    assert _findings(finished) == {}


@EITHER
def test_k1_what_bars_the_way_is_said_and_what_it_hid_is_mended(finished: Finished) -> None:
    package = finished.file("tinydep")
    os.rename(package, finished.bench.base / "elsewhere")
    package.symlink_to(finished.bench.base / "elsewhere")
    assert "cannot be read" in finished.reasons()[PHASES[2]]
    finished.end()
    look = finished.bench.call(sage_resume_info, root=finished.root, inputs={})
    assert look["finished"]
    assert "file of tinydep 1.1 cannot be read" in look["unverified"][0]
    assert _findings(finished)["unverified"].startswith("wrong: not verified: ")
    package.unlink()
    package.mkdir()
    assert "gone" in finished.reasons()[PHASES[2]]
    finished.bench.install(finished.plan)
    finished.end()
    assert _findings(finished) == {}


@pytest.mark.slow
@EITHER
def test_k1_what_came_without_hashes_is_noted(finished: Finished) -> None:
    record = finished.file("tinydep-1.1.dist-info/RECORD")
    lines = record.read_text().splitlines()
    record.write_text("".join(f"{line.partition(',')[0]},,\n" for line in lines))
    finished.end()
    noted = _findings(finished)
    assert list(noted) == ["unverified"]
    assert "files of tinydep 1.1 have no hash in RECORD" in noted["unverified"]
    assert noted["unverified"].startswith("note: ")
    finished.edit()
    assert "was edited" in finished.reasons()[PHASES[2]]


@EITHER
def test_e18_modes_that_bar_are_mended_and_others_are_named(finished: Finished) -> None:
    module = finished.file("tinydep/__init__.py")
    module.chmod(0)
    assert "has a mode that bars its use" in finished.reasons()[PHASES[2]]
    assert "has a mode that bars its use" in _findings(finished)["drift"]
    assert [one["name"] for one in finished.bench.install(finished.plan)["replaced"]] == ["tinydep"]
    finished.end()
    finished.file("tinydep/__init__.py").chmod(0o640)
    assert finished.reasons() == {}
    assert _findings(finished)["mode_changed"].startswith("note: ")
    finished.file("tinydep/__init__.py").chmod(0o666)
    assert _findings(finished)["mode_changed"].startswith("wrong: ")
    finished.file("tinydep/__init__.py").chmod(0o644)
    assert _findings(finished) == {}


@EITHER
def test_e18_a_directory_that_fewer_users_can_enter_is_named(finished: Finished) -> None:
    """With mode 000 nobody but root could import it, and all was well for the check of root."""
    package = finished.file("tinydep")
    mode = package.stat().st_mode
    package.chmod(0)
    try:
        findings = _findings(finished)
    finally:
        package.chmod(mode)
    told = [text for text in findings.values() if f"{package}: mode 0000" in text or f"{package}/" in text]
    assert told
    assert told[0].startswith("wrong: ")
    assert _findings(finished) == {}
    # Byte code comes and goes in it.
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__/x.pyc").touch()
    assert finished.reasons() == {}
    assert _findings(finished) == {}


@EITHER
def test_k1_a_link_in_a_files_place_is_installed_anew(finished: Finished) -> None:
    """With the same content, which somebody else may change later."""
    module = finished.file("tinydep/__init__.py")
    os.rename(module, finished.bench.base / "mine.py")
    module.symlink_to(finished.bench.base / "mine.py")
    with pytest.raises(NotVerified, match=r"1 file of tinydep 1\.1 is no regular file any more"):
        Sage.verify(finished)
    assert finished.bench.install(finished.plan)["changed"]
    assert not finished.file("tinydep/__init__.py").is_symlink()
    assert (finished.bench.base / "mine.py").exists()


@pytest.mark.slow
@EITHER
def test_e18_tables_go_with_what_nothing_goes_back_to(finished: Finished) -> None:
    for dummy in range(3):
        finished.end()
    tables = sorted(path.stem for path in finished.table.parent.iterdir() if path.suffix == ".table")
    assert len(tables) == 4
    # Nothing was captured, so nothing goes back: only what is in force has to be told from what somebody edited.
    result = finished.bench.call(sage_retention, root=finished.root, lock_timeout=5)
    assert result["changed"]
    assert [path.stem for path in finished.table.parent.iterdir() if path.suffix == ".table"] == tables[-1:]
    assert finished.reasons() == {}
    assert not finished.bench.call(sage_retention, root=finished.root, lock_timeout=5)["changed"]
