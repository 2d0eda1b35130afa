# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change left: found out although dnf and rpm said that all is well."""

from __future__ import annotations

import hashlib
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ChangeFailed
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import dnf_history
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import File
from ansible_collections.intellistream.sage.tests.system.rpm.capturing import CONFIG, capture, example

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

# As Ansible's module uses dnf.
BY_ANSIBLE = """
import dnf
base = dnf.Base()
base.conf.read()
base.conf.substitutions["releasever"] = "1"
base.read_all_repos()
base.fill_sack()
base.upgrade("foo")
base.resolve()
base.download_packages(base.transaction.install_set)
base.do_transaction()
"""


def test_a_good_change(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    made = capture(tmp_path / "point", "foo")
    dnf("upgrade", "foo")
    left = made.after()
    assert left["known"] == {"foo.noarch": "2-1", "bar.noarch": "2-1", "goo.noarch": "1-1"}
    assert left["config"]["/etc/foo.conf"][:2] == ["file", hashlib.sha256(b"2\n").hexdigest()]
    assert (left["inexact"], left["unplanned"]) == ({}, {})


@pytest.mark.parametrize("script", ["post", "postun", "posttrans", "triggerin"])
@pytest.mark.parametrize("by", ["dnf", "ansible"])
def test_a_script_that_failed_while_all_said_success(
    by: str, script: str, repository: Repository, tmp_path: pathlib.Path
) -> None:
    old: dict[str, Any] = {"scripts": {script: "exit 1"}} if script == "postun" else {}
    new: dict[str, Any] = {} if old else {"scripts": {script: "exit 1"}}
    if script == "triggerin":
        new = {"triggers": {"triggerin -- foo": "exit 1"}}
    repository.add("foo", "1", fields=["Epoch: 1"], **old)
    dnf("install", "foo")
    repository.add("foo", "2", fields=["Epoch: 1"], **new)
    made = capture(tmp_path / "point", "foo")
    if by == "dnf":
        assert dnf("upgrade", "foo").returncode == 0
    else:
        run(sys.executable, "-c", BY_ANSIBLE)
    assert "foo-2-1.noarch" in run("rpm", "-qa", "--qf", "%{NVRA}\n").stdout
    number = "1" if script == "postun" else "2"
    with pytest.raises(ChangeFailed, match=f"%{script} of foo-1:{number}-1.noarch failed") as error:
        made.after()
    assert len(error.value.details["failures"]) == 1


def test_both_versions_are_left_by_a_failed_preun(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", "1", scripts={"preun": "exit 1"})
    dnf("install", "foo")
    repository.add("foo", "2")
    made = capture(tmp_path / "point", "foo")
    assert dnf("upgrade", "foo", ok=False).returncode != 0
    with pytest.raises(ChangeFailed) as error:
        made.after()
    assert error.value.details["failures"] == [
        "%preun of foo-1-1.noarch failed",
        "foo.noarch is installed twice (1-1 and 2-1)",
    ]


def test_a_package_that_is_gone_instead_of_new(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    made = capture(tmp_path / "point", "foo")
    run("rpm", "-e", "foo")
    with pytest.raises(ChangeFailed, match=r"foo\.noarch 2-1 is not installed"):
        made.after()


def test_a_failure_that_was_mended_is_none(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", "1")
    dnf("install", "foo")
    repository.add("foo", "2", scripts={"post": "test -e /opt/mended"})
    made = capture(tmp_path / "point", "foo")
    dnf("upgrade", "foo")
    with pytest.raises(ChangeFailed):
        made.after()
    pathlib.Path("/opt/mended").touch()
    dnf("reinstall", "foo")
    assert made.after()["known"] == {"foo.noarch": "2-1"}


def test_anothers_failure_is_none_of_ours(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    made = capture(tmp_path / "point", "foo")
    dnf("upgrade", "foo")
    repository.add("other", scripts={"post": "exit 1"})
    dnf("install", "other")
    left = made.after()
    other = {"name": "other", "arch": "noarch", "before": None, "after": "1-1", "ours": False}
    assert left["unplanned"] == {"other.noarch": other}


def test_what_a_script_prints_is_not_taken_for_a_failure(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", "1")
    dnf("install", "foo")
    repository.add("foo", "2", scripts={"post": "echo 'all of %post(other-2-1.noarch) went well'"})
    made = capture(tmp_path / "point", "foo")
    dnf("upgrade", "foo")
    assert dnf_history.since(made.facts["history"])[0].names == {"foo"}
    assert made.after()["inexact"] == {"foo.noarch": ["its %post may change more than its files"]}


def test_a_change_that_did_less_than_was_captured_is_no_failure(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    made = capture(tmp_path / "point", "*")
    assert made.after()["known"] == {"foo.noarch": "1-1", "bar.noarch": "1-1"}
    dnf("upgrade", "bar")
    assert made.after()["known"] == {"foo.noarch": "1-1", "bar.noarch": "2-1"}


def test_rpm_alone_records_no_failed_script(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", "1")
    dnf("install", "foo")
    package = repository.add("foo", "2", scripts={"post": "exit 1"})
    made = capture(tmp_path / "point", str(package), state="present")
    assert "scriptlet failed" in run("rpm", "-U", package).stderr
    # Nothing can be known, and nothing is claimed.
    assert made.after()["known"] == {"foo.noarch": "2-1"}


def test_configuration_as_it_is_after_the_change(repository: Repository, tmp_path: pathlib.Path) -> None:
    files = {"/etc/foo.conf": File("1\n", rpm=CONFIG), "/etc/foo.gone": File("1\n", rpm=CONFIG)}
    repository.add("foo", "1", files=files)
    dnf("install", "foo")
    pathlib.Path("/etc/foo.conf").write_text("edited\n")
    repository.add("foo", "2", files={**files, "/etc/foo.conf": File("2\n", rpm=CONFIG)})
    made = capture(tmp_path / "point", "foo")
    dnf("upgrade", "foo")
    pathlib.Path("/etc/foo.gone").unlink()
    left = made.after()
    assert left["config"]["/etc/foo.conf"][1] == hashlib.sha256(b"edited\n").hexdigest()
    assert left["config"]["/etc/foo.gone"][0] == "absent"
