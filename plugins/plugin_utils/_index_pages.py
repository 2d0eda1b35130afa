# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an index says of files, asked by the controller: pages of projects as PEP 503 and PEP 691 have them."""

from __future__ import annotations

import html.parser
import http.client
import json
import subprocess
import sys
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._plans import fetch_wheels

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_SECONDS = 20  # without a byte
_MOST = 256 << 20  # bytes of a page
_PIPS_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


class Unreachable(Exception):
    """No index could be asked."""


class Offer(t.NamedTuple):
    """A file that an index has.

    :ivar name: of the file.
    :ivar digest: SHA-256 in hexadecimal digits; empty where the index tells none.
    :ivar url: where it is.
    """

    name: str
    digest: str
    url: str


class IndexPages:
    """The pages of the indexes that the user has chosen, each asked for once.

    :ivar where: the indexes in words, without credentials.
    """

    def __init__(self, index: Index, settings: t.Mapping[str, str]) -> None:
        """:param settings: what the controller's pip is set up with."""
        self._index = index._replace(
            index_url=index.index_url or settings.get("index-url") or None,
            extra_index_urls=index.extra_index_urls or tuple(settings.get("extra-index-url", "").split()),
        )
        self._closed = index.no_index or index.offline
        self._settings = settings
        self._urls: list[str] = []
        self._pages: dict[str, list[Offer]] = {}
        self._opener: urllib.request.OpenerDirector | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return ", ".join(redact_text(url) for url in self._indexes()) or "no index"

    def _indexes(self) -> list[str]:
        if not self._urls:
            self._urls = [url for url in (self._index.index_url or _of_pip(), *self._index.extra_index_urls) if url]
        return self._urls

    def offers(self, project: str, name: str) -> list[Offer]:
        """Files of a name that the indexes have.

        :param project: normalised name.
        :raises Unreachable: none of them could be asked.
        """
        if self._closed:
            raise Unreachable("no index is to be asked (sage_no_index, sage_offline)")
        urls = self._indexes()
        if not urls:
            raise Unreachable("the controller knows of no index")
        problems, found = [], []
        for url in urls:
            page = f"{url.rstrip('/')}/{urllib.parse.quote(project)}/"
            try:
                found += [offer for offer in self._page(page) if offer.name == name]
            except Unreachable as error:
                problems.append(str(error))
        if not found and problems:
            raise Unreachable(problems[0])
        return found

    def _page(self, url: str) -> list[Offer]:
        if url not in self._pages:
            self._pages[url] = self._read(url)
        return self._pages[url]

    def _read(self, url: str) -> list[Offer]:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise Unreachable(f"{redact_text(url)} is no URL that the controller asks")
        plain = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        request = urllib.request.Request(plain, headers={"Accept": _ACCEPT, "User-Agent": "intellistream.sage"})  # noqa: S310 # looked at
        login = fetch_wheels.login_header(url, self._index)
        if login:
            request.add_unredirected_header("Authorization", login)
        try:
            if self._opener is None:
                self._opener = fetch_wheels.opener(self._index, self._settings)
            with self._opener.open(request, timeout=_SECONDS) as answer:
                data, kind, base = answer.read(_MOST), answer.headers.get_content_type(), answer.geturl()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise Unreachable(f"the controller cannot read {redact_text(url)}: {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(f"the controller does not reach {redact_text(url)}: {reason}") from error
        try:
            return _of_json(data, base) if kind == _JSON else _of_html(data.decode("utf-8", "replace"), base)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Unreachable(f"{redact_text(url)} is no page of an index") from error


def _of_json(data: bytes, base: str) -> list[Offer]:
    return [
        Offer(
            str(file["filename"]),
            digest=str(file["hashes"].get("sha256", "")).lower(),
            url=urllib.parse.urljoin(base, str(file["url"])).partition("#")[0],
        )
        for file in json.loads(data)["files"]
    ]


def _of_html(text: str, base: str) -> list[Offer]:
    links = _Links(base)
    links.feed(text)
    return links.offers


class _Links(html.parser.HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self.offers: list[Offer] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A file is a link whose last part is its name, and whose fragment its hash."""
        target = dict(attrs).get("href") or ""
        if tag == "base" and target:
            self._base = urllib.parse.urljoin(self._base, target)
        if tag != "a" or not target:
            return
        url, dummy, fragment = urllib.parse.urljoin(self._base, target).partition("#")
        name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
        kind, dummy, digest = fragment.partition("=")
        self.offers.append(Offer(name, digest=digest.lower() if kind == "sha256" else "", url=url))


def _of_pip() -> str:
    """The index that pip has where nobody has set one up; empty where there is no pip."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            asked = subprocess.run(
                [python, "-I", "-c", _PIPS_INDEX], capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if asked.returncode == 0 and asked.stdout.startswith("http"):
            return asked.stdout.strip()
    return ""
