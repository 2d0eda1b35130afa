"""apt for one transaction: saved packages in, named ones out, nothing from anywhere else.

apt knows in which order packages can be replaced. It is given no index, no source and no
preference, so that it can only use what is installed and what it is handed, and never a network.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._base.command import CommandOutcome

_OPTIONS = {
    "APT::Default-Release": "",
    "APT::Get::AutomaticRemove": "false",
    "APT::Get::HideAutoRemove": "true",
    "APT::Install-Recommends": "false",
    "APT::Install-Suggests": "false",
    # What it reads is root's alone.
    "APT::Sandbox::User": "root",
    # Its caches are for the sources this run must not have.
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "Dir::Etc::sourcelist": "/dev/null",
    "Dir::Etc::sourceparts": "/dev/null",
    "Dpkg::Use-Pty": "false",
}
# Of a package's instances each has its configuration as it was, though dpkg has other checksums on record.
_FORCED = ("confold", "remove-reinstreq", "overwrite")
# Without apt there is no order: in the end all fits.
_UNORDERED = ("depends", "breaks", "conflicts", "hold", "downgrade", "remove-protected")
# Programs that look at what apt is about to do: among them the one that captures, and some that ask.
_CLEARED = "#clear DPkg::Pre-Install-Pkgs;\n"
_ENVIRONMENT = {
    "APT_LISTCHANGES_FRONTEND": "none",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    # The hook that captures would wait for what this holds.
    "SAGE_CAPTURE": "off",
}
_LINE = re.compile(r"^(Inst|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+)[^)]*?\[(\w[\w-]*)\]\))?", re.MULTILINE)
_FAILED = re.compile(
    r"^dpkg: error processing (?:package|archive) (\S+) \(--(\w+)\):\n ?(.*)$|"
    r"^dpkg: warning: (old \S+ package \S+ script .*)$|"
    r"^(E: .*|dpkg: error: .*)$",
    re.MULTILINE,
)
# Of what `tar -tv` prints: kind and path.
_ENTRY = re.compile(r"^(\S)\S{9}\S* +\S+ +\d+ +\S+ +\S+ \.(/.*)$")
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_UNMET = re.compile(r"^ (\S+) : (\S.*(?:\n {3,}\S.*)*)$", re.MULTILINE)


class Step(t.NamedTuple):
    """Something apt is going to do.

    :ivar word: V(Inst), V(Remv) or V(Purg).
    :ivar version: that will be installed, or is removed.
    """

    word: str
    name: str
    version: str


def _arguments(debs: t.Sequence[str], erase: t.Sequence[str], purge: bool, seconds: float) -> list[str]:
    options = [f"-o{name}={value}" for name, value in _OPTIONS.items()]
    options += [f"-oDpkg::Options::=--force-{name}" for name in _FORCED] + [f"-oDPkg::Lock::Timeout={seconds:.0f}"]
    options += ["--purge"] if purge else []
    allowed = ["--allow-downgrades", "--allow-change-held-packages", "--reinstall"]
    # Below "--" no name can be taken for an option.
    return ["-y", "-q", *allowed, *options, "install", "--", *debs, *[f"{name}-" for name in erase]]


def _run(arguments: t.Sequence[str]) -> CommandOutcome:
    return command.run(["apt-get", "-c", "/dev/stdin", *arguments], env=_ENVIRONMENT, stdin=_CLEARED)


def simulate(debs: t.Sequence[str], erase: t.Sequence[str]) -> list[Step] | None:
    """What apt would do; None when it would refuse; takes no lock."""
    outcome = _run(["-s", *_arguments(debs, erase, False, 0)])
    if outcome.rc != 0:
        return None
    return [Step(word, name, new or old) for word, name, old, new, dummy in _LINE.findall(outcome.stdout)]


def unmet(status: str) -> dict[str, str]:
    """Which packages would lack what they need, and what, if dpkg's record were this file."""
    options = [f"-o{name}={value}" for name, value in {**_OPTIONS, "Dir::State::status": status}.items()]
    outcome = _run(["-s", "-q", *options, "check"])
    return {name: " ".join(why.split()) for name, why in _UNMET.findall(outcome.stdout + "\n" + outcome.stderr)}


def install(debs: t.Sequence[str], erase: t.Sequence[str], purge: bool, seconds: float) -> list[str]:
    """Do it; returns what went wrong on the way, for people. What is there then says whether it succeeded.

    :param seconds: to wait for a lock.
    """
    return problems(_run(_arguments(debs, erase, purge, seconds)))


def dpkg(*arguments: str) -> list[str]:
    """Run dpkg itself; returns as M(install)."""
    argv = ["dpkg", *[f"--force-{name}" for name in (*_FORCED, *_UNORDERED)], *arguments]
    return problems(command.run(argv, env=_ENVIRONMENT))


def problems(outcome: CommandOutcome) -> list[str]:
    """Every package that failed, with what dpkg said of it; what apt said when it failed by itself."""
    if outcome.rc == 0:
        return []
    found = []
    for package, what, why, warning, general in _FAILED.findall(outcome.stdout + "\n" + outcome.stderr):
        line = f"{package} ({what}): {why.strip()}" if package else warning or general
        if line not in found:
            found.append(line)
    named = [line for line in found if not line.startswith("E: ")]
    return named or found or outcome.last_lines()


def divert(*arguments: str) -> list[str]:
    """Make or remove a diversion; returns as M(install)."""
    return problems(command.run(["dpkg-divert", "--quiet", *arguments], env=_ENVIRONMENT))


def override(*arguments: str) -> list[str]:
    """Make or remove a statoverride; returns as M(install)."""
    return problems(command.run(["dpkg-statoverride", *arguments], env=_ENVIRONMENT))


def control_file(deb: str, name: str) -> str:
    """A file of a package's control archive; empty when there is none."""
    outcome = command.run(["dpkg-deb", "--info", deb, name], env=_ENVIRONMENT)
    return outcome.stdout if outcome.rc == 0 else ""


def listed(deb: str) -> list[tuple[str, str]]:
    """What is in a package: its kind as C(ls) tells it, V(h) for a further name of a file, and its full path.

    Nothing when it cannot be read.
    """
    outcome = command.run(["dpkg-deb", "--contents", deb], env=_ENVIRONMENT)
    found = []
    for line in outcome.stdout.splitlines() if outcome.rc == 0 else ():
        match = _ENTRY.match(line)
        if match:
            kind, path = match.groups()
            separator = {"l": " -> ", "h": " link to "}.get(kind)
            path = path.rpartition(separator)[0] if separator else path
            found.append((kind, _ESCAPE.sub(_plain, path).rstrip("/")))
    return [(kind, path) for kind, path in found if path]


def _plain(match: re.Match[str]) -> str:
    """What tar has written for a character that it does not print."""
    code = match.group(1)
    if code.isdigit():
        return os.fsdecode(bytes([int(code, 8)]))
    return _LETTERS.get(code, code)
