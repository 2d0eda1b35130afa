# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.command import CommandOutcome
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    find_uv,
    interface,
    interpreter,
    lock_request,
    lockfile,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin
from ansible_collections.intellistream.sage.plugins.module_utils._plans import group_plan, host_group
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse

TOML = pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python cannot read TOML")
HERE = "linux-x86_64-glibc2_36-cp311"
_SETTINGS = ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    for name in (*_SETTINGS, "UV_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def lock(index: Index, requirements: t.Sequence[str] = ("isage",)) -> str:
    asked = lock_request.request(HERE, requirements, [])
    return f'lock-version = "1.0"\n\n{asked}{lock_request.index_line(index)}\n'


def test_what_it_was_made_for() -> None:
    asked = lock_request.request(HERE, ["b", "a"], ["c<2"])
    assert asked == lock_request.request(HERE, ["a", "b"], ["c<2"])
    assert lock_request.request_of(lock(Index())) == lock_request.request(HERE, ["isage"], [])
    assert lock_request.request_of('lock-version = "1.0"\n') == ""


def test_no_credentials() -> None:
    text = lock(Index(index_url="https://me:s3cret@host/simple"), ["a @ https://me:s3cret@host/a.whl"])
    assert "s3cret" not in text
    assert "https://host/simple" in text


@pytest.mark.parametrize(
    ("index", "may"),
    [
        (Index("https://host/simple"), True),
        (Index("https://me:pass@host/simple"), True),
        (Index("https://mirror/simple"), False),
        (Index(), False),
        (Index("https://host/simple", find_links=("/wheels",)), False),
        (Index("https://host/simple", no_index=True), False),
        (Index("https://host/simple", offline=True), False),
    ],
)
def test_urls_are_for_the_same_index(index: Index, may: bool) -> None:
    text = lock(Index("https://host/simple"))
    assert bool(lock_request.by_urls(text, index)) is may
    assert lock_request.by_urls('lock-version = "1.0"\n', index) == ""


def test_uvs_own_settings_count(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = lock(Index())
    assert lock_request.by_urls(text, Index())
    (tmp_path / "config" / "uv").mkdir(parents=True)
    (tmp_path / "config" / "uv" / "uv.toml").write_text('index-url = "https://mirror/simple"\n')
    assert not lock_request.by_urls(text, Index())
    (tmp_path / "config" / "uv" / "uv.toml").unlink()
    monkeypatch.setenv("UV_INDEX_URL", "https://mirror/simple")
    assert not lock_request.by_urls(text, Index())


def test_part_of_a_lock() -> None:
    pins = [Pin(name, "1.0", (f"sha256:{name * 64}",), url=f"https://host/{name}-1.0.whl") for name in "abc"]
    text = lockfile.text(pins, "pylock", "3.11") + "\n" + lock_request.request(HERE, ["a"], [])
    assert lockfile.part(text, pins[:2]) == lockfile.text(pins[:2], "pylock", "3.11")
    assert lockfile.part(text, [pins[0], Pin("d", "1.0")]) == ""
    assert lockfile.part(text, [pins[0]._replace(version="2.0")]) == ""


class Asked(t.NamedTuple):
    options: dict[str, t.Any]
    source: Index


@pytest.fixture
def asked(tmp_path: pathlib.Path) -> Asked:
    wheelhouse.main(str(tmp_path))
    options = {
        "venv": str(tmp_path / "none"),
        "python": sys.executable,
        "minimum": "3.9",
        "requirements": ["isage[full]"],
        "constraints": ["isage<0.2"],
        "installer": "uv",
        "uv": None,
        "tools": None,
        "timeout": 0,
    }
    return Asked(options, Index(find_links=(str(tmp_path / "wheels"),), no_index=True))


def resolve(asked: Asked) -> dict[str, str | None]:
    python = group_plan.venv_interpreter(asked.options)
    text = group_plan.resolve_here(asked.options, asked.source, host_group.of(sys.executable), python)
    assert lock_request.request_of(text)
    return {pin.name: pin.version for pin in lockfile.parse(text, python)}


@TOML
def test_resolving_leaves_nothing(asked: Asked, tmp_path: pathlib.Path) -> None:
    if not find_uv.find(None, None):
        pytest.skip("there is no uv")
    before = sorted(os.listdir(tmp_path))
    found = resolve(asked)
    assert found == {"isage": "0.1", "isage-tools": "0.1", "tinydep": "1.1", "tinyextra": "1.0"}
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.slow
@TOML
def test_what_it_needs_itself_is_temporary(
    asked: Asked, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither uv nor a pip: a virtual environment has one."""
    real = interpreter.probe

    def without_pip(executable: str) -> interpreter.Interpreter:
        found = real(executable)
        return found._replace(pip=found.pip and found.executable != sys.executable)

    monkeypatch.setattr(interpreter, "probe", without_pip)
    if not interpreter.probe(sys.executable).ensurepip:
        pytest.skip("this Python has no ensurepip")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    asked.options["installer"] = "pip"
    assert resolve(asked)["isage"] == "0.1"
    assert os.listdir(tmp_path / "tmp") == []
    assert not (tmp_path / "none").exists()


def test_nothing_to_resolve_with(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    python = group_plan.venv_interpreter(asked.options)._replace(pip=False, ensurepip=False)
    monkeypatch.setattr(find_uv, "choose", lambda *arguments: find_uv.InstallerChoice("pip"))
    with pytest.raises(InstallerError, match="neither pip nor ensurepip"):
        group_plan.resolve_here(asked.options, asked.source, host_group.of(sys.executable), python)


@TOML
@pytest.mark.slow
def test_for_hosts_of_another_kind(asked: Asked) -> None:
    if not find_uv.find(None, None):
        pytest.skip("there is no uv")
    for name in ("linux-aarch64-glibc2_29-cp312", "linux-x86_64-musl1_2-cp311", "linux-x86_64-glibc2_99-cp311"):
        text = group_plan.resolve_elsewhere(asked.options, asked.source, host_group.parse(name))
        assert f'group = "{name}"' in text
        assert f'requires-python = "=={host_group.parse(name).minor}.*"' in text
        assert "isage_tools-0.1" in text
    for name in ("linux-x86_64-glibc2_5-cp311", "darwin-arm64-cp311"):
        with pytest.raises(InputError, match="cannot resolve on the controller"):
            group_plan.resolve_elsewhere(asked.options, asked.source, host_group.parse(name))


@TOML
def test_the_index_is_not_asked_again(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv is given the lock file; if that fails, names and hashes."""
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.uv import Uv

    given: list[tuple[str, str]] = []
    refusing: list[bool] = []

    def fake(self: Uv, argv: t.Sequence[str], **more: t.Any) -> CommandOutcome:
        name = argv[argv.index("--requirements") + 1]
        given.append((os.path.basename(name), pathlib.Path(name).read_text()))
        if name.endswith(".toml") and refusing:
            raise InstallerError("too old")
        return CommandOutcome("uv", 0, stdout="", stderr="")

    monkeypatch.setattr(Uv, "_uv", fake)
    pins = [Pin("a", "1.0", (f"sha256:{'0' * 64}",), url="https://host/a-1.0-py3-none-any.whl")]
    target = interface.InstallTarget(interpreter.probe(sys.executable), None, {})
    uv = Uv("uv", target, asked.source)
    uv.lock_file_text = lockfile.text(pins, "pylock", "3.11")
    uv.install(pins, True)
    assert [name for name, dummy in given] == ["pylock.toml"]
    assert "https://host/a-1.0-py3-none-any.whl" in given[0][1]
    refusing.append(True)
    uv.install(pins, True)
    assert [name for name, dummy in given[1:]] == ["pylock.toml", "requirements.txt"]
