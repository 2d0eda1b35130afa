# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No call of root uses what another user could replace: each module, whatever it is going to do, and both programs."""

from __future__ import annotations

import contextlib
import grp
import importlib
import io
import json
import os
import pathlib
import pwd
import stat
import sys
import typing as t

import pytest
from ansible.module_utils import basic

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import program as deadman_program
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import program as hooks_program
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

PLUGINS = pathlib.Path(__file__).resolve().parents[4] / "plugins"
PACKAGE = "ansible_collections.intellistream.sage.plugins.modules"
OTHER = 65534
RUN = {"run": "r1", "decision_log": "d1"}
# What each module can be asked to do at a root, options beside the state's or the installer's.
CALLS: dict[str, list[dict[str, t.Any]]] = {
    "sage_backup": [{"resources": [{"kind": "files", "paths": ["/etc/hostname"]}]}, {"settle": "x"}],
    "sage_check": [{}, {"repair": True}],
    "sage_checkpoint": [
        {"inputs": {}},
        {"phase": "cleanup", "status": "started"},
        {"state": "absent"},
        {"recover": True},
        {"decided": {"run": "r1", "decision": "abort"}},
    ],
    "sage_checkpoint_info": [{}, {"inputs": {}}, {"drift": True}],
    # It runs on the controller, and names no place of a host.
    "sage_controller_file": [],
    "sage_deadman": [{"after": 60, "method": "process"}, {"state": "disarmed"}],
    "sage_decision": [{"state": "opened"}, {"state": "finished", **RUN}],
    "sage_hook": [{}, {"state": "absent"}],
    "sage_install": [{"distributions": [{"name": "a", "version": "1"}]}],
    "sage_plan": [{"requirements": ["a"]}, {"requirements": ["a"], "resolve": True}],
    "sage_resolve": [{"requirements": ["a"]}],
    "sage_resume_info": [{"inputs": {}}],
    "sage_remove": [{}, {"keep_record": True}, {"remove_others": True}],
    "sage_retention": [{}],
    # What they do is done by their action plugins.
    "sage_builtin": [],
    "sage_request": [],
    "sage_outcome": [],
    "sage_run_info": [],
    "sage_rollback": [{}, {"prepare": RUN}],
    "sage_venv": [{}, {"recreate": True}],
    "sage_verify": [{"commands": [{"argv": ["true"]}]}],
    "sage_wheelhouse": [
        {"path": "{root}/.sage/wheelhouse", "source": "/nonexistent", "state": "absent"},
        {"path": "/tmp"},
    ],
}
VENV_OPTION = {"sage_venv": "path"}
# Paths that are no place of the collection's own, and what keeps them safe.
OTHER_PATHS = {
    "uv": "check_program",
    "ca_certificate": "read by the installer as data",
    "lock_file": "written for people, where they say",
    "directory": "of the controller",
    "source": "of the controller",
    "lock": "of the controller",
    "wheelhouse": "of the controller",
    "bundle": "made by Ansible for the call",
    "path": "a private directory, see open_private",
    "fleet_dir": "a private directory, see open_private",
}
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")


def _run(module: str, **options: t.Any) -> dict[str, t.Any]:
    """What the module prints, run in this process: there are many calls."""
    out = io.StringIO()
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_remote_tmp": "/tmp", **options}}).encode()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(basic, "_ANSIBLE_ARGS", arguments)
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            importlib.import_module(f"{PACKAGE}.{module}").main()
    result: dict[str, t.Any] = json.loads(out.getvalue())
    return result


def _options(module: str, root: pathlib.Path, checkpoint_dir: str | None) -> dict[str, t.Any]:
    names = importlib.import_module(f"{PACKAGE}.{module}").SPEC.options
    options: dict[str, t.Any] = {"lock_timeout": 1} if "lock_timeout" in names else {}
    if "root" in names:
        return {**options, "root": str(root), "checkpoint_dir": checkpoint_dir}
    if "fleet_dir" in names:
        return {"fleet_dir": str(root / "fleet")}
    return {**options, VENV_OPTION.get(module, "venv"): str(root / ".sage" / "venv")}


def _look(top: pathlib.Path) -> dict[str, tuple[int, int, int]]:
    paths = [top, *top.rglob("*")]
    return {str(path): (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_mtime_ns) for path in paths}


class Host(t.NamedTuple):
    """A root of SAGE with a record of its environment, whose interpreter is a trap now.

    :ivar top: all that there is of it, and a record elsewhere.
    :ivar home: the directory that it is in.
    :ivar ran: is there when the trap was run.
    """

    top: pathlib.Path
    home: pathlib.Path
    root: pathlib.Path
    ran: pathlib.Path


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """One for all tests that change no more of it than whom directories belong to: see C(host)."""
    return _make_host(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def host(shared_host: Host) -> t.Iterator[Host]:
    """The shared one; owners and modes of its directories are put back, and nothing else was changed."""
    before = _look(shared_host.top)
    directories = {path: path.stat() for path in (shared_host.home, shared_host.root)}
    yield shared_host
    for path, status in directories.items():
        os.chown(path, status.st_uid, status.st_gid)
        path.chmod(stat.S_IMODE(status.st_mode))
    assert _look(shared_host.top) == before


def _make_host(top: pathlib.Path) -> Host:
    home = top / "home"
    host = Host(top, home, home / "sage", top / "ran")
    for record in (None, str(top / "record")):
        python = host.root / ".sage" / "venv" / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        (host.root / ".sage" / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
        python.unlink(missing_ok=True)
        python.symlink_to(sys.executable)
        venv = {"kind": "venv", "path": str(host.root / ".sage" / "venv")}
        done = {"phase": "environment_setup", "status": "completed", "result": [venv]}
        told = _run("sage_checkpoint", root=str(host.root), checkpoint_dir=record, inputs={}, transitions=[done])
        assert told.get("changed"), told
        python.unlink()
        python.write_text(f"#!/bin/sh\ntouch {host.ran}\n")
        python.chmod(0o755)
    return host


def _belongs_to_another(host: Host) -> None:
    os.chown(host.root, OTHER, OTHER)


def _lies_in_anothers_home(host: Host) -> None:
    os.chown(host.home, OTHER, OTHER)


def _group_has_members(host: Host) -> None:
    group = next(one for one in pwd.getpwall() if one.pw_uid != 0 and one.pw_gid != 0).pw_gid
    os.chown(host.home, 0, group)
    host.home.chmod(0o775)


HOSTILE = [_belongs_to_another, _lies_in_anothers_home, _group_has_members]


@ROOT_ONLY
@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("module", [module for module, calls in CALLS.items() if calls])
def test_x3_x6_no_module_uses_what_another_could_replace(
    host: Host, module: str, hostile: t.Callable[[Host], None]
) -> None:
    hostile(host)
    before = _look(host.top)
    record = str(host.top / "record")
    calls = [
        {**_options(module, host.root, place), **call, "_ansible_check_mode": check}
        for place in ([None, record] if "root" in _options(module, host.root, None) else [None])
        for call in CALLS[module]
        for check in (True, False)
    ]
    for call in calls:
        result = _run(module, **call)
        assert result.get("failed"), call
        assert result["error"]["kind"] == "UnsafePath", (call, result)
    assert not host.ran.exists()
    assert _look(host.top) == before


@ROOT_ONLY
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_x3_x6_no_program_on_the_host_does_either(
    host: Host, hostile: t.Callable[[Host], None], elsewhere: bool
) -> None:
    hostile(host)
    engine = Engine(str(host.root), str(host.top / "record") if elsewhere else None, 1)
    with pytest.raises(UnsafePath):
        deadman_program.fire(engine, "token")
    with pytest.raises(UnsafePath):
        hooks_program.after(engine, "apt")


@ROOT_ONLY
def test_x3_nobodys_interpreter_is_run_because_a_record_names_it(tmp_path: pathlib.Path) -> None:
    """The environment is root's, what its link leads to is not."""
    host = _make_host(tmp_path)
    home = tmp_path / "another"
    home.mkdir()
    python = host.root / ".sage" / "venv" / "bin" / "python"
    python.rename(home / "python")
    python.symlink_to(home / "python")
    os.chown(home, OTHER, OTHER)
    result = _run("sage_resume_info", root=str(host.root), inputs={})
    assert f"{home} is not safe to use: it belongs to user id {OTHER}" in result["resume"]["reasons"][0]["reason"]
    for module in ("sage_install", "sage_resolve", "sage_plan", "sage_venv"):
        told = _run(module, **_options(module, host.root, None), **CALLS[module][0])
        assert told["error"]["kind"] == "UnsafePath", told
    assert not host.ran.exists()


@ROOT_ONLY
def test_x6_a_group_without_another_member_is_as_good_as_none(tmp_path: pathlib.Path) -> None:
    host = _make_host(tmp_path)
    accounts = {account.pw_gid for account in pwd.getpwall()}
    group = next(one.gr_gid for one in grp.getgrall() if not one.gr_mem and one.gr_gid not in accounts)
    os.chown(host.home, 0, group)
    host.home.chmod(0o775)
    assert not _run("sage_checkpoint_info", root=str(host.root)).get("failed")


@ROOT_ONLY
def test_x6_a_link_on_the_way_is_its_owners_to_turn(tmp_path: pathlib.Path) -> None:
    """Also one that another link leads through."""
    host = _make_host(tmp_path)
    middle, name = tmp_path / "middle", tmp_path / "name"
    middle.symlink_to(host.root)
    name.symlink_to(middle)
    assert not _run("sage_checkpoint_info", root=str(name)).get("failed")
    os.lchown(middle, OTHER, OTHER)
    result = _run("sage_checkpoint_info", root=str(name))
    assert (
        result["error"]["what"] == f"{middle} is not safe to use: it belongs to user id {OTHER}, and this is user id 0."
    )


def test_x6_every_path_that_a_module_takes_is_spoken_for() -> None:
    modules = {path.stem for path in (PLUGINS / "modules").glob("*.py")}
    assert modules == set(CALLS)
    for module in modules:
        spec = importlib.import_module(f"{PACKAGE}.{module}").SPEC
        paths = {name for name, option in spec.options.items() if option.get("type") == "path"}
        assert paths - {*spec.places} <= {*OTHER_PATHS}, module
        assert {*spec.places} <= paths, module
