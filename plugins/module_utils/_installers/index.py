# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where distributions come from, told to pip and to uv in the way each understands.

uv reads neither C(pip.conf) nor C(PIP_*). Someone whose pip works behind a company's proxy expects
this collection to work as well, so what pip is configured with is passed on to uv, unless uv has
settings of its own.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import has_credentials

_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_SYSTEM_PIP_CONF = "/etc/pip.conf"
_UV_INDEX_SETTINGS = (
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_CONFIG_FILE",
)


class Call(t.NamedTuple):
    """What to add to a command: arguments, and variables for everything that may hold a credential."""

    arguments: list[str]
    env: dict[str, str]


class Index(t.NamedTuple):
    """The index options of a module.

    :param index_url: the index instead of PyPI.
    :param extra_index_urls: further indexes.
    :param find_links: directories, or pages, with files to choose from.
    :param no_index: use I(find_links) only.
    :param ca_certificate: path of the CA bundle to trust.
    :param offline: never touch the network.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    ca_certificate: str | None = None
    offline: bool = False

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any]) -> Index:
        """Take the index options out of a module's parameters.

        :raises InputError: the CA bundle does not exist.
        """
        certificate = options.get("ca_certificate")
        if certificate and not os.path.isfile(certificate):
            raise InputError(
                f"The CA bundle {certificate} does not exist on this host.",
                untouched="everything.",
                advice="Set `ca_certificate` to a file on the host, or leave it out.",
            )
        return cls(
            options.get("index_url") or None,
            tuple(options.get("extra_index_urls") or ()),
            tuple(options.get("find_links") or ()),
            bool(options.get("no_index")),
            certificate or None,
            bool(options.get("offline")),
        )

    def for_pip(self) -> Call:
        """Arguments and variables for pip."""
        call = Call([], self._certificates())
        if self.no_index or self.offline:
            # pip knows no offline mode: without an index only find_links is left.
            call.arguments.append("--no-index")
        if self.index_url:
            call.env["PIP_INDEX_URL"] = self.index_url
        if self.extra_index_urls:
            call.env["PIP_EXTRA_INDEX_URL"] = " ".join(self.extra_index_urls)
        self._find_links(call, self.find_links, "PIP_FIND_LINKS", " ")
        return call

    def for_uv(self) -> Call:
        """Arguments and variables for uv."""
        call = Call([], self._certificates())
        if self.offline:
            call.arguments.append("--offline")
        if self.no_index:
            call.arguments.append("--no-index")
        if self.index_url:
            call.env["UV_DEFAULT_INDEX"] = self.index_url
        if self.extra_index_urls:
            call.env["UV_INDEX"] = " ".join(self.extra_index_urls)
        self._find_links(call, self.find_links, "UV_FIND_LINKS", ",")
        settings = _pip_settings()
        if not _uv_has_settings():
            self._index_of_pip(call, settings)
        _network_of_pip(call, settings)
        if not (call.env.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_FILE")) and any(
            os.path.exists(path) for path in _SYSTEM_CERTIFICATES
        ):
            # The host's own trust store knows the company's CA, the one built into uv does not.
            # Newer versions of uv know the first name, older ones the second.
            for name in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS"):
                if name not in os.environ:
                    call.env[name] = "1"
        return call

    def settings_of_uv(self) -> list[str]:
        """All that decides where uv gets files from on this host; may hold credentials."""
        call = self.for_uv()
        found = {**os.environ, **call.env}
        lines = [f"{name}={found[name]}" for name in _UV_INDEX_SETTINGS if found.get(name)]
        return [*lines, *(option for option in call.arguments if option != "--offline"), *_uv_files()]

    def _certificates(self) -> dict[str, str]:
        if self.ca_certificate:
            return dict.fromkeys(
                ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), self.ca_certificate
            )
        own = os.environ.get("SSL_CERT_FILE")
        if own and not os.environ.get("REQUESTS_CA_BUNDLE") and not os.environ.get("CURL_CA_BUNDLE"):
            return {"REQUESTS_CA_BUNDLE": own}  # the one that pip reads; its own setting still wins
        return {}

    @staticmethod
    def _find_links(call: Call, links: t.Sequence[str], variable: str, separator: str) -> None:
        if any(has_credentials(link) for link in links):
            call.env[variable] = separator.join(links)
            return
        for link in links:
            call.arguments.extend(("--find-links", link))

    def _index_of_pip(self, call: Call, settings: t.Mapping[str, str]) -> None:
        if not self.index_url and settings.get("index-url"):
            call.env["UV_DEFAULT_INDEX"] = settings["index-url"]
        if not self.extra_index_urls and settings.get("extra-index-url"):
            call.env["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
            # pip takes the best version of all its indexes; without this uv stops at the first that has the name.
            if "UV_INDEX_STRATEGY" not in os.environ:
                call.env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if not self.find_links and settings.get("find-links"):
            # pip skips a directory that does not exist, uv fails.
            links = [link for link in settings["find-links"].split() if "://" in link or os.path.exists(link)]
            self._find_links(call, links, "UV_FIND_LINKS", ",")
        if settings.get("no-index", "").lower() in ("1", "true", "yes", "on") and "--no-index" not in call.arguments:
            call.arguments.append("--no-index")


def _network_of_pip(call: Call, settings: t.Mapping[str, str]) -> None:
    """Certificates, proxy, trusted hosts and time-out, each unless something else sets it."""
    certificate = settings.get("cert")
    if certificate and not os.environ.get("SSL_CERT_FILE"):
        call.env.setdefault("SSL_CERT_FILE", certificate)
    proxy = settings.get("proxy")
    if proxy and not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        call.env["ALL_PROXY"] = proxy
    if settings.get("trusted-host") and "UV_INSECURE_HOST" not in os.environ:
        call.env["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    timeout = settings.get("timeout") or settings.get("default-timeout") or ""
    if timeout.isdigit() and "UV_HTTP_TIMEOUT" not in os.environ:
        call.env["UV_HTTP_TIMEOUT"] = timeout


def _uv_has_settings() -> bool:
    if any(os.environ.get(name) for name in _UV_INDEX_SETTINGS):
        return True
    return bool(_uv_files())


def _uv_files() -> list[str]:
    """uv's own configuration files on this host, with what is in them as a hash."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    found = []
    for place in (home, "/etc/xdg", "/etc"):
        try:
            with open(os.path.join(place, "uv", "uv.toml"), "rb") as file:
                found.append(f"uv.toml {hashlib.sha256(file.read()).hexdigest()}")
        except FileNotFoundError:
            continue
        except OSError as error:
            found.append(f"uv.toml {error.strerror}")
    return found


def _pip_settings() -> dict[str, str]:
    """What pip is configured with: its files in pip's order, then its variables; later ones win."""
    import configparser

    home = os.path.expanduser("~")
    named = os.environ.get("PIP_CONFIG_FILE")
    files = [os.path.join(place, "pip", "pip.conf") for place in _system_directories()] + [_SYSTEM_PIP_CONF]
    files.append(os.path.join(home, ".pip", "pip.conf"))
    files.append(os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "pip", "pip.conf"))
    if named == os.devnull:
        files = []
    elif named:
        files.append(named)
    parser = configparser.RawConfigParser()
    found: dict[str, str] = {}
    for path in files:
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain about it
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update({key.replace("_", "-"): value.strip() for key, value in parser.items(section)})
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            found[name[4:].lower().replace("_", "-")] = value
    return found


def _system_directories() -> list[str]:
    return list(reversed([part for part in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]))
