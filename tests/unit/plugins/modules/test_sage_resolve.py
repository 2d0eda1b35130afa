# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import os
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import find_uv, interface, resolve
from ansible_collections.intellistream.sage.plugins.modules import sage_resolve
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER, actions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import Bench

TOML = pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python cannot read TOML")


@pytest.fixture
def sage(bench: Bench) -> Bench:
    """A little SAGE in two generations."""
    wheelhouse.main(str(bench.base))
    bench.make_venv()
    return bench


def contents(path: str) -> dict[str, int]:
    return {
        os.path.join(place, name): os.lstat(os.path.join(place, name)).st_mtime_ns
        for place, dirs, files in os.walk(path)
        for name in files
        if "__pycache__" not in place
    }


def test_first_installation(sage: Bench) -> None:
    before = contents(sage.venv)
    found = sage.resolve("isage==0.1")
    assert found == sage.resolve("isage==0.1", check=True)
    assert not found["changed"]
    assert found["plan"]["known"]
    assert found["plan"]["installer"] == sage.tool
    assert actions(found) == {
        "isage": ("add", None, "0.1"),
        "isage-tools": ("add", None, "0.1"),
        "tinydep": ("add", None, "1.1"),
    }
    assert [one["name"] for one in found["sage"]] == ["isage", "isage-tools"]
    assert [one["name"] for one in found["third_party"]] == ["tinydep"]
    if sage.tool == "pip" or sys.version_info >= (3, 11):
        assert all(one["hashes"] for one in found["plan"]["distributions"])
    assert contents(sage.venv) == before


def test_keeps_what_it_can(sage: Bench) -> None:
    sage.bring("isage==0.1", "tinydep==1.0")
    found = sage.resolve("isage==0.2")
    assert actions(found) == {
        "isage": ("replace", "0.1", "0.2"),
        "isage-tools": ("keep", "0.1", "0.1"),
        "tinydep": ("keep", "1.0", "1.0"),
    }
    assert found["diff"][0]["before"] == "isage==0.1\n"
    assert found["diff"][0]["after"] == "isage==0.2\n"
    assert {action for action, dummy, version in actions(sage.resolve("isage")).values()} == {"keep"}


def test_e2_versions_in_force_are_kept_in_an_environment_that_is_made_anew(sage: Bench) -> None:
    """After a root was moved, a rerun installed another version; its prediction said that nothing would change."""
    keep = {"isage": "0.1", "isage-tools": "0.1", "tinydep": "1.0", "handmade": "3"}
    made_anew = sage.resolve("isage", keep=keep, recreated=True)
    assert actions(made_anew) == {
        "isage": ("add", None, "0.1"),
        "isage-tools": ("add", None, "0.1"),
        "tinydep": ("add", None, "1.0"),
    }
    assert [warning for warning in sage.warnings if "handmade 3" in warning]
    # What is to go does not count in a prediction. An interpreter without pip cannot be asked, and that is said.
    sage.bring("isage==0.2", "tinydep==1.1")
    if sage.tool != "pip" or importlib.util.find_spec("pip") is not None:
        assert actions(sage.resolve("isage", keep=keep, recreated=True, check=True)) == actions(made_anew)
    # What is there stays: only what is missing is brought by the record.
    assert actions(sage.resolve("isage", keep=keep))["isage"] == ("keep", "0.2", "0.2")


def test_versions_in_force_give_way_to_what_is_asked_for(sage: Bench) -> None:
    keep = {"isage": "0.1", "tinydep": "1.0"}
    found = actions(sage.resolve("isage==0.2", keep=keep, recreated=True))
    assert (found["isage"][2], found["tinydep"][2]) == ("0.2", "1.0")
    # What the index has lost cannot be kept; it is said.
    found = actions(sage.resolve("isage", keep={**keep, "isage": "0.0.1"}, recreated=True))
    assert found["isage"][2] == "0.2"
    assert [warning for warning in sage.warnings if "could not be kept" in warning and "isage==0.0.1" in warning]


def test_constraints_and_extras(sage: Bench) -> None:
    found = actions(sage.resolve("isage[full]", constraints=["isage<0.2", "tinydep==1.0"]))
    assert found["isage"][2] == "0.1"
    assert found["tinydep"][2] == "1.0"
    assert found["tinyextra"] == ("add", None, "1.0")


def test_closure_without_the_index(sage: Bench) -> None:
    """What is kept is known even when the index has lost it."""
    sage.bring("isage[full]==0.1")
    os.unlink(os.path.join(sage.wheels, "tinydep-1.1-py3-none-any.whl"))
    os.unlink(os.path.join(sage.wheels, "tinydep-1.0-py3-none-any.whl"))
    found = sage.resolve("isage[full]==0.2")
    assert set(actions(found)) >= {"isage", "tinydep"}
    assert actions(found)["tinydep"] == ("keep", "1.1", "1.1")


def test_no_solution(sage: Bench) -> None:
    with pytest.raises(InstallerError, match="tinydep") as caught:
        sage.resolve("impossible")
    assert caught.value.untouched == "the environment; resolving changes nothing."
    assert caught.value.details["rc"] == 1


@EITHER
@pytest.mark.parametrize("requirement", ["-r /etc/passwd", "--index-url=x", "", "a\n-e /x", "$(touch /tmp/x)"])
def test_odd_requirements(sage: Bench, requirement: str) -> None:
    with pytest.raises(InputError, match="requirement cannot be read"):
        sage.resolve(requirement)


@EITHER
def test_nothing_asked_for(sage: Bench) -> None:
    with pytest.raises(InputError, match="There is nothing to resolve"):
        sage.resolve()


def test_before_there_is_an_environment(bench: Bench) -> None:
    if bench.tool == "pip" and importlib.util.find_spec("pip") is None:
        pytest.skip("the interpreter of the tests has no pip to ask")
    wheelhouse.main(str(bench.base))
    found = bench.resolve("isage", python=sys.executable, check=True)
    assert actions(found)["isage"] == ("add", None, "0.2")
    assert not os.path.exists(bench.venv)


@EITHER
def test_what_cannot_be_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = resolve.install_target

    def without_pip(*arguments: t.Any) -> interface.InstallTarget:
        where = real(*arguments)
        return where._replace(python=where.python._replace(pip=False))

    monkeypatch.setattr(resolve, "install_target", without_pip)
    monkeypatch.setattr(find_uv, "choose", lambda *arguments: find_uv.InstallerChoice("pip"))
    found = bench.resolve("isage", python=sys.executable, check=True)
    assert not found["plan"]["known"]
    assert "cannot be known before the virtual environment is made" in found["plan"]["notes"][0]
    with pytest.raises(InstallerError, match="cannot be known"):
        bench.resolve("isage", python=sys.executable)


@pytest.mark.slow
@pytest.mark.parametrize(("editable", "static"), [(True, True), (False, False)])
def test_source(sage: Bench, editable: bool, static: bool) -> None:
    source = wheelhouse.make_source(
        sage.base / "my source", "isage", "0.3", ["tinydep"], {"full": ["tinyextra"]}, static=static
    )
    source = os.path.realpath(source)
    found = sage.resolve(sources=[{"path": source, "editable": editable, "extras": ["full"]}])
    assert [one["name"] for one in found["third_party"]] == ["tinydep", "tinyextra"]
    (isage,) = found["sage"]
    assert isage["path"] == source
    assert isage["editable"] is editable
    assert isage["action"] == "add"
    assert isage["version"] in (("0.3",) if static or sage.tool == "pip" else ("0.3", None))
    assert isage["hashes"] == []
    sage.install(found["plan"]["distributions"])
    again = sage.resolve(sources=[{"path": source, "editable": editable, "extras": ["full"]}])
    assert actions(again)["isage"][0] == ("keep" if editable else "replace")
    assert actions(again)["tinydep"][0] == "keep"


def test_back_to_the_index(sage: Bench) -> None:
    source = str(sage.base / "source")
    sage.bring(sources=[{"path": source, "editable": True}])
    assert sage.versions()["isage"] == "0.3"
    found = sage.resolve("isage")
    assert actions(found)["isage"] == ("replace", "0.3", "0.2")
    assert actions(found)["tinydep"] == ("keep", "1.1", "1.1")
    sage.install(found["plan"]["distributions"])
    assert sage.versions()["isage"] == "0.2"
    assert {action for action, dummy, version in actions(sage.resolve("isage")).values()} == {"keep"}


@EITHER
def test_no_source(sage: Bench) -> None:
    with pytest.raises(InputError, match=r"no pyproject\.toml"):
        sage.resolve(sources=[{"path": "/nowhere"}])
    (sage.base / "source" / "pyproject.toml").write_text("[build-system]\nname = 'x'\n")
    with pytest.raises(InputError, match="has no name under"):
        sage.resolve(sources=[{"path": str(sage.base / "source")}])


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("pylock.toml", marks=TOML), "requirements.txt"])
def test_lock(sage: Bench, name: str) -> None:
    path = sage.base / name
    sage.bring("tinydep==1.0", "isage-tools")
    checked = sage.resolve("isage==0.1", lock_file=str(path), check=True)
    assert checked["changed"]
    assert not path.exists()
    assert sage.resolve("isage==0.1", lock_file=str(path))["diff"] == checked["diff"]
    text = path.read_text()
    assert not sage.resolve("isage==0.1", lock_file=str(path))["changed"]
    for one in ("isage", "isage-tools", "tinydep"):
        assert one in text
    sage.bring("isage==0.2", "tinydep==1.1")
    found = sage.resolve("isage", lock=text)
    assert actions(found) == {
        "isage": ("replace", "0.2", "0.1"),
        "isage-tools": ("keep", "0.1", "0.1"),
        "tinydep": ("replace", "1.1", "1.0"),
    }
    assert all(one["hashes"] for one in found["plan"]["distributions"])
    sage.install(found["plan"]["distributions"])
    assert sage.versions()["tinydep"] == "1.0"
    with pytest.raises(InputError, match="does not pin other"):
        sage.resolve("other", lock=text)


def test_credentials_are_hidden_from_results(sage: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_RETRIES", "UV_HTTP_RETRIES"):
        monkeypatch.setenv(name, "0")
    module = sage_resolve
    spec = module.SPEC.options
    assert {"index_url", "extra_index_urls", "find_links"} <= set(spec)
    with pytest.raises(InstallerError) as caught:
        sage.resolve("missing", no_index=False, index_url="http://me:s3cret@127.0.0.1:9/simple", timeout=60)
    assert "s3cret" not in str(caught.value) + repr(caught.value.as_dict())
