# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import glob
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    choose,
    find_uv,
    interface,
    interpreter,
    inventory,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER, UV

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import Bench

ONE = [{"name": "isage", "version": "0.1"}]


@pytest.fixture
def sage(bench: Bench) -> Bench:
    """A little SAGE in two generations."""
    wheelhouse.main(str(bench.base))
    bench.make_venv()
    return bench


def test_check_run_check_run(sage: Bench) -> None:
    plan = sage.resolve("isage==0.1")["plan"]["distributions"]
    checked = sage.install(plan, check=True)
    assert sage.versions() == {}
    assert sage.install(plan) == checked
    assert checked["changed"]
    assert checked["installer"] == sage.tool
    assert [one["name"] for one in checked["installed"]] == ["isage", "isage-tools", "tinydep"]
    assert checked["replaced"] == []
    assert checked["diff"] == {"before": "", "after": "isage==0.1\nisage-tools==0.1\ntinydep==1.1\n"}
    assert sage.versions() == {"isage": "0.1", "isage-tools": "0.1", "tinydep": "1.1"}
    for check in (True, False):
        again = sage.install(plan, check=check)
        assert not again["changed"]
        assert again["kept"] == 3
        assert again["installer"] == ""


def test_nothing_to_do_starts_nothing(sage: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sage.install(ONE)
    monkeypatch.setattr(command, "run", lambda *arguments, **options: pytest.fail("something was started"))
    assert not sage.install(ONE)["changed"]


def test_only_what_was_planned(sage: Bench) -> None:
    sage.install(ONE)
    assert sage.versions() == {"isage": "0.1"}
    result = sage.install([{"name": "ISage", "version": "0.2"}])
    assert result["replaced"] == [{"name": "isage", "version": "0.2", "from_version": "0.1"}]
    assert result["diff"] == {"before": "isage==0.1\n", "after": "isage==0.2\n"}
    assert sage.versions() == {"isage": "0.2"}
    assert sage.install(ONE)["replaced"][0]["version"] == "0.1"


def test_hashes_are_held_to(sage: Bench) -> None:
    wrong = [{**ONE[0], "hashes": ["sha256:" + "0" * 64]}]
    with pytest.raises(InstallerError) as caught:
        sage.install(wrong)
    assert "hash" in str(caught.value).lower()
    assert "every distribution of the environment" in caught.value.untouched
    assert sage.versions() == {}
    # One without a hash among them does not switch that off.
    with pytest.raises(InstallerError):
        sage.install([{"name": "tinydep", "version": "1.0"}, *wrong])


def test_missing_version(sage: Bench) -> None:
    with pytest.raises(InstallerError, match=r"isage==7|isage") as caught:
        sage.install([{"name": "isage", "version": "7"}])
    assert caught.value.details["rc"] != 0


def test_a_tool_that_lies(sage: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command.checked

    def nothing(argv: t.Sequence[str], **options: t.Any) -> command.CommandOutcome:
        return real(["/bin/true"], **options) if "install" in argv else real(argv, **options)

    monkeypatch.setattr(command, "checked", nothing)
    with pytest.raises(InstallerError, match="does not match the plan: isage is not installed"):
        sage.install(ONE)


def test_twice_registered_is_mended(sage: Bench) -> None:
    """As a killed upgrade leaves it."""
    sage.install(ONE)
    (old,) = glob.glob(f"{sage.venv}/lib/python*/site-packages/isage-0.1.dist-info")
    shutil.copytree(old, str(sage.base / "aside"))
    sage.install([{"name": "isage", "version": "0.2"}])
    shutil.copytree(str(sage.base / "aside"), old)
    assert sage.install(ONE)["changed"]
    assert not sage.install(ONE)["changed"]
    assert sage.versions() == {"isage": "0.1"}


@pytest.mark.slow
@pytest.mark.parametrize("editable", [True, False])
def test_source(sage: Bench, editable: bool) -> None:
    one = [{"name": "isage", "path": str(sage.base / "source"), "editable": editable}]
    checked = sage.install(one, check=True)
    assert checked["installed"] == [{"name": "isage", "version": None}]
    done = sage.install(one)
    assert done["installed"] == [{"name": "isage", "version": "0.3"}]
    assert sage.versions() == {"isage": "0.3"}
    # An editable one follows its directory by itself; of the other, the content may have changed.
    assert sage.install(one)["changed"] is not editable
    module = sage.base / "source" / "isage" / "__init__.py"
    module.write_text("VERSION = 'changed'\n")
    sage.install(one)
    outcome = command.checked([f"{sage.venv}/bin/python", "-c", "import isage; print(isage.VERSION)"])
    assert outcome.stdout == "changed\n"
    assert sage.install([{**one[0], "editable": not editable}])["changed"]


@EITHER
def test_refusals(sage: Bench) -> None:
    with pytest.raises(InputError, match="more than once"):
        sage.install([*ONE, {"name": "Isage", "version": "0.2"}])
    with pytest.raises(InputError, match="needs a name and a version"):
        sage.install([{"name": "isage"}])
    shutil.rmtree(sage.venv)
    assert sage.install(ONE, check=True)["changed"]
    with pytest.raises(InputError, match="no virtual environment at"):
        sage.install(ONE)


def test_partly_done_is_said(sage: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command.checked

    def break_second(argv: t.Sequence[str], **options: t.Any) -> command.CommandOutcome:
        if "install" in argv and "--require-hashes" not in argv:
            return real(["/bin/false"], **options)
        return real(argv, **options)

    (tinydep,) = sage.resolve("tinydep", check=True)["plan"]["distributions"]
    if not tinydep["hashes"]:
        pytest.skip("no hashes with this Python")
    monkeypatch.setattr(command, "checked", break_second)
    with pytest.raises(InstallerError) as caught:
        sage.install([tinydep, *ONE])
    assert caught.value.untouched == "everything but what was changed before the failure: tinydep."


NEEDY = [{"name": "needy-one", "version": "1.0"}]
OLD = [{"name": "tinydep", "version": "1.0"}]


@pytest.fixture
def needy(sage: Bench) -> Bench:
    """With a distribution that requires one that is not there, and one in a newer version than is there."""
    sage.wheel("Needy_One", "1.0", ["absent>=2", "tinydep>=1.1", "never; python_version < '3'"])
    return sage


def test_unmet(needy: Bench) -> None:
    target = interface.InstallTarget(
        interpreter.probe(interpreter.in_venv(needy.venv)), needy.venv, inventory.read(needy.venv)
    )
    installer = choose.create_installer(
        find_uv.InstallerChoice(needy.tool, UV if needy.tool == "uv" else ""), target, Index()
    )
    assert installer.unmet() == {}
    needy.install([*NEEDY, *OLD])
    unmet = installer.unmet()
    assert list(unmet) == ["needy-one"]
    absent, old = sorted(unmet["needy-one"], key=lambda line: "tinydep" in line)
    assert "absent" in absent
    assert "tinydep" in old
    assert "1.0" in old
    needy.wheel("absent", "2.0")
    needy.install([{"name": "absent", "version": "2.0"}, {"name": "tinydep", "version": "1.1"}])
    assert installer.unmet() == {}


def test_what_the_plan_lacks_is_an_error(needy: Bench) -> None:
    assert needy.install(NEEDY, check=True, check_dependencies=True)["changed"], "it is not there to be checked"
    with pytest.raises(InstallerError, match=r"lacks what SAGE requires: .*needy.one.*absent") as caught:
        needy.install([*NEEDY, *OLD], check_dependencies=True)
    assert caught.value.untouched == "everything; the check only reads."
    assert len(caught.value.details["differences"]) == 2
    assert needy.versions() == {"Needy_One": "1.0", "tinydep": "1.0"}
    # Also where there is nothing to do, and then in check mode as well; not where nobody asked.
    for check in (True, False):
        with pytest.raises(InstallerError, match="absent"):
            needy.install(NEEDY, check=check, check_dependencies=True)
        assert not needy.install(NEEDY, check=check)["changed"]


def test_what_others_lack_is_a_warning(needy: Bench) -> None:
    needy.install(NEEDY)
    # What it wants of the plan's tinydep is met, so that only the other one is left.
    result = needy.install([{"name": "tinydep", "version": "1.1"}], check_dependencies=True)
    assert result["installed"] == [{"name": "tinydep", "version": "1.1"}]
    (warning,) = needy.warnings
    assert "absent" in warning
    # A plan that takes away what a foreign one requires is no error of the plan's either.
    needy.install(OLD, check_dependencies=True)
    assert len(needy.warnings) == 2
    needy.install(OLD)
    assert needy.warnings == []


def test_a_constraint_of_the_users_environment_is_the_resolvers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hashes uv refused to install what it had chosen by a constraint that is no exact version."""
    for version in ("1.0", "2.0"):
        bench.wheel("tiny", version)
    bench.make_venv()
    constraints = bench.base / "constraints.txt"
    constraints.write_text("tiny<2\n")
    for name in ("UV_CONSTRAINT", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, str(constraints))
    distributions = bench.resolve("tiny")["plan"]["distributions"]
    assert [(each["name"], each["version"]) for each in distributions] == [("tiny", "1.0")]
    if not distributions[0]["hashes"]:
        pytest.skip("no hashes with this Python")
    bench.install(distributions)
    assert bench.versions() == {"tiny": "1.0"}


def test_f8_links_into_a_cache_are_no_installation(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.wheel("tiny", "1.0")
    bench.make_venv()
    monkeypatch.setenv("UV_LINK_MODE", "symlink")
    bench.install([{"name": "tiny", "version": "1.0"}])
    assert bench.versions() == {"tiny": "1.0"}
    site = next(pathlib.Path(bench.venv).glob("lib/python3*/site-packages"))
    assert [path for path in site.rglob("*") if path.is_symlink()] == []
