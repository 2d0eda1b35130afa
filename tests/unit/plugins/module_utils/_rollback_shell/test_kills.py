# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh after kills: its own, those of installers, and those of the module."""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import (
    Host,
    change,
    check_same_as_module,
    fill,
    killer,
    no_link,
    paths,
    prepared,
    wreck,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.crash, pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return prepared(tmp_path)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *((command, "linked") for command in ("cp", "mv", "rm", "ln", "chmod", "touch", "mkdir")),
        # Of a change that nobody has looked at, all that is new is kept aside.
        ("rmdir", "settled"),
        *((command, "copied") for command in ("cp", "mv", "rm", "mkdir")),
    ],
)
def test_killed_anywhere_finishes(host: Host, command: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(host.data)
    before = host.look()
    if kind == "copied":
        monkeypatch.setattr(os, "link", no_link)
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    real = os.readlink(host.tools / command)
    killed = 0
    for nth, after in ((1, False), (2, True), (3, False), (5, True), (8, False), (13, True)):
        change(host)
        wreck(host.data)
        if kind == "settled" and nth == 1:
            host.settle()
        killer(host, command, nth, after)
        first = host.run("--yes", start_new_session=True)
        (host.tools / command).unlink()
        (host.tools / command).symlink_to(real)
        killed += first.returncode == -signal.SIGKILL
        assert first.returncode in (0, -signal.SIGKILL), first.stderr
        host.undo()
        assert changes(before, host.look()) == {}, (nth, after)
        assert not (host.state / "rollback.begun").exists()
    assert killed
    check_same_as_module(host, before)


def test_killed_installer_leaves_nothing_behind(host: Host) -> None:
    (host.venv.site / "handmade.py").write_text("mine\n")
    before = host.look()
    time.sleep(0.01)
    with host.engine.session() as session:
        session.move("python_deps", "started")
        session.commit()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), phase="python_deps")
    time.sleep(0.01)
    (host.venv.site / "pack").rename(host.venv.site / "~ack")
    host.venv.info("pack", "1.0").rename(host.venv.site / "~ack-1.0.dist-info")
    host.venv.install("pack", "2.0", register=False)
    host.venv.install("fresh", "1.0", register=False)
    assert "~ack (kept aside)" in host.undo()
    assert list(host.state.glob(f"store/*/*/0/aside/**/{SITE}/~ack/__init__.py"))
    check_same_as_module(host, before)


@pytest.mark.parametrize("nth", [1, 2, 3, 5])
@pytest.mark.parametrize("command", ["cp", "rm", "mv"])
def test_the_module_finishes_what_the_script_began(host: Host, command: str, nth: int) -> None:
    fill(host.data)
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    killer(host, command, nth, after=bool(nth % 2))
    assert host.run("--yes", start_new_session=True).returncode == -signal.SIGKILL
    host.module()
    assert changes(before, host.look()) == {}


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 7, 9])
def test_the_script_finishes_what_the_module_began(host: Host, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(host.data)
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    calls = 0

    def die(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    real = os.rename
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            host.module()
    host.undo()
    check_same_as_module(host, before)
