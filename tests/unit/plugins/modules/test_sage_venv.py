# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    create_venv,
    find_python,
    interpreter,
)
from ansible_collections.intellistream.sage.plugins.modules import sage_venv
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import Bench


def tree(path: str) -> list[str]:
    return sorted(os.path.join(place, name) for place, dirs, files in os.walk(path) for name in (*dirs, *files))


def test_check_run_check_run(bench: Bench) -> None:
    checked = bench.call(sage_venv, check=True, path=bench.venv, python=sys.executable)
    assert not os.path.exists(bench.base / "root")
    done = bench.call(sage_venv, path=bench.venv, python=sys.executable)
    assert checked == done
    assert done["changed"]
    assert done["created"]
    assert done["installer"] == bench.tool
    assert done["version"] == interpreter.probe(sys.executable).version
    assert bench.versions() == {}
    for directory in (bench.base / "root", bench.base / "root" / ".sage"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert not os.path.exists(os.path.join(bench.venv, create_venv.UNFINISHED))
    before = tree(bench.venv)
    for check in (True, False):
        again = bench.call(sage_venv, check=check, path=bench.venv, python=sys.executable)
        assert not again["changed"]
        assert again["actions"] == []
        assert again["python"] == done["python"]
        assert again["diff"]["before"] == again["diff"]["after"]
    assert tree(bench.venv) == before


@pytest.mark.slow
def test_e2_one_that_was_moved_is_not_in_order(bench: Bench) -> None:
    """Its commands name the old path; without a record it was taken for one that works."""
    bench.make_venv()
    bench.wheel("handmade", "1")
    bench.bring("handmade")
    old, bench.venv = bench.venv, f"{bench.base}/moved"
    os.rename(old, bench.venv)
    with open(f"{bench.venv}/notes.txt", "w", encoding="utf-8") as notes:
        notes.write("somebody's")
    with pytest.raises(InputError, match=f"it was made for {old}"):
        bench.call(sage_venv, path=bench.venv)
    checked = bench.call(sage_venv, check=True, path=bench.venv, recreate=True)
    done = bench.call(sage_venv, path=bench.venv, recreate=True)
    assert checked == done
    assert done["replaced"]["handmade"] == "1"
    # K10: what goes with it is named before it does.
    assert done["others"] == ["notes.txt (a file)"]
    assert bench.versions() == {}
    assert not bench.call(sage_venv, path=bench.venv)["changed"]


def test_auto_leaves_what_works(bench: Bench) -> None:
    bench.make_venv()
    assert not bench.call(sage_venv, path=bench.venv)["changed"]


@EITHER
def test_nothing_new_enough(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"needs Python 3\.99 or newer"):
        bench.call(sage_venv, path=bench.venv, minimum="3.99")
    assert not os.path.exists(bench.base / "root")


def test_failure_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command.checked

    def fail(argv: t.Sequence[str], **options: t.Any) -> command.CommandOutcome:
        if "venv" in argv:
            with open(os.path.join(bench.venv, "pyvenv.cfg"), "w", encoding="utf-8"):
                pass
            argv = ["/bin/false"]
        return real(argv, **options)

    monkeypatch.setattr(command, "checked", fail)
    with pytest.raises(InstallerError, match="what was made of the venv was removed"):
        bench.call(sage_venv, path=bench.venv, python=sys.executable)
    assert not os.path.exists(bench.base / "root")


@EITHER
def test_killed_half_way_is_made_anew(bench: Bench) -> None:
    os.makedirs(os.path.join(bench.venv, "lib", "python3.9"))
    for name in (create_venv.UNFINISHED, "pyvenv.cfg", "rest"):
        with open(os.path.join(bench.venv, name), "w", encoding="utf-8"):
            pass
    result = bench.call(sage_venv, path=bench.venv, python=sys.executable)
    assert result["created"]
    assert bench.versions() == {}
    assert not os.path.exists(os.path.join(bench.venv, "rest"))


@EITHER
def test_empty_directory_is_used(bench: Bench) -> None:
    os.makedirs(bench.venv)
    assert bench.call(sage_venv, path=bench.venv)["created"]


@EITHER
@pytest.mark.parametrize("recreate", [True, False])
def test_something_else_is_refused(bench: Bench, recreate: bool) -> None:
    os.makedirs(bench.venv)
    with open(os.path.join(bench.venv, "thesis"), "w", encoding="utf-8"):
        pass
    with pytest.raises(InputError, match="not a virtual environment"):
        bench.call(sage_venv, path=bench.venv, recreate=recreate)
    assert os.listdir(bench.venv) == ["thesis"]


@EITHER
def test_a_file_is_refused(bench: Bench) -> None:
    path = bench.base / "file"
    path.write_text("x")
    with pytest.raises(InputError, match="not a virtual environment"):
        bench.call(sage_venv, path=str(path))


def test_broken_environment(bench: Bench) -> None:
    bench.make_venv()
    python = os.path.join(bench.venv, "bin", "python")
    os.unlink(python)
    os.symlink("/nowhere/python3", python)
    before = tree(bench.venv)
    with pytest.raises(InputError, match=r"its interpreter does not work.*recreate: true"):
        bench.call(sage_venv, path=bench.venv)
    checked = bench.call(sage_venv, check=True, path=bench.venv, python=sys.executable, recreate=True)
    assert tree(bench.venv) == before
    done = bench.call(sage_venv, path=bench.venv, python=sys.executable, recreate=True)
    assert checked == done
    assert done["created"]
    assert bench.versions() == {}
    assert not bench.call(sage_venv, path=bench.venv, python=sys.executable, recreate=True)["changed"]


@EITHER
def test_of_another_interpreter(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.make_venv()
    other = interpreter.probe(sys.executable)._replace(base="/opt/other/python3", executable="/opt/other/python3")
    monkeypatch.setattr(find_python, "find", lambda wanted, minimum: other)
    with pytest.raises(InputError, match="not of /opt/other/python3"):
        bench.call(sage_venv, path=bench.venv, python="/opt/other/python3")


def test_without_ensurepip(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = interpreter.probe(sys.executable)._replace(ensurepip=False, executable=sys.executable)
    monkeypatch.setattr(find_python, "find", lambda wanted, minimum: lacking)
    if bench.tool == "uv":
        assert bench.call(sage_venv, path=bench.venv)["created"]
        return
    for check in (True, False):
        with pytest.raises(InputError, match=rf"ensurepip is missing.*python{lacking.minor}-venv.*installer: uv"):
            bench.call(sage_venv, check=check, path=bench.venv)
    assert not os.path.exists(bench.base / "root")


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_pip_is_added(bench: Bench) -> None:
    bench.make_venv()
    bench.tool = "pip"
    for check in (True, False):
        result = bench.call(sage_venv, check=check, path=bench.venv)
        assert result["actions"] == [f"put pip into {bench.venv}"]
        assert not result["created"]
    assert os.path.exists(os.path.join(bench.venv, "bin", "pip"))
    assert not bench.call(sage_venv, path=bench.venv)["changed"]
