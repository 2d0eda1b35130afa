# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from a request before any host is asked."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.plugin_utils import _derived

if t.TYPE_CHECKING:
    import pathlib

VALUES: dict[str, t.Any] = {
    "sage_python": "auto",
    "sage_system_packages": [],
    "sage_system_packages_state": "present",
    "sage_capture_all": False,
    "sage_capture_strict": True,
    "sage_source": "index",
    "sage_repository": "https://github.com/x/y.git",
    "sage_repository_version": "main",
    "sage_install_mode": "standard",
    "sage_version": "",
    "sage_extras": [],
    "sage_extra_packages": [],
    "sage_lock": "",
    "sage_lock_dir": "",
    "sage_share_plan": False,
    "sage_ca_certificate": "",
    "sage_http_proxy": "",
    "sage_https_proxy": "",
    "sage_no_proxy": "",
    "sage_environment": {},
    "sage_index_url": "",
    "sage_extra_index_urls": [],
    "sage_find_links": [],
    "sage_no_index": False,
    "sage_lease": "10m",
    "sage_wait": "1m 30s",
}
LOCK = 'lock-version = "1.0"\n'


def _inputs(**values: t.Any) -> dict[str, dict[str, t.Any]]:
    return _derived.phase_inputs({**VALUES, **values})


def test_phases_depend_on_what_is_set() -> None:
    assert _inputs() == {
        "environment_setup": {"python": "auto"},
        "submodule_sync": {"source": "index"},
        "python_deps": {"mode": "standard", "version": "", "extras": [], "extra_packages": [], "lock": ""},
    }
    first = _inputs(sage_system_packages=["git"], sage_capture_all=True)["environment_setup"]
    assert first == {"python": "auto", "packages": ["git"], "state": "present", "capture_all": True, "strict": True}


def test_a_clone_depends_on_its_repository_and_version() -> None:
    inputs = _inputs(sage_source="git", sage_repository="git@example.org:x.git")["submodule_sync"]
    assert inputs == {"source": "git", "repository": "git@example.org:x.git", "version": "main", "commit": ""}


def test_what_chooses_distributions_is_an_input_and_how_they_are_reached_is_none() -> None:
    environment = {"UV_INDEX_URL": "https://i/", "PIP_PRE": "1", "UV_HTTP_TIMEOUT": "9", "PIP_PRES": "x", "A": "b"}
    inputs = _inputs(
        sage_index_url="https://j/",
        sage_no_index=True,
        sage_find_links=["/w"],
        sage_environment=environment,
        sage_https_proxy="http://p:1",
        sage_ca_certificate="/ca.pem",
    )["python_deps"]
    assert {name: inputs[name] for name in inputs.keys() - _inputs()["python_deps"].keys()} == {
        "index_url": "https://j/",
        "no_index": True,
        "find_links": ["/w"],
        "environment": {"UV_INDEX_URL": "https://i/", "PIP_PRE": "1"},
    }


def test_files_of_the_host_that_settings_name_are_named_as_such() -> None:
    environment = {
        "PIP_CONSTRAINT": "/b.txt /a.txt https://e/c.txt",
        "UV_CONFIG_FILE": "/with blank.toml",
        "UV_OVERRIDE": "relative.txt",
        "PIP_PRE": "/no file",
    }
    assert _inputs(sage_environment=environment)["python_deps"]["files_on_host"] == [
        "/a.txt",
        "/b.txt",
        "/with blank.toml",
    ]
    assert "files_on_host" not in _inputs(sage_environment={"PIP_PRE": "1"})["python_deps"]


@pytest.mark.parametrize(
    ("source", "version", "follows"),
    [
        ("git", "main", True),
        ("git", "0123456", False),
        ("git", "0123456789abcdef0123456789abcdef01234567", False),
        ("git", "012345", True),
        ("git", "0123456x", True),
        ("index", "main", False),
    ],
)
def test_a_commit_is_not_looked_up(source: str, version: str, follows: bool) -> None:
    values = {**VALUES, "sage_source": source, "sage_repository_version": version}
    assert _derived.follows_branch(values) is follows


def test_a_lock_file_counts_by_its_text(tmp_path: pathlib.Path) -> None:
    (tmp_path / "pylock.b.toml").write_text(LOCK)
    (tmp_path / "pylock.a.toml").write_text("# a\n")
    (tmp_path / "other.toml").write_text("none of them")

    def lock(**values: t.Any) -> str:
        text = _inputs(**values)["python_deps"]["lock"]
        assert isinstance(text, str)
        return text

    assert lock(sage_lock=str(tmp_path / "pylock.b.toml")) == hashlib.sha256(LOCK.encode()).hexdigest()
    assert lock(sage_lock_dir=str(tmp_path)) == hashlib.sha256(f"# a\n{LOCK}".encode()).hexdigest()
    # A plan that the run itself makes follows from the other inputs.
    for made in (True, "trusted"):
        assert lock(sage_lock_dir=str(tmp_path), sage_share_plan=made) == ""
    assert lock(sage_lock_dir=str(tmp_path / "none")) == ""
    with pytest.raises(InputError, match=r"gone\.toml cannot be read"):
        lock(sage_lock=str(tmp_path / "gone.toml"))


def test_only_what_is_set_is_in_the_environment() -> None:
    assert _derived.task_environment(VALUES) == {}
    values = {
        **VALUES,
        "sage_https_proxy": "http://p:1",
        "sage_ca_certificate": "/ca.pem",
        "sage_environment": {"A": "b", "https_proxy": "http://own:2"},
    }
    assert _derived.task_environment(values) == {
        "GIT_SSL_CAINFO": "/ca.pem",
        "HTTPS_PROXY": "http://p:1",
        "https_proxy": "http://own:2",
        "A": "b",
    }


def test_durations_are_seconds() -> None:
    assert _derived.lease_terms(VALUES) == {"seconds": 600.0, "wait": 90.0}
