# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands by which packages get back where there is no module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.kind import DpkgKind
from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes as kind_changes
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.kind import RpmKind

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind


def taken(*changes: tuple[str, str | None, str | None], **more: Any) -> dict[str, Any]:
    return {"changes": [{"name": one, "before": was, "after": now, **more} for one, was, now in changes]}


def by_hand(kind: Kind, captures: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return kind_changes.by_hand([(where, kind.by_hand(facts)) for where, facts in captures])


def test_the_newest_capture_comes_first() -> None:
    captures = [("/s/1/0", taken(("foo", "1", "2"), ("goo", None, "1"))), ("/s/2/0", taken(("bar", "1", None)))]
    assert by_hand(RpmKind(), captures) == [
        "rpm -U --oldpackage --replacepkgs --nosignature --nofiledigest /s/2/0/*.rpm",
        "rpm -U --oldpackage --replacepkgs --nosignature --nofiledigest /s/1/0/*.rpm",
        "rpm -e goo",
    ]


def test_what_is_only_added_is_only_taken_away() -> None:
    assert by_hand(DpkgKind(), [("/s", taken(("goo", None, "1"), ("moo", None, "1")))]) == ["dpkg --purge goo moo"]


def test_names_of_directories_are_quoted() -> None:
    (command,) = by_hand(RpmKind(), [("/s p'", taken(("foo", "1", None)))])
    assert command.endswith(""" '/s p'"'"''/*.rpm""")


def test_what_may_not_come_is_left_out() -> None:
    assert by_hand(RpmKind(), [("/s", taken(("foo", "1", None), optional=True))]) == []
    assert kind_changes.introduced([]) == []


def test_no_terminal_is_told_what_is_no_text() -> None:
    assert by_hand(RpmKind(), [("/s\x1b[2J", taken(("foo", "1", None)))]) == []
