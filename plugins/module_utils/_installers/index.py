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


class ToolSettings(t.NamedTuple):
    """What to add to a call of a tool.

    :param arguments: for the command line, which everybody on the host can read.
    :param env: variables, for everything that may hold a credential.
    """

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
                advice="Set `sage_ca_certificate` (the module's option `ca_certificate`) to a file on the host, or "
                "leave it out.",
            )
        return cls(
            index_url=options.get("index_url") or None,
            extra_index_urls=tuple(options.get("extra_index_urls") or ()),
            find_links=tuple(options.get("find_links") or ()),
            no_index=bool(options.get("no_index")),
            ca_certificate=certificate or None,
            offline=bool(options.get("offline")),
        )

    def for_pip(self) -> ToolSettings:
        """What leads a call of pip to this index."""
        tool = ToolSettings([], self._certificates())
        if self.no_index or self.offline:
            # pip knows no offline mode: without an index only find_links is left.
            tool.arguments.append("--no-index")
        if self.index_url:
            tool.env["PIP_INDEX_URL"] = self.index_url
        if self.extra_index_urls:
            tool.env["PIP_EXTRA_INDEX_URL"] = " ".join(self.extra_index_urls)
        self._find_links(tool, self.find_links, "PIP_FIND_LINKS", " ")
        return tool

    def for_uv(self) -> ToolSettings:
        """What leads a call of uv to this index, with what pip is configured with unless uv has settings."""
        tool = ToolSettings([], self._certificates())
        if self.offline:
            tool.arguments.append("--offline")
        if self.no_index:
            tool.arguments.append("--no-index")
        if self.index_url:
            tool.env["UV_DEFAULT_INDEX"] = self.index_url
        if self.extra_index_urls:
            tool.env["UV_INDEX"] = " ".join(self.extra_index_urls)
        self._find_links(tool, self.find_links, "UV_FIND_LINKS", ",")
        settings = pip_settings()
        if not _uv_has_settings():
            self._index_of_pip(tool, settings)
        _network_of_pip(tool, settings)
        if not (tool.env.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_FILE")) and any(
            os.path.exists(path) for path in _SYSTEM_CERTIFICATES
        ):
            # The host's own trust store knows the company's CA, the one built into uv does not.
            # Newer versions of uv know the first name, older ones the second.
            for name in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS"):
                if name not in os.environ:
                    tool.env[name] = "1"
        return tool

    def settings_of_uv(self) -> list[str]:
        """All that decides where uv gets files from on this host, a line each; may hold credentials."""
        tool = self.for_uv()
        environment = {**os.environ, **tool.env}
        lines = [f"{name}={environment[name]}" for name in _UV_INDEX_SETTINGS if environment.get(name)]
        return [*lines, *(option for option in tool.arguments if option != "--offline"), *_uv_files()]

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
    def _find_links(tool: ToolSettings, links: t.Sequence[str], variable: str, separator: str) -> None:
        if any(has_credentials(link) for link in links):
            tool.env[variable] = separator.join(links)
            return
        for link in links:
            tool.arguments.extend(("--find-links", link))

    def _index_of_pip(self, tool: ToolSettings, settings: t.Mapping[str, str]) -> None:
        if not self.index_url and settings.get("index-url"):
            tool.env["UV_DEFAULT_INDEX"] = settings["index-url"]
        if not self.extra_index_urls and settings.get("extra-index-url"):
            tool.env["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
            # pip takes the best version of all its indexes; without this uv stops at the first that has the name.
            if "UV_INDEX_STRATEGY" not in os.environ:
                tool.env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if not self.find_links and settings.get("find-links"):
            # pip skips a directory that does not exist, uv fails.
            links = [link for link in settings["find-links"].split() if "://" in link or os.path.exists(link)]
            self._find_links(tool, links, "UV_FIND_LINKS", ",")
        if settings.get("no-index", "").lower() in ("1", "true", "yes", "on") and "--no-index" not in tool.arguments:
            tool.arguments.append("--no-index")


def _network_of_pip(tool: ToolSettings, settings: t.Mapping[str, str]) -> None:
    """Certificates, proxy, trusted hosts, time-out and retries, each unless something else sets it."""
    certificate = settings.get("cert")
    if certificate and not os.environ.get("SSL_CERT_FILE"):
        tool.env.setdefault("SSL_CERT_FILE", certificate)
    proxy = settings.get("proxy")
    if proxy and not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        tool.env["ALL_PROXY"] = proxy
    if settings.get("trusted-host") and "UV_INSECURE_HOST" not in os.environ:
        tool.env["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    timeout = settings.get("timeout") or settings.get("default-timeout") or ""
    # pip's one time-out is that of connecting, too; uv gives up connecting after 10 seconds.
    for name, number in (
        ("UV_HTTP_TIMEOUT", timeout),
        ("UV_HTTP_CONNECT_TIMEOUT", timeout),
        ("UV_HTTP_RETRIES", settings.get("retries", "")),
    ):
        if number.isdigit() and name not in os.environ:
            tool.env[name] = number


def _uv_has_settings() -> bool:
    if any(os.environ.get(name) for name in _UV_INDEX_SETTINGS):
        return True
    return bool(_uv_files())


def _uv_files() -> list[str]:
    """uv's own configuration files on this host, with what is in them as a hash."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    configurations = []
    for place in (home, "/etc/xdg", "/etc"):
        try:
            with open(os.path.join(place, "uv", "uv.toml"), "rb") as file:
                configurations.append(f"uv.toml {hashlib.sha256(file.read()).hexdigest()}")
        except FileNotFoundError:
            continue
        except OSError as error:
            configurations.append(f"uv.toml {error.strerror}")
    return configurations


def pip_settings() -> dict[str, str]:
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
    settings: dict[str, str] = {}
    for path in files:
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain about it
    for section in ("global", "install"):
        if parser.has_section(section):
            settings.update({key.replace("_", "-"): setting.strip() for key, setting in parser.items(section)})
    for name, setting in os.environ.items():
        if name.startswith("PIP_") and setting:
            settings[name[4:].lower().replace("_", "-")] = setting
    return settings


def _system_directories() -> list[str]:
    return list(reversed([part for part in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]))
