# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import index as installers_index
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

if t.TYPE_CHECKING:
    import pathlib


@pytest.fixture(autouse=True)
def blank(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pytest.MonkeyPatch:
    """Nothing of this machine's settings."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(installers_index, "_SYSTEM_CERTIFICATES", ())
    monkeypatch.setattr(installers_index, "_SYSTEM_PIP_CONF", os.devnull)
    return monkeypatch


def test_nothing() -> None:
    assert Index().for_pip() == ([], {})
    assert Index().for_uv() == ([], {})


def test_options_reach_both_by_environment() -> None:
    index = Index("https://u:p@i/", ("https://a/", "https://b/"), ("/links",), no_index=True)
    arguments, env = index.for_pip()
    assert arguments == ["--no-index", "--find-links", "/links"]
    assert env == {"PIP_INDEX_URL": "https://u:p@i/", "PIP_EXTRA_INDEX_URL": "https://a/ https://b/"}
    arguments, env = index.for_uv()
    assert arguments == ["--no-index", "--find-links", "/links"]
    assert env == {"UV_DEFAULT_INDEX": "https://u:p@i/", "UV_INDEX": "https://a/ https://b/"}


def test_links_with_credentials_are_not_arguments() -> None:
    index = Index(find_links=("https://u:p@i/", "/links"))
    assert index.for_pip() == ([], {"PIP_FIND_LINKS": "https://u:p@i/ /links"})
    assert index.for_uv() == ([], {"UV_FIND_LINKS": "https://u:p@i/,/links"})


def test_offline() -> None:
    assert Index(offline=True).for_uv().arguments == ["--offline"]
    assert Index(offline=True).for_pip().arguments == ["--no-index"]


def test_what_pip_is_told_reaches_uv(blank: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "links").mkdir()
    config = tmp_path / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"[global]\nindex-url = https://file/\nextra_index_url =\n  https://a/\n  https://b/\ncert = /ca\n"
        f"[install]\nfind-links = {tmp_path}/links {tmp_path}/missing\n"
    )
    blank.delenv("PIP_CONFIG_FILE")
    blank.setenv("PIP_INDEX_URL", "https://variable/")
    blank.setenv("PIP_TRUSTED_HOST", "a b")
    blank.setenv("PIP_DEFAULT_TIMEOUT", "180")
    blank.setenv("PIP_RETRIES", "8")
    blank.setenv("PIP_PROXY", "http://proxy:3128")
    call = Index().for_uv()
    assert call.arguments == ["--find-links", f"{tmp_path}/links"]
    assert call.env == {
        "UV_DEFAULT_INDEX": "https://variable/",
        "UV_INDEX": "https://a/ https://b/",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/ca",
        "UV_INSECURE_HOST": "a b",
        "UV_HTTP_TIMEOUT": "180",
        "UV_HTTP_CONNECT_TIMEOUT": "180",
        "UV_HTTP_RETRIES": "8",
        "ALL_PROXY": "http://proxy:3128",
    }


def test_settings_of_uv_come_first(blank: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    blank.setenv("PIP_INDEX_URL", "https://pip/")
    blank.setenv("UV_DEFAULT_INDEX", "https://uv/")
    assert Index().for_uv().env == {}
    blank.delenv("UV_DEFAULT_INDEX")
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text("")
    assert Index().for_uv().env == {}


def test_options_come_before_settings(blank: pytest.MonkeyPatch) -> None:
    blank.setenv("PIP_INDEX_URL", "https://pip/")
    blank.setenv("PIP_FIND_LINKS", "https://links/")
    call = Index("https://option/", find_links=("/x",)).for_uv()
    assert call == (["--find-links", "/x"], {"UV_DEFAULT_INDEX": "https://option/"})


def test_no_index_of_pip(blank: pytest.MonkeyPatch) -> None:
    blank.setenv("PIP_NO_INDEX", "1")
    assert Index().for_uv().arguments == ["--no-index"]
    assert Index(no_index=True).for_uv().arguments == ["--no-index"]


def test_unreadable_configuration(blank: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.conf").write_text("no section\n")
    blank.setenv("PIP_CONFIG_FILE", str(tmp_path / "broken.conf"))
    assert Index().for_uv() == ([], {})


def test_certificates(blank: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    blank.setenv("SSL_CERT_FILE", "/other")
    for call in (Index(ca_certificate=str(bundle)).for_pip(), Index(ca_certificate=str(bundle)).for_uv()):
        assert call.env["SSL_CERT_FILE"] == call.env["PIP_CERT"] == call.env["REQUESTS_CA_BUNDLE"] == str(bundle)
    assert Index().for_pip().env == {"REQUESTS_CA_BUNDLE": "/other"}
    with pytest.raises(InputError, match="does not exist"):
        Index.from_options({"ca_certificate": str(tmp_path / "missing.pem")})


def test_the_hosts_own_store(blank: pytest.MonkeyPatch) -> None:
    blank.setattr(installers_index, "_SYSTEM_CERTIFICATES", ("/",))
    assert Index().for_uv().env == {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    blank.setenv("SSL_CERT_FILE", "/x")
    assert "UV_SYSTEM_CERTS" not in Index().for_uv().env


def test_from_options() -> None:
    options = {"index_url": "", "extra_index_urls": ["a"], "find_links": None, "no_index": True, "offline": False}
    assert Index.from_options(options) == Index(None, ("a",), (), no_index=True)
