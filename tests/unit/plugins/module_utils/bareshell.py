# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host of which only rollback.sh, a shell and the coreutils are left."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import observed, render
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RollbackResult

# What the script may use; all of it is in coreutils.
COREUTILS = (
    *(
        "cat",
        "chmod",
        "chown",
        "cp",
        "cut",
        "date",
        "id",
        "ln",
        "mkdir",
        "mkfifo",
        "mv",
        "od",
        "readlink",
        "rm",
    ),
    *("rmdir", "sha256sum", "sort", "stat", "sync", "tee", "touch", "tr", "uniq"),
)
# Where the script itself looks for them: in directories of the system alone.
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = [["dash"], ["bash", "--posix"]]
# What is the same in both is tried with the second one less often.
BOTH_SHELLS = [
    pytest.param(shell, marks=[pytest.mark.slow] if number else [], id=shell[0]) for number, shell in enumerate(SHELLS)
]
FLOCK = "Note: flock is missing here, so make sure that no playbook runs at the same time.\n"


class Host:
    """A root with a state, an environment, and files."""

    def __init__(self, path: Path) -> None:
        self.top = path
        self.root = path / "root"
        self.root.mkdir()
        self.engine = Engine(str(self.root))
        self.venv = TinyVenv(self.root / "venv")
        self.data = path / "data"
        self.points: list[str] = []
        self.tools = path / "tools"
        self.tools.mkdir()
        for name in COREUTILS:
            found = shutil.which(name)
            assert found, name
            (self.tools / name).symlink_to(found)

    @property
    def state(self) -> Path:
        """The checkpoint directory."""
        return self.root / ".sage/checkpoints"

    @property
    def script(self) -> Path:
        """The script, where it belongs."""
        return self.state / "rollback.sh"

    def spec(self, *pins: str) -> dict[str, Any]:
        """A change of the environment that leaves C(name==version)."""
        named = [pin.partition("==") for pin in pins]
        wanted = [{"name": name, "version": version} for name, dummy, version in named]
        return {"kind": "venv", "path": str(self.venv.path), "distributions": wanted}

    def files(self, *paths: Path) -> dict[str, Any]:
        """A change of files."""
        return {"kind": "files", "paths": [str(path) for path in paths]}

    def capture(self, *specs: dict[str, Any], phase: str | None = None) -> None:
        """Capture, and write the script."""
        result = backup(self.engine, list(specs), phase, "", False)
        self.points.append(result["rollback_point"]["id"])
        self.write()

    def settle(self) -> None:
        """Have somebody look at what the change left, as whoever carries one out does, and write the script."""
        settled(self.engine, self.points[-1], False)
        self.write()

    def write(self, generation: str = "one") -> None:
        """Write the script for the state as it is."""
        with self.engine.reading() as session:
            chosen = targets.resolve(session.history(), "last")
            headers = {}
            assert session.where is not None
            for point in chosen.points:
                with contents.point_dir(session.where, point["install_id"], point["point"]) as where:
                    for number, taken in enumerate(point["resources"]):
                        headers[point["point"], number] = contents.read_manifest(where, taken)
            points = [{**point, "observed": observed(session.where, point)} for point in chosen.points]
        store = f"{self.engine.path}/store"
        target = {"tid": chosen.tid, "time": chosen.time, "generation": generation, "store": store, "machine": ""}
        target["command"] = "ansible-playbook"
        script = render(self.engine.path, target, points, headers)
        # Nothing but the tools that are named: the script itself looks where all of the system's are.
        searched = f"PATH={SEARCHED}\n".encode()
        assert script.count(searched) == 1
        self.script.write_bytes(
            script.replace(searched, f"PATH={shlex.quote(str(self.tools))}:/nonexistent\n".encode())
        )
        self.script.chmod(0o700)

    def run(self, *options: str, shell: list[str] | None = None, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run the script as somebody would whose Ansible is gone."""
        shell = shell or SHELLS[0]
        found = shutil.which(shell[0])
        if found is None:
            pytest.skip(f"{shell[0]} is not installed")
        settings = {"stdin": subprocess.DEVNULL, "env": {"PATH": str(self.tools)}, **settings}
        return subprocess.run(
            [found, *shell[1:], str(self.script), *options],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=120,
            cwd=self.top,
            check=False,
            **settings,
        )

    def undo(self, *options: str, shell: list[str] | None = None) -> str:
        """Run the script to its good end."""
        done = self.run("--yes", *options, shell=shell)
        assert (done.returncode, done.stderr.replace(FLOCK, "")) == (0, ""), done.stdout + done.stderr
        assert "\nexact\n" in done.stdout
        return done.stdout

    def look(self) -> dict[str, tuple[object, ...]]:
        """Everything but the state, as data."""
        found = {f"root/{name}": value for name, value in snapshot(self.root).items() if not name.startswith(".sage")}
        return {**found, **{f"data/{name}": value for name, value in snapshot(self.data).items()}}

    def everything(self) -> dict[str, tuple[object, ...]]:
        """The state too."""
        return {**self.look(), **snapshot(self.root)}

    def module(self, **options: Any) -> RollbackResult:
        """The module's rollback to the same target."""
        return rollback(self.engine, RollbackRequest(**options), False)


def prepared(path: Path) -> Host:
    """A host with an environment of two distributions."""
    one = Host(path)
    one.venv.make()
    one.venv.install("keep", "1.0")
    one.venv.install("pack", "1.0")
    one.data.mkdir()
    return one


def fill(data: Path) -> None:
    """Files of all kinds."""
    (data / "tree/sub/empty").mkdir(parents=True)
    (data / "file").write_text("content\n")
    (data / "file").chmod(0o640)
    os.utime(data / "file", ns=(1, 1_000_000_007))
    (data / "link").symlink_to("file")
    (data / "tree/sub/one").write_text("1")
    os.utime(data / "tree/sub/one", ns=(0, 0))
    (data / "tree/up").symlink_to("..")
    (data / "tree/sub").chmod(0o750)
    (data / "tree/locked").mkdir()
    (data / "tree/locked/inside").write_text("x")
    (data / "tree/locked").chmod(0o555)


def wreck(data: Path) -> None:
    """Change, remove and add everything."""
    (data / "file").unlink()
    (data / "file").mkdir()
    (data / "file/inside").write_text("x")
    (data / "link").unlink()
    (data / "link").write_text("no link")
    (data / "tree/sub/one").write_text("2")
    (data / "tree/sub/empty").rmdir()
    (data / "tree/sub").chmod(0o700)
    (data / "tree/new/deep").mkdir(parents=True)
    (data / "tree/new/deep/er").write_text("new")
    (data / "tree/locked").chmod(0o755)
    (data / "tree/locked/inside").write_text("y")
    (data / "tree/locked").chmod(0o555)
    (data / "absent").mkdir()
    (data / "absent/deep").write_text("x")


def paths(host: Host) -> dict[str, Any]:
    """The captured paths of M(fill)."""
    return host.files(*(host.data / name for name in ("file", "link", "tree", "absent")))


def change(host: Host) -> None:
    """What a plan would do."""
    new = {"pack/__init__.py": "changed\n", "pack/new/deep.py": "", "other.pth": "x", "../../../bin/extra": "#!\n"}
    host.venv.install("pack", "2.0", new)
    host.venv.install("fresh", "1.0")


def check_same_as_module(host: Host, before: dict[str, tuple[object, ...]]) -> None:
    """The module finds everything as captured, and only records."""
    assert changes(before, host.look()) == {}
    result = host.module()
    assert not any(result["plan"].values())
    assert result["exact"]
    assert result["undone"]
    assert changes(before, host.look()) == {}


def killer(host: Host, command: str, nth: int, after: bool) -> None:
    """Make the nth call of a command kill the script with all it started."""
    real = os.readlink(host.tools / command)
    count = host.top / "count"
    count.write_text("")
    (host.tools / command).unlink()
    run = f'{real} "$@"'
    die = "kill -KILL 0"
    (host.tools / command).write_text(
        f"#!/bin/sh\nprintf x >>{count}\nread -r n <{count}\n"
        f'if [ "${{#n}}" -ge {nth} ]; then\n{run if after else ":"}\n{die}\nfi\nexec {run}\n'
    )
    (host.tools / command).chmod(0o755)


def no_link(*args: object, **kwargs: object) -> None:
    """os.link where hard links are impossible."""
    raise PermissionError(1, "links are not permitted")
