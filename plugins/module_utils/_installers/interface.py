"""What pip and uv have in common for us: resolve, lock, and install exactly what was resolved."""

from __future__ import annotations

import abc
import contextlib
import os
import re
import shutil
import tempfile
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import (
    Installed,
    Inventory,
    closure,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import (
    EDITABLE,
    Pin,
    file_url,
    pin_line,
    split,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter


# uv: The package `a` requires `b>=2`, but `1` is installed. pip: a 1 requires b, which is not installed.
_UNMET = re.compile(r"^(?:The package `(?P<uv>[^`]+)` requires |(?P<pip>\S+) \S+ (?:requires|has requirement) )")


class SourceProject(t.NamedTuple):
    """A directory with a Python project that is to be installed instead of a file from the index.

    :param path: absolute.
    :param extras: normalised names of the extras to install.
    :param editable: install a reference to the directory rather than a copy.
    :param name: normalised name of the distribution.
    :param version: None when only a build would tell.
    """

    path: str
    extras: tuple[str, ...] = ()
    editable: bool = False
    name: str = ""
    version: str | None = None

    @property
    def line(self) -> str:
        """Its line in a requirements file."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        if self.editable:
            return f"{EDITABLE}{self.path}{extras}"
        return f"{self.name}{extras} @ {file_url(self.path)}"


class InstallRequest(t.NamedTuple):
    """What a user wants to be installed.

    :param requirements: lines such as C(isage[full]==0.3.2.4).
    :param constraints: versions to stay within, if a distribution is needed at all.
    :param sources: projects to install instead of what the index has.
    """

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    sources: tuple[SourceProject, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The lines of a requirements file."""
        return [*self.requirements, *(source.line for source in self.sources)]

    @property
    def roots(self) -> list[str]:
        """The requirements with the sources as names, for following metadata."""
        named = [f"{source.name}[{','.join(source.extras)}]" for source in self.sources]
        return [*self.requirements, *named]

    def from_index(self) -> set[str]:
        """Names that are to come from the index."""
        return {split(line)[0] for line in self.requirements}


class Resolution(t.NamedTuple):
    """The answer of a resolver.

    :param pins: everything that belongs to the result, also what is already there.
    :param notes: sentences for people, shown as warnings.
    """

    pins: list[Pin]
    notes: list[str]


class InstallTarget(t.NamedTuple):
    """Where to install.

    :param python: the interpreter that is resolved for.
    :param venv: the environment; None when it does not exist yet.
    :param inventory: what is registered there.
    """

    python: Interpreter
    venv: str | None
    inventory: Inventory


class Installer(abc.ABC):
    """pip or uv, for one environment.

    :cvar name: C(uv) or C(pip).
    :ivar target: where to install.
    :ivar index: where distributions come from.
    :ivar timeout: seconds that one call of the tool may take; 0 is no limit.
    :ivar lock_file_text: of a lock file whose URLs may be used, where the tool can; saves asking the index where the
        files are. Empty for none.
    :ivar said: the last lines that the tool printed while it installed.
    """

    name: t.ClassVar[str]

    def __init__(self, target: InstallTarget, index: Index, timeout: float = 0) -> None:
        self.target = target
        self.index = index
        self.timeout = timeout
        self.lock_file_text = ""
        self.said: list[str] = []

    @abc.abstractmethod
    def resolve(self, request: InstallRequest) -> Resolution:
        """Find what has to be installed for I(request); keeps what is there as far as that is possible.

        :raises InstallerError: there is no solution, or the index cannot be reached.
        """

    @abc.abstractmethod
    def lock_file(self, request: InstallRequest, pins: t.Sequence[Pin], form: str) -> str:
        """The text of a lock file of all of I(pins).

        :param form: C(pylock) (PEP 751) or C(requirements).
        :raises InstallerError: the tool is too old for that, or the index cannot be reached.
        """

    @abc.abstractmethod
    def install(self, pins: t.Sequence[Pin], hashed: bool) -> None:
        """Install exactly I(pins), without what they depend on.

        :param hashed: every pin has hashes, and only files with one of them will do.
        :raises InstallerError: the tool failed.
        """

    @abc.abstractmethod
    def install_over(self, pins: t.Sequence[Pin]) -> None:
        """Install I(pins) over what is there of the same versions, whose RECORD is missing, from wheels alone.

        No tool can take away what no RECORD lists: pip refuses, and uv leaves it registered beside what comes.

        :raises InstallerError: the tool failed, or the index has no such wheel.
        """

    @abc.abstractmethod
    def check_command(self) -> list[str]:
        """The tool's own check that everything installed has what it requires, as argv; it reads only."""

    def unmet(self) -> dict[str, list[str]]:
        """Requirements that are not met: name of the distribution that has them → the tool's words.

        :raises InstallerError: the tool cannot be run.
        """
        outcome = command.run(self.check_command(), timeout=self.timeout)
        unmet: dict[str, list[str]] = {}
        for line in (*outcome.stdout.splitlines(), *outcome.stderr.splitlines()):
            match = _UNMET.match(line)
            if match:
                unmet.setdefault(canonical(match["uv"] or match["pip"]), []).append(line.strip())
        if outcome.rc and not unmet:
            raise command.failed(outcome, untouched="everything; the check only reads.")
        return unmet

    def moved_to_index(self, request: InstallRequest) -> set[str]:
        """Names that are to come from the index and are installed from a directory now.

        Both tools take such a distribution for good as it is; who goes back to the index wants the index's.
        """
        return {name for name in request.from_index() if self._from_directory(name)}

    def _from_directory(self, name: str) -> bool:
        installed = self.target.inventory.get(name)
        return installed is not None and installed.source is not None

    def complete(self, request: InstallRequest, changing: t.Mapping[str, Pin]) -> list[Pin]:
        """I(changing), and what belongs to the result and stays as it is, as metadata tells."""
        inventory = self.target.inventory
        names = closure(request.roots, inventory, self.target.python, changing)
        return [*changing.values(), *(unchanged_pin(inventory[name]) for name in names if name not in changing)]

    def source_pin(self, source: SourceProject) -> Pin:
        """The pin for a source directory."""
        return Pin(source.name, source.version, path=source.path, editable=source.editable)


def last_line(error: SageError) -> str:
    """What a tool said last when it failed."""
    output = error.details.get("output") or [error.what]
    return str(output[-1]).strip()


def unchanged_pin(installed: Installed) -> Pin:
    """The pin of a distribution that stays as it is."""
    return Pin(installed.name, installed.version, path=installed.source, editable=installed.editable)


def source_project(path: str, extras: t.Sequence[str] = (), editable: bool = False) -> SourceProject:
    """The project in a directory, its name read from C(pyproject.toml) without running anything of it.

    :param extras: to install, as the user spells them.
    :raises InputError: it is no Python project, or does not say its name.
    """
    directory = os.path.realpath(path)
    try:
        with open(os.path.join(directory, "pyproject.toml"), encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} is not the directory of a Python project: it has no pyproject.toml.",
            untouched="everything.",
            advice="Name the directory that has SAGE's pyproject.toml.",
        ) from None
    # Two keys of one table: not worth a TOML parser, which Python 3.9 lacks.
    project = re.search(r"^\[project\]\s*$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    keys = (
        {}
        if project is None
        else dict(re.findall(r"^(name|version)\s*=\s*[\"']([^\"'\n]+)[\"']", project[1], re.MULTILINE))
    )
    if "name" not in keys:
        raise InputError(
            f"{os.path.join(directory, 'pyproject.toml')} has no name under [project].",
            untouched="everything.",
            advice="Give the project a static name (PEP 621).",
        )
    extras = tuple(sorted(canonical(extra) for extra in extras))
    return SourceProject(
        directory, extras, editable=editable, name=canonical(keys["name"]), version=keys.get("version")
    )


@contextlib.contextmanager
def files(**contents: t.Sequence[str]) -> t.Iterator[dict[str, str]]:
    """Temporary text files, one per keyword, of the given lines; they are gone afterwards.

    Yields their paths by keyword, and as C("") the private directory they are in.
    """
    directory = tempfile.mkdtemp(prefix="sage-")
    try:
        paths = {"": directory}
        for name, lines in contents.items():
            paths[name] = os.path.join(directory, f"{name}.txt")
            with open(paths[name], "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        yield paths
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def batches(pins: t.Sequence[Pin]) -> list[tuple[list[Pin], bool]]:
    """Split pins into those that can be held to their hashes and those that cannot.

    Both tools want hashes for all of one call or for none.
    """
    hashed = [pin for pin in pins if pin.hashes and pin.path is None]
    plain = [pin for pin in pins if not pin.hashes and pin.path is None]
    sources = [pin for pin in pins if pin.path is not None]
    return [(batch, batch is hashed) for batch in (hashed, plain, sources) if batch]


def pin_lines(pins: t.Iterable[Pin], *, with_hashes: bool) -> list[str]:
    """The lines of a requirements file that stand for I(pins)."""
    return [pin_line(pin._replace(marker=""), with_hashes=with_hashes) for pin in pins]
