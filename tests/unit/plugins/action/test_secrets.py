# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is secret is not where other users can read it."""

from __future__ import annotations

import base64
import contextlib
import functools
import glob
import http.server
import os
import shutil
import subprocess
import sys
import threading
import typing as t

import pytest
import yaml

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

if t.TYPE_CHECKING:
    import pathlib

# Like no other test that runs meanwhile.
SECRET = f"s3cret{os.getpid()}"
LOGIN = f"me:{SECRET}"


class _Private(http.server.SimpleHTTPRequestHandler):
    """Files for whoever has the password.

    :cvar let_in: the paths that somebody with the password asked for.
    """

    let_in: t.ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {base64.b64encode(LOGIN.encode()).decode()}":
            self.let_in.append(self.path)
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(directory: pathlib.Path) -> t.Iterator[str]:
    """The URL of a directory, with the password."""
    handler = functools.partial(_Private, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://{LOGIN}@127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


@contextlib.contextmanager
def _watched() -> t.Iterator[set[str]]:
    """The command lines of all processes of this machine meanwhile, as every user of it sees them."""
    command_lines: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                with contextlib.suppress(OSError), open(path, "rb") as stream:
                    command_lines.add(stream.read().replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield command_lines
    finally:
        ended.set()
        watcher.join()


def _git(*arguments: str) -> None:
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


REQUEST = {"intellistream.sage.sage_request": {}, "register": "__sage_request"}
# What the user of the role wants in the environment of its tasks.
PRIVATE = {
    "sage_http_proxy": f"http://{LOGIN}@127.0.0.1:9",
    "sage_no_proxy": "127.0.0.1",
    "sage_environment": {"API_TOKEN": SECRET},
}


def _of_the_role(*tasks: dict[str, t.Any]) -> dict[str, t.Any]:
    """Tasks in the environment that the role's own have."""
    role: list[dict[str, t.Any]] = yaml.safe_load((TOP / "roles/sage/tasks/main.yml").read_text())
    environment = next(task["environment"] for task in role[-1]["block"] if "environment" in task)
    names: dict[str, t.Any] = yaml.safe_load((TOP / "roles/sage/vars/main.yml").read_text())
    return {
        "block": list(tasks),
        "environment": environment,
        "vars": {
            **{name: names[name] for name in ("__sage_task_environment", "__sage_run_environment")},
            **dict.fromkeys(("__sage_run_id", "__sage_install_id", "__sage_checkpoints"), ""),
        },
    }


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_x8_the_password_of_the_repository_is_nowhere(tmp_path: pathlib.Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source, bare, clone = tmp_path / "source", tmp_path / "bare", tmp_path / "root" / "src"
    _git("init", "-q", str(source))
    (source / "pyproject.toml").write_text("[project]\nname = 'isage'\n")
    _git("-C", str(source), "add", "--all")
    _git("-C", str(source), "commit", "-q", "-m", "first")
    _git("clone", "-q", "--bare", str(source), str(bare))
    _git("-C", str(bare), "update-server-info")
    with _served(bare) as url:
        tasks = [
            {
                "ansible.builtin.include_role": {"name": "intellistream.sage.sage", "tasks_from": name},
                "vars": {"__sage_run": {"check_mode": False}},
            }
            for name in ("install/look_up_commit.yml", "phases/submodule_sync.yml")
        ]
        wishes = {
            "sage_root": str(tmp_path / "root"),
            "sage_source": "git",
            "sage_repository": url,
            "sage_checkpointing": False,
            **PRIVATE,
        }
        plays = [{"hosts": "all", "gather_facts": False, "vars": wishes, "tasks": [REQUEST, _of_the_role(*tasks)]}]
        with _watched() as command_lines:
            played = play(tmp_path, plays, "-vvv", TMPDIR=str(scratch))
    assert played.status == 0, played.output
    assert (clone / "pyproject.toml").exists()
    assert "could not be asked for" not in played.output
    assert SECRET not in played.output
    assert any("look_up_commit.sh" in line for line in command_lines)
    assert [line for line in command_lines if SECRET in line] == []
    holding = {path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()}
    assert holding == {tmp_path / "playbook.json"}
    assert not list(scratch.glob("*.sage"))


@pytest.mark.slow
def test_x8_the_environment_of_a_task_is_in_no_command_line(tmp_path: pathlib.Path) -> None:
    with _served(tmp_path) as url:
        resolve = {
            "intellistream.sage.sage_resolve": {
                "requirements": ["no-such-distribution"],
                "venv": str(tmp_path / "venv"),
                "python": sys.executable,
                "installer": "pip",
                "timeout": 100,
            },
            "environment": {"PIP_INDEX_URL": f"{url}simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": 0},
        }
        # SAGE reads keys of services itself, and others' names begin like the linker's.
        named = dict.fromkeys(("API_TOKEN", "SAGE_CHAT_API_KEY", "LD_SDK_KEY"), SECRET)
        token = {**named, "SAGE_INSTALLATION": "1@/"}
        plays = [{"hosts": "all", "gather_facts": False, "environment": token, "tasks": [resolve]}]
        with _watched() as command_lines:
            played = play(tmp_path, plays, "-vvv")
    assert played.status == 2, played.output
    assert "/simple/no-such-distribution/" in _Private.let_in
    assert any("SAGE_INSTALLATION=1@/" in line for line in command_lines)
    assert [line for line in command_lines if SECRET in line] == []
    assert SECRET not in played.output


PACKAGE_MANAGER = """
import os
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec={"name": {"type": "list", "elements": "str"}, "state": {}})
with open(os.environ["TMPDIR"] + "/" + "-".join(module.params["name"]), "w") as stream:
    stream.write(os.environ["http_proxy"] + " " + os.environ["API_TOKEN"] + " " + os.environ["SAGE_CAPTURE"])
module.exit_json(changed=True)
"""


@pytest.mark.slow
def test_x8_package_managers_and_commands_get_their_secrets_in_private(tmp_path: pathlib.Path) -> None:
    """What the role does by modules of Ansible's own."""
    scratch = tmp_path / "scratch"
    modules = tmp_path / "library"
    leftover = tmp_path / "root/.sage/venv/lib/python3/site-packages/~sage"
    for directory in (scratch, modules, leftover):
        directory.mkdir(parents=True)
    (modules / "manager.py").write_text(PACKAGE_MANAGER)
    wishes = {
        "sage_root": str(tmp_path / "root"),
        "sage_checkpointing": False,
        "sage_system_packages": ["one", "two"],
        "ansible_package_use": "ansible.legacy.manager",
        **PRIVATE,
    }
    tasks = [
        {
            "ansible.builtin.include_role": {"name": "intellistream.sage.sage", "tasks_from": f"phases/{name}.yml"},
            "vars": {"__sage_run": {"check_mode": False}, "__sage_point": {}},
        }
        for name in ("system_packages", "cleanup")
    ]
    plays = [{"hosts": "all", "gather_facts": False, "vars": wishes, "tasks": [REQUEST, _of_the_role(*tasks)]}]
    with _watched() as command_lines:
        played = play(tmp_path, plays, "-vvv", TMPDIR=str(scratch))
    assert played.status == 0, played.output
    assert (scratch / "one-two").read_text() == f"{PRIVATE['sage_http_proxy']} {SECRET} off"
    assert not leftover.exists()
    assert [line for line in command_lines if SECRET in line] == []
    assert SECRET not in played.output
