# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dnf's history, in a database of its layout; the system tests read the one that dnf writes."""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._rpm import dnf_history as history

if t.TYPE_CHECKING:
    from pathlib import Path

SCHEMA = """
    CREATE TABLE trans (id INTEGER PRIMARY KEY AUTOINCREMENT, cmdline TEXT, state INTEGER NOT NULL);
    CREATE TABLE rpm (item_id INTEGER UNIQUE NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,
        version TEXT NOT NULL, release TEXT NOT NULL, arch TEXT NOT NULL);
    CREATE TABLE trans_item (id INTEGER PRIMARY KEY AUTOINCREMENT, trans_id INTEGER, item_id INTEGER,
        action INTEGER NOT NULL, reason INTEGER NOT NULL, state INTEGER NOT NULL);
    CREATE TABLE console_output (id INTEGER PRIMARY KEY, trans_id INTEGER, line TEXT NOT NULL);
"""
INSTALL, OBSOLETED, UPGRADE, UPGRADED, REMOVE, CHANGED = 1, 5, 6, 7, 8, 10
DEPENDENCY, USER = 1, 2


class Dnf:
    """Writes transactions."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(SCHEMA)

    def run(self, *items: tuple[str, str, int, int], said: t.Sequence[str] = (), state: int = 1, left: int = 1) -> None:
        """One transaction of (name, version, action, reason)."""
        execute = self._database.execute
        number = execute("INSERT INTO trans (cmdline, state) VALUES ('upgrade', ?)", (state,)).lastrowid
        for name, version, action, reason in items:
            epoch, dummy, rest = version.rpartition(":")
            values = (name, int(epoch or 0), rest)
            item = execute("SELECT count(*) + 1 FROM rpm").fetchone()[0]
            execute("INSERT INTO rpm VALUES (?, ?, ?, ?, '1', 'noarch')", (item, *values))
            execute(
                "INSERT INTO trans_item (trans_id, item_id, action, reason, state) VALUES (?, ?, ?, ?, ?)",
                (number, item, action, reason, left),
            )
        for line in said:
            execute("INSERT INTO console_output (trans_id, line) VALUES (?, ?)", (number, line))
        self._database.commit()

    def close(self) -> None:
        """Give the database back."""
        self._database.close()


@pytest.fixture
def dnf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Dnf]:
    monkeypatch.setattr(history, "PATH", str(tmp_path / "history.sqlite"))
    with contextlib.closing(Dnf(tmp_path / "history.sqlite")) as made:
        yield made


def test_the_latest_reason_counts(dnf: Dnf) -> None:
    dnf.run(("foo", "1", INSTALL, USER), ("bar", "1", INSTALL, DEPENDENCY), ("old", "1", INSTALL, USER))
    dnf.run(("foo", "2", UPGRADE, USER), ("foo", "1", UPGRADED, DEPENDENCY), ("bar", "1", CHANGED, USER))
    dnf.run(("old", "1", OBSOLETED, DEPENDENCY))
    dnf.run(("failed", "1", INSTALL, USER), state=2)
    assert history.reasons() == {
        ("foo", "noarch"): "user",
        ("bar", "noarch"): "user",
        ("old", "noarch"): "user",
    }
    dnf.run(("foo", "2", REMOVE, USER))
    assert history.reasons()["foo", "noarch"] == "unknown"


@pytest.mark.parametrize(
    "line",
    [
        "warning: %post(foo-2-1.noarch) scriptlet failed, exit status 1",
        "Warnung: %post(foo-2-1.noarch)-Skriptlet fehlgeschlagen, Beenden-Status 1",
        "警告：%post(foo-2-1.noarch) 脚本执行失败，退出状态码为 1",
    ],
)
def test_a_failed_script_in_any_language(dnf: Dnf, line: str) -> None:
    dnf.run(("foo", "3:2", UPGRADE, USER), ("foo", "1", UPGRADED, USER), said=["harmless", line, line])
    assert history.failed(0, {"foo"}) == ["%post of foo-2-1.noarch failed"]
    assert history.failed(0, {"other"}) == []
    assert history.failed(1, {"foo"}) == []


def test_an_epoch_is_known_too(dnf: Dnf) -> None:
    dnf.run(("foo", "3:2", UPGRADE, USER), said=["error: %prein(foo-3:2-1.noarch) scriptlet failed"])
    assert history.failed(0, {"foo"}) == ["%pre of foo-3:2-1.noarch failed"]


def test_a_packages_name_that_is_none_of_this_transaction_is_no_failure(dnf: Dnf) -> None:
    dnf.run(("foo", "2", UPGRADE, USER), said=["50% (done), %post(other-2-1.noarch), %d(), 100%(foo)"])
    assert history.failed(0, {"foo"}) == []


def test_what_is_half_done(dnf: Dnf) -> None:
    dnf.run(("foo", "2", UPGRADE, USER), state=2, left=2)
    assert history.failed(0, {"foo"}) == ["foo-2-1.noarch was left half done"]


def test_a_transaction_that_was_killed(dnf: Dnf) -> None:
    dnf.run(("foo", "2", UPGRADE, USER), state=0)
    assert history.failed(0, {"foo"}) == ["dnf's transaction 1 (upgrade) did not end"]


def test_a_later_transaction_mends(dnf: Dnf) -> None:
    dnf.run(
        ("foo", "2", UPGRADE, USER), ("bar", "2", UPGRADE, USER), said=["%post(foo-2-1.noarch) %post(bar-2-1.noarch)"]
    )
    dnf.run(("foo", "2", UPGRADE, USER))
    assert history.failed(0, {"foo", "bar"}) == ["%post of bar-2-1.noarch failed"]
    assert history.last() == 2


def test_a_history_that_is_missing_or_cannot_be_read_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PATH", str(tmp_path / "history.sqlite"))
    assert (history.last(), history.reasons(), history.since(0)) == (0, {}, [])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "history.sqlite").write_bytes(b"no database at all" * 99)
    assert (history.last(), history.reasons(), history.since(0)) == (0, {}, [])


def test_an_empty_history(dnf: Dnf) -> None:
    assert (history.last(), history.reasons(), history.since(0)) == (0, {}, [])
