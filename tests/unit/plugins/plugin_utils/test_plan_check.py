# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan of one host is for others only where the user's own index or files vouch for it."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lock_request
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.plugins.plugin_utils import _plan_check
from ansible_collections.intellistream.sage.plugins.plugin_utils._index_pages import IndexPages

if t.TYPE_CHECKING:
    import pathlib

pytest.importorskip("tomllib", reason="the controller's Python reads TOML")

GROUP = "linux-x86_64-glibc2_36-cp311"
WHEEL = "isage-1.0-py3-none-any.whl"
CONTENT = b"the wheel"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64
WANTED = lock_request.request(GROUP, ["isage==1.0"], [])


def _plan(url: str, digest: str = DIGEST, version: str = "1.0", request: str = WANTED, more: str = "") -> str:
    return (
        f'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = "==3.11.*"\n\n[[packages]]\nname = "isage"\n'
        f'version = "{version}"\nwheels = [{{ name = "{WHEEL}", url = "{url}", hashes = {{ sha256 = "{digest}" }} }}]\n'
        f'{more}\n{request}index = ["UV_DEFAULT_INDEX=https://index.example/simple"]\n'
    )


class _Index(http.server.BaseHTTPRequestHandler):
    """Pages of an index, by their paths, with their types."""

    pages: t.ClassVar[dict[str, tuple[str, str]]] = {}

    def do_GET(self) -> None:
        kind, text = self.pages.get(self.path, ("", ""))
        self.send_response(200 if kind else 404)
        if kind:
            self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(kind: str, text: str) -> t.Iterator[str]:
    handler = type("Pages", (_Index,), {"pages": {"/simple/isage/": (kind, text)}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def _html(digest: str = DIGEST) -> tuple[str, str]:
    return "text/html", f'<a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a>'


def _json(digest: str = DIGEST) -> tuple[str, str]:
    file = {"filename": WHEEL, "url": f"/files/{WHEEL}", "hashes": {"sha256": digest}}
    return "application/vnd.pypi.simple.v1+json", json.dumps({"files": [file]})


def _check(text: str, index_url: str = "", places: t.Sequence[str] = ()) -> tuple[str, str]:
    index = Index(index_url=f"{index_url}/simple") if index_url else Index(no_index=True)
    return _plan_check.check(text, WANTED, ["isage==1.0"], IndexPages(index, {}), places)


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("page", [_html(), _json()])
def test_x9_the_index_vouches(page: tuple[str, str]) -> None:
    with _served(*page) as url:
        text = _plan(f"{url}/files/{WHEEL}")
        assert _check(text, url) == (text, "the index vouches for its 1 files")


def test_x9_a_url_of_the_host_is_not_kept() -> None:
    with _served(*_html()) as url:
        kept, dummy = _check(_plan(f"file:///etc/{WHEEL}"), url)
        assert f'"{url}/files/{WHEEL}"' in kept
    assert "file:///etc" not in kept
    # By such URLs no host fetches: its index is not known to be the same.
    assert "index = [" not in kept
    assert lock_request.request_of(kept) == WANTED


@pytest.mark.parametrize("page", [_html(OTHER), _json(OTHER)])
def test_x9_the_index_says_something_else(page: tuple[str, str]) -> None:
    with _served(*page) as url, pytest.raises(InstallerError, match=f"says {OTHER}"):
        _check(_plan(f"{url}/files/{WHEEL}"), url)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (("text/html", ""), "tells no hash of isage"),
        (("text/html", f'<a href="{WHEEL}">x</a>'), "tells no hash of isage"),
        (("application/vnd.pypi.simple.v1+json", "[]"), "is no page of an index"),
    ],
)
def test_x9_nobody_vouches(page: tuple[str, str], reason: str) -> None:
    with _served(*page) as url, pytest.raises(_plan_check.Unverified, match=reason):
        _check(_plan(f"{url}/files/{WHEEL}"), url)


def test_x9_no_index_is_reached() -> None:
    with _served(*_html()) as url:
        pass
    with pytest.raises(_plan_check.Unverified, match="does not reach"):
        _check(_plan(f"https://index.example/{WHEEL}"), url)
    with pytest.raises(_plan_check.Unverified, match="no index is to be asked"):
        _check(_plan(f"https://index.example/{WHEEL}"))


def test_x9_wheels_and_lock_files_of_the_user_vouch(tmp_path: pathlib.Path) -> None:
    wheels, locks = tmp_path / "wheels", tmp_path / "locks"
    for directory in (wheels, locks):
        directory.mkdir()
    text = _plan(f"https://index.example/{WHEEL}")
    with pytest.raises(_plan_check.Unverified):
        _check(text, places=[str(wheels), str(locks), str(tmp_path / "none")])
    (wheels / WHEEL).write_bytes(CONTENT)
    kept, words = _check(text, places=[str(wheels)])
    assert f"file://{wheels}/{WHEEL}" in kept
    assert words == "what you gave vouches for its 1 files"
    (locks / "pylock.mine.toml").write_text(text)
    assert _check(text, places=[str(locks)])[0] == text
    (wheels / WHEEL).write_bytes(b"another")
    with pytest.raises(_plan_check.Unverified):
        _check(text, places=[str(wheels)])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "made for something else"),
        (_plan("https://e/x.whl", request=lock_request.request(GROUP, ["evil"], [])), "made for something else"),
        (_plan(f"https://e/{WHEEL}", version="0.9"), "isage==1.0 was asked for"),
        (_plan("https://e/other.whl"), "its URL names another"),
        (_plan(f"https://e/{WHEEL}", digest="md5"), "has no SHA-256"),
        (_plan(f"https://e/{WHEEL}", more='[[packages]]\nname = "evil"\nversion = "1"\n'), "names no file of evil"),
        (_plan(f"https://e/{WHEEL}", more='directory = { path = "/etc" }'), "has directory"),
        (_plan(f"https://e/{WHEEL}", more="vcs = 3"), "has vcs"),
        (_plan(f"https://e/{WHEEL}", more="marker = '''\n[[packages]]\n'''"), "no lock file as uv"),
        (_plan(f"https://e/{WHEEL}").replace("lock-version", "lock-versions"), "has lock-versions"),
        (_plan(f"https://e/{WHEEL}").replace("[[packages]]", "[packages]"), "not of the type"),
        ("[" + _plan(f"https://e/{WHEEL}"), "not TOML"),
    ],
)
def test_x9_what_is_no_answer_is_given_to_nobody(text: str, problem: str) -> None:
    with pytest.raises(InstallerError, match=problem):
        _check(text)
