# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of the host, and what it means when they differ."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import host

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Environment

HERE: Environment = {"os": "debian", "os_version": "12", "architecture": "x86_64"}


def test_facts_of_this_machine() -> None:
    facts = host.facts()
    assert facts["architecture"] == os.uname().machine
    assert facts["os"]
    assert set(facts) == set(HERE)


def test_the_machine_id_itself_is_never_in_the_facts() -> None:
    identity = pathlib.Path("/etc/machine-id")
    if identity.exists() and identity.read_text().strip():
        assert identity.read_text().strip() not in f"{host.facts()} {host.machine()}"
        assert len(host.machine()) == 32


def test_without_any_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_read", lambda path: "")
    assert host.facts() == {**host.facts(), "os": "unknown", "os_version": ""}
    assert host.machine() == ""


def test_os_release_is_read_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '# comment\nID="$(id)"\nVERSION_ID=\'1"2\'\nbroken line\n'
    monkeypatch.setattr(host, "_read", lambda path: text if path == "/etc/os-release" else "")
    assert host.facts()["os"] == "$(id)"


def test_the_same_host_has_no_differences() -> None:
    assert host.differences(HERE, HERE) == []
    assert host.differences({}, HERE) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("os", "ubuntu", "the operating system changed from ubuntu to debian"),
        ("os_version", "11", "the operating system's version changed from 11 to 12"),
        ("architecture", "aarch64", "the architecture changed from aarch64 to x86_64"),
    ],
)
def test_each_difference_is_named(name: str, value: str, said: str) -> None:
    assert host.differences(t.cast("Environment", {**HERE, name: value}), HERE) == [said]


@pytest.mark.parametrize("content", ["", "uninitialized\n", "0123\n"])
def test_e2_an_image_that_was_never_started_has_no_machine_id(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """Each machine that is made from it would be another one than the image."""
    monkeypatch.setattr(host, "_read", lambda path: content)
    assert host.machine() == ""
