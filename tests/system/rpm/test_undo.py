# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades, removals and downgrades of rpm packages taken back: everything is as it was, by the oracle's word."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import (
    ORIGINAL,
    UPGRADED,
    Host,
    example,
    files_of,
    read,
    snapshot,
    write,
)
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


def by_dnf(repository: Repository) -> None:
    dnf("upgrade", "foo")


def by_rpm(repository: Repository) -> None:
    names = ("foo-2-1", "bar-2-1", "goo-1-1")
    run("rpm", "-U", *(repository.where / f"{name}.noarch.rpm" for name in names))


@pytest.mark.parametrize(("upgrade", "settled"), [(by_dnf, True), (by_rpm, False)])
def test_the_documents_example(host: Host, repository: Repository, upgrade, settled: bool) -> None:  # type: ignore[no-untyped-def]
    example(repository)
    point = host.capture("foo", state="latest")
    upgrade(repository)
    assert installed() == UPGRADED
    if settled:
        host.settle(point)
    predicted = host.undo(check=True)
    assert installed() == UPGRADED
    result = host.undo()
    assert result["plan"] == predicted["plan"]
    assert sorted(result["plan"]["install"]) == ["bar 1-1", "foo 1-1"]
    assert sorted(result["plan"]["erase"]) == ["bar 2-1", "foo 2-1", "goo 1-1"]
    assert installed() == ORIGINAL
    assert host.differences() == []


def test_the_repository_is_not_needed(host: Host, repository: Repository) -> None:
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    for path in repository.where.glob("*.rpm"):
        path.unlink()
    host.undo()
    assert host.differences() == []


def test_several_changes_are_undone_as_one(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("foo", "3", files=files_of("3"))
    first = host.capture("foo-2", state="present")
    dnf("upgrade", "foo-2")
    host.settle(first)
    middle = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(middle)
    assert "foo-3-1.noarch" in installed()
    host.undo(to=first)
    assert installed() == ORIGINAL
    assert host.differences(0) == []


def test_one_after_the_other(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("foo", "3", files=files_of("3"))
    first = host.capture("foo-2", state="present")
    dnf("upgrade", "foo-2")
    host.settle(first)
    second = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.undo(to=second)
    assert host.differences(1) == []
    host.undo(to=first)
    assert host.differences(0) == []


def test_by_date(host: Host, repository: Repository) -> None:
    example(repository)
    time.sleep(1.1)
    date = dt.datetime.now(dt.timezone.utc).isoformat()
    time.sleep(1.1)
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    host.undo(to=date)
    assert host.differences() == []


def test_there_and_back_again(host: Host, repository: Repository) -> None:
    example(repository)
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    host.before.append(snapshot())
    result = host.undo()
    assert host.differences(0) == []
    assert result["redo_point"]
    host.undo(to=result["redo_point"])
    assert installed() == UPGRADED
    assert host.differences(1) == []
    host.undo()
    assert host.differences(0) == []


def test_removed_packages_come_back(host: Host, repository: Repository) -> None:
    example(repository)
    dnf("upgrade", "foo")
    dnf("mark", "remove", "bar")
    write("/etc/foo.conf", "mine\n", 0o600)
    point = host.capture("foo", state="absent")
    dnf("remove", "foo")
    host.settle(point)
    assert installed() == []
    host.undo()
    assert installed() == UPGRADED
    assert host.differences() == []
    assert read("/etc/foo.conf") == "mine\n"


def test_what_others_installed_stays(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("other", files={"/opt/other": "x"})
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    dnf("install", "other")
    host.undo()
    assert installed() == [*ORIGINAL, "other-1-1.noarch"]


def test_what_others_need_is_a_conflict(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("other", fields=["Requires: goo"])
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    dnf("install", "other")
    with pytest.raises(ConflictError, match=r"goo is needed by .*other-1-1"):
        host.undo()
    assert installed() == sorted([*UPGRADED, "other-1-1.noarch"])


def test_changed_outside_of_the_ledger(host: Host, repository: Repository) -> None:
    example(repository)
    repository.add("foo", "3", files=files_of("3"))
    point = host.capture("foo-2", state="present")
    dnf("upgrade", "foo-2")
    host.settle(point)
    dnf("upgrade", "foo")
    with pytest.raises(ConflictError, match="foo is 3-1, the change left 2-1"):
        host.undo()
    assert "foo-3-1.noarch" in installed()
    host.undo(force=True)
    assert host.differences() == []


def test_what_was_added_before_a_date_stays(host: Host, repository: Repository) -> None:
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    time.sleep(1.1)
    result = host.undo(erase_installed_after=dt.datetime.now(dt.timezone.utc).isoformat())
    assert result["kept"] == ["goo 1-1 (it was installed before the given date)"]
    assert installed() == ["bar-1-1.noarch", "foo-1-1.noarch", "goo-1-1.noarch"]


def test_protected_packages_stay(host: Host, repository: Repository) -> None:
    example(repository)
    write("/etc/dnf/protected.d/goo.conf", "goo\n")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    result = host.undo()
    assert result["kept"] == ["goo 1-1 (the system needs it)"]
    assert installed() == ["bar-1-1.noarch", "foo-1-1.noarch", "goo-1-1.noarch"]


def test_nothing_was_changed(host: Host, repository: Repository) -> None:
    example(repository)
    host.capture("foo", state="latest")
    result = host.undo()
    assert not any(result["plan"].values())
    assert host.differences() == []
