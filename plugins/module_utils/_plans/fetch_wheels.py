"""Fetch wheels by their URLs, exactly those with the right hashes, on whichever host reaches them."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InstallerError,
    StorageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import has_credentials, redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.regular import create_new, staged_name
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel, hasher

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

_BLOCK = 1 << 20
_SECONDS = 60  # without a byte
_TRIES = 3
_PAUSE = 1.0  # seconds between tries
_NETWORK = (urllib.error.URLError, ssl.SSLError, http.client.HTTPException, ConnectionError, TimeoutError, EOFError)
_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def fetch(wheels: t.Iterable[Wheel], directory: str, index: Index) -> list[str]:
    """Put wheels that are not there into I(directory); returns their names.

    The index gives user names, passwords and certificates; where the files are, the wheels say.

    Each is put in place when it is whole and its hash is right, so one that is there is.

    :raises InstallerError: one cannot be had.
    :raises StoreError: what is offered is something else.
    :raises StorageError: the disk refused.
    """
    absent = [wheel for wheel in wheels if not os.path.exists(os.path.join(directory, wheel.file))]
    if not absent:
        return []
    reader = opener(index)
    try:
        os.makedirs(directory, exist_ok=True)
        for wheel in absent:
            _fetch_wheel(wheel, directory, index, reader)
    except OSError as error:
        raise StorageError(
            f"{directory} cannot store the wheels: {error.strerror or error}.",
            untouched="every host; wheels that were fetched before are kept.",
            advice="Make room there, or name another directory (`sage_wheelhouse`).",
        ) from error
    return [wheel.file for wheel in absent]


def _fetch_wheel(wheel: Wheel, directory: str, index: Index, opener: urllib.request.OpenerDirector) -> None:
    path = os.path.join(directory, wheel.file)
    partial = staged_name(path)
    try:
        digest = _download(wheel, partial, index, opener)
        if digest != wheel.digest:
            raise StoreError(
                f"{redact_text(wheel.url)} is not the file that the lock file names: its hash is {digest}, not "
                f"{wheel.digest}.",
                untouched=f"every host, and {directory}: it was not kept.",
                advice="Find out who changed it. If the change is intended, write the lock file again.",
            )
        os.chmod(partial, 0o644)
        os.rename(partial, path)
    finally:
        if os.path.lexists(partial):
            os.unlink(partial)


def _download(wheel: Wheel, path: str, index: Index, opener: urllib.request.OpenerDirector) -> str:
    """Write it to I(path); returns its hash."""
    advice = f"Put {wheel.file} into the wheelhouse by other means, or mend the way to where it is."
    untouched = "every host; wheels that were fetched before are kept."
    if not wheel.url:
        raise InstallerError(
            f"The lock file does not say where to download {wheel.file}.", untouched=untouched, advice=advice
        )
    for tries_left in reversed(range(_TRIES)):
        try:
            return _read(wheel, path, index, opener)
        except urllib.error.HTTPError as error:
            if tries_left and error.code >= 500:
                time.sleep(_PAUSE)
                continue
            raise InstallerError(
                f"{redact_text(wheel.url)} cannot be fetched: {error.code} {error.reason}.",
                untouched=untouched,
                advice=advice,
            ) from error
        except _NETWORK as error:
            if tries_left:
                time.sleep(_PAUSE)
                continue
            raise InstallerError(
                f"{redact_text(wheel.url)} cannot be fetched: {getattr(error, 'reason', error)}.",
                untouched=untouched,
                advice=advice,
            ) from error
    raise AssertionError  # not reached


def _read(wheel: Wheel, path: str, index: Index, opener: urllib.request.OpenerDirector) -> str:
    if urllib.parse.urlsplit(wheel.url).scheme not in ("http", "https", "file"):
        raise urllib.error.URLError("its URL does not begin with http, https or file")
    # The scheme was looked at.
    request = urllib.request.Request(wheel.url, headers={"User-Agent": "intellistream.sage"})  # noqa: S310
    login = login_header(wheel.url, index)
    if login:
        request.add_unredirected_header("Authorization", login)
    digest, read = hasher(wheel.digest), 0
    if os.path.lexists(path):
        os.unlink(path)  # of an earlier try
    with opener.open(request, timeout=_SECONDS) as answer, create_new(path) as file:
        length = answer.headers.get("Content-Length")
        while block := answer.read(_BLOCK):
            digest.update(block)
            file.write(block)
            read += len(block)
        if length is not None and read != int(length):
            raise EOFError(f"it ended after {read} of {length} bytes")
        file.flush()
        os.fsync(file.fileno())
    return f"{wheel.digest.partition(':')[0]}:{digest.hexdigest()}"


def _login(url: str, index: Index) -> str:
    """User and password for I(url): lock files have none, so those of the index on the same host, or of C(.netrc)."""
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    for other in (index.index_url or "", *index.extra_index_urls, *index.find_links):
        parts = urllib.parse.urlsplit(other)
        login, dummy, of = parts.netloc.rpartition("@")
        if has_credentials(other) and of == host:
            return urllib.parse.unquote(login)
    import netrc

    try:
        login_of_netrc = netrc.netrc(os.environ.get("NETRC")).authenticators(host.partition(":")[0])
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{login_of_netrc[0]}:{login_of_netrc[2]}" if login_of_netrc else ""


def login_header(url: str, index: Index) -> str:
    """The header C(Authorization) for I(url); empty where there is no login for its host."""
    login = _login(url, index)
    return f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""


def opener(index: Index, settings: t.Mapping[str, str] | None = None) -> urllib.request.OpenerDirector:
    """What reads URLs, with the certificates that are trusted; proxies are those of the environment.

    :param settings: what pip is set up with, where that counts as well.
    """
    of_pip = settings or {}
    bundles = [index.ca_certificate, *(os.environ.get(name) for name in _BUNDLES), of_pip.get("cert")]
    bundle = next((path for path in bundles if path and os.path.isfile(path)), None)
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle))
    ]
    proxy = of_pip.get("proxy")
    if proxy and not urllib.request.getproxies():
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)
