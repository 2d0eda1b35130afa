# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remove_sage.yml as people play it: shown, asked, refused, removed; the host is looked at, not only the words."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, Played, play
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    import pathlib


class Hosts:
    """Two hosts with a record each; the installation of one is not finished."""

    def __init__(self, top: pathlib.Path) -> None:
        self.top = top
        self.roots = top / "roots"
        self.roots.mkdir()
        (self.roots / "file").write_text("mine")
        self.before = snapshot(self.roots)
        root = f"{self.roots}/{{{{ inventory_hostname }}}}"
        capture = {"root": root, "resources": [{"kind": "files", "paths": [f"{self.roots}/file"]}]}
        begin = {"root": root, "inputs": {}, "phase": "environment_setup", "status": "started"}
        tasks: list[dict[str, t.Any]] = [
            {"intellistream.sage.sage_backup": capture},
            {"intellistream.sage.sage_checkpoint": begin, "when": "inventory_hostname == 'busy'"},
        ]
        played = play(top, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], hosts=("busy", "done"))
        assert played.status == 0, played.output

    def play(self, *options: str, answer: str | None = None, hosts: tuple[str, ...] = ("done",)) -> Played:
        """The playbook, on these hosts."""
        return play(
            self.top,
            [{"ansible.builtin.import_playbook": str(TOP / "playbooks/remove_sage.yml")}],
            *("-e", f"sage_root={self.roots}/{{{{ inventory_hostname }}}}"),
            *options,
            hosts=hosts,
            answer=answer,
        )


@pytest.mark.slow
def test_it_shows_asks_and_removes(tmp_path: pathlib.Path) -> None:
    hosts = Hosts(tmp_path)
    sight = snapshot(hosts.roots)
    for options, answer, status, words in (
        (["--check"], None, 0, "(the record (1 change, 1 rollback point)"),
        ([], None, 2, "there is no terminal to ask at"),
        ([], "n", 2, "Nothing was changed, as answered."),
        (["-e", "sage_keep_recrod=true"], None, 2, "did you mean sage_keep_record?"),
    ):
        played = hosts.play(*options, answer=answer)
        assert played.status == status, played.output
        assert words in played.output
        assert changes(sight, snapshot(hosts.roots)) == {}
    played = hosts.play(answer="y", hosts=("busy", "done"))
    # One that refuses does not stop the other, and fails at the end.
    assert played.status == 2, played.output
    assert "REFUSED: Installation" in played.output
    assert "Roll it back with rollback_sage.yml -e sage_rollback_to=" in played.output
    left = {name.partition("/")[0] for name in changes(hosts.before, snapshot(hosts.roots))}
    assert left == {"busy"}
    played = hosts.play()
    assert played.status == 0, played.output
    assert "done  nothing to remove" in played.output


@pytest.mark.slow
def test_the_record_is_kept_and_can_be_shown(tmp_path: pathlib.Path) -> None:
    hosts = Hosts(tmp_path)
    played = hosts.play("-e", "sage_keep_record=true", "-e", "sage_assume_yes=true")
    assert played.status == 0, played.output
    assert "stays: " in played.output
    assert (hosts.roots / "done/.sage/checkpoints/ledger.jsonl").exists()
