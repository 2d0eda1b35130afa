# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import http.server
import os
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    StorageError,
    StoreError,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import MARK
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.plugins.module_utils._plans import fetch_wheels, wheelhouse
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel

FILES = {"a-1-py3-none-any.whl": b"first", "b-1-py3-none-any.whl": b"", "c-1-py3-none-any.whl": b"x" * 3_000_000}


def wheel(name: str, url: str = "") -> Wheel:
    data = FILES[name]
    return Wheel(name, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), url)


WHEELS = [wheel(name) for name in FILES]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "root" / ".sage" / "wheelhouse")


@pytest.fixture
def bundle(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "bundle"
    path.write_bytes(b"".join(FILES.values()))
    return path


def contents(place: str) -> dict[str, bytes]:
    return {name: pathlib.Path(place, name).read_bytes() for name in os.listdir(place) if name != MARK}


def test_nothing_is_there(place: str) -> None:
    found = wheelhouse.missing(place, WHEELS)
    assert found.files == list(FILES)
    assert found.free > 0
    assert not os.path.exists(place)


def test_all_arrive(place: str, bundle: pathlib.Path) -> None:
    wheelhouse.accept(place, str(bundle), WHEELS)
    assert contents(place) == FILES
    assert os.stat(place).st_mode & 0o777 == 0o700
    assert bundle.stat().st_size == 0  # it shrank as the directory grew
    assert wheelhouse.missing(place, WHEELS).files == []


def test_only_what_differs_is_missing(place: str, bundle: pathlib.Path) -> None:
    wheelhouse.accept(place, str(bundle), WHEELS)
    pathlib.Path(place, "a-1-py3-none-any.whl").write_bytes(b"other")
    os.unlink(os.path.join(place, "b-1-py3-none-any.whl"))
    assert wheelhouse.missing(place, WHEELS).files == ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]


def test_damaged_on_the_way(place: str, bundle: pathlib.Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[0] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(
        StoreError, match=r"a-1-py3-none-any\.whl does not match the lock file after the transfer"
    ) as caught:
        wheelhouse.accept(place, str(bundle), WHEELS)
    assert "every wheel that was there" in caught.value.untouched
    # What came whole is kept, and nothing else.
    assert set(contents(place)) == set(FILES) - {"a-1-py3-none-any.whl"}


def test_cut_off_on_the_way(place: str, bundle: pathlib.Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-1])
    with pytest.raises(StoreError, match="Only 3000004 of the wheels' 3000005 bytes"):
        wheelhouse.accept(place, str(bundle), WHEELS)
    assert contents(place) == {}


def test_no_room(place: str, bundle: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wheelhouse, "write_all", full)
    with pytest.raises(StorageError, match="too small for the wheels") as caught:
        wheelhouse.accept(place, str(bundle), WHEELS)
    assert caught.value.details["need"] == 3_000_000
    assert contents(place) == {}


def test_what_a_killed_run_left_goes(place: str, bundle: pathlib.Path) -> None:
    os.makedirs(place, 0o700)
    pathlib.Path(place, MARK).touch()
    pathlib.Path(place, ".a-1-py3-none-any.whl.partial").write_bytes(b"fi")
    wheelhouse.accept(place, str(bundle), WHEELS)
    assert contents(place) == FILES


def test_a_link_is_refused(place: str, bundle: pathlib.Path, tmp_path: pathlib.Path) -> None:
    os.makedirs(os.path.dirname(place))
    os.symlink(tmp_path, place)
    with pytest.raises(UnsafePath):
        wheelhouse.accept(place, str(bundle), WHEELS)
    os.unlink(place)
    os.mkdir(place, 0o700)
    pathlib.Path(place, MARK).touch()
    target = tmp_path / "target"
    target.write_bytes(b"first")
    os.symlink(target, os.path.join(place, "a-1-py3-none-any.whl"))
    with pytest.raises(UnsafePath):
        wheelhouse.missing(place, WHEELS)
    wheelhouse.accept(place, str(bundle), WHEELS)  # renaming replaces the link and not where it leads
    assert not os.path.islink(os.path.join(place, "a-1-py3-none-any.whl"))


@pytest.mark.parametrize("name", ["../a.whl", "/etc/a.whl", ".a.whl", "a.tar.gz", "a\0.whl"])
def test_odd_names(name: str) -> None:
    with pytest.raises(InputError, match="not the name of a wheel"):
        Wheel.of({"file": name, "digest": WHEELS[0].digest})


@pytest.mark.parametrize("digest", ["md5:00", "sha1:00", "shake_128:00", "crc:00", "", "x"])
def test_weak_hashes(digest: str) -> None:
    with pytest.raises(InputError, match="is not a reliable hash"):
        Wheel.of({"file": "a.whl", "digest": digest})


def test_remove(place: str, bundle: pathlib.Path) -> None:
    assert wheelhouse.remove(place, dry=False) == []
    wheelhouse.accept(place, str(bundle), WHEELS)
    assert wheelhouse.remove(place, dry=True) == sorted(FILES)
    assert contents(place) == FILES
    assert wheelhouse.remove(place, dry=False) == sorted(FILES)
    assert not os.path.exists(place)


def test_remove_leaves_what_others_put_there(place: str, bundle: pathlib.Path) -> None:
    wheelhouse.accept(place, str(bundle), WHEELS)
    pathlib.Path(place, "notes.txt").write_text("mine")
    wheelhouse.remove(place, dry=False)
    assert sorted(os.listdir(place)) == [MARK, "notes.txt"]


class Site(t.NamedTuple):
    """A web server: answers by path, and what was asked for."""

    url: str
    answers: dict[str, tuple[int, bytes]]
    asked: list[tuple[str, str]]


@pytest.fixture
def site() -> t.Iterator[Site]:
    answers = {f"/{name}": (200, data) for name, data in FILES.items()}
    asked: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            status, data = answers.get(self.path, (404, b""))
            self.send_response(abs(status))
            self.send_header("Content-Length", str(len(data) + (status < 0)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: t.Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield Site(f"http://127.0.0.1:{server.server_address[1]}", answers, asked)
        server.shutdown()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_wheels, "_PAUSE", 0.0)
    monkeypatch.setenv("NETRC", "/dev/null")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_fetch_what_is_absent(site: Site, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"first")
    wheels = [wheel(name, f"{site.url}/{name}") for name in FILES]
    assert fetch_wheels.fetch(wheels, str(tmp_path), Index()) == ["b-1-py3-none-any.whl", "c-1-py3-none-any.whl"]
    assert contents(str(tmp_path)) == FILES
    assert fetch_wheels.fetch(wheels, str(tmp_path), Index()) == []
    assert [path for path, dummy in site.asked] == ["/b-1-py3-none-any.whl", "/c-1-py3-none-any.whl"]


def test_fetch_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").write_bytes(b"first")
    one = wheel("a-1-py3-none-any.whl", (tmp_path / "other").as_uri())
    assert fetch_wheels.fetch([one], str(tmp_path / "new"), Index()) == [one.file]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((200, b"other"), StoreError, "is not the file that the lock file names"),
        ((404, b""), InstallerError, "404"),
        ((503, b""), InstallerError, "503"),
        ((-200, b"fir"), InstallerError, "ended after|Incomplete"),
    ],
)
def test_fetch_fails(
    site: Site, tmp_path: pathlib.Path, answer: tuple[int, bytes], error: type[Exception], words: str
) -> None:
    one = wheel("a-1-py3-none-any.whl", f"{site.url}/a-1-py3-none-any.whl")
    site.answers["/a-1-py3-none-any.whl"] = answer
    with pytest.raises(error, match=words):
        fetch_wheels.fetch([one], str(tmp_path), Index())
    assert contents(str(tmp_path)) == {}
    assert len(site.asked) == (3 if answer[0] in (503, -200) else 1)


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/a", "http://127.0.0.1:9/a"])
def test_fetch_from_nowhere(tmp_path: pathlib.Path, url: str) -> None:
    with pytest.raises(InstallerError) as caught:
        fetch_wheels.fetch([wheel("a-1-py3-none-any.whl", url)], str(tmp_path), Index())
    assert "Put a-1-py3-none-any.whl into the wheelhouse" in caught.value.advice


def test_fetch_onto_a_full_disk(site: Site, tmp_path: pathlib.Path) -> None:
    one = wheel("a-1-py3-none-any.whl", f"{site.url}/a-1-py3-none-any.whl")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot store the wheels"):
        fetch_wheels.fetch([one], str(tmp_path / "file"), Index())


def test_login_is_that_of_the_index_on_the_same_host(site: Site, tmp_path: pathlib.Path) -> None:
    one = wheel("a-1-py3-none-any.whl", f"{site.url}/a-1-py3-none-any.whl")
    index = site.url.replace("//", "//me:s3%40cret@")
    fetch_wheels.fetch([one], str(tmp_path), Index(extra_index_urls=("http://x:y@elsewhere/simple", f"{index}/simple")))
    assert site.asked == [("/a-1-py3-none-any.whl", "Basic bWU6czNAY3JldA==")]


def test_login_of_netrc(site: Site, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3@cret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    one = wheel("a-1-py3-none-any.whl", f"{site.url}/a-1-py3-none-any.whl")
    fetch_wheels.fetch([one], str(tmp_path / "new"), Index())
    assert site.asked == [("/a-1-py3-none-any.whl", "Basic bWU6czNAY3JldA==")]
