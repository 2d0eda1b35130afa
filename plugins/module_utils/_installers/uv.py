"""Resolve and install with uv."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._installers.interface import (
    Installer,
    InstallRequest,
    InstallTarget,
    Resolution,
    files,
    last_line,
    pin_lines,
    unchanged_pin,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import is_whole
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

# The text form has been the same since uv 0.1; its JSON form is a preview and comes and goes.
_CHANGE = re.compile(r"^ (?P<sign>[+~-]) (?P<name>[^\s=@]+)(?:==(?P<version>\S+))?(?: @ \S+)?(?: \(from \S+\))?$")
_ADVICE = "Check that the names, versions and the index are right, and that the host reaches the index."
# What the plan was made with, and is not judged by again: with hashes uv refuses a constraint that is no exact version.
_OF_RESOLVING = ("UV_CONSTRAINT", "UV_OVERRIDE")
_LINK_MODE = "UV_LINK_MODE"
_UNTOUCHED = "the environment; resolving changes nothing."


class Uv(Installer):
    """uv, at the path it was found at."""

    name = "uv"

    def __init__(self, uv: str, target: InstallTarget, index: Index, timeout: float = 0) -> None:
        super().__init__(target, index, timeout)
        self.uv = uv

    def resolve(self, request: InstallRequest) -> Resolution:
        """See P(Installer.resolve)."""
        changed = self._dry_run(request)
        sources = {source.name: source for source in request.sources}
        changing = {
            name: self.source_pin(sources[name])._replace(version=version or sources[name].version)
            if name in sources
            else Pin(name, version)
            for name, version in changed.items()
        }
        for name, source in sources.items():
            # uv takes a directory for unchanged when its pyproject.toml is; the code may not be.
            changing.setdefault(name, self.source_pin(source))
        try:
            complete = self._compile(request, changing)
        except SageError as error:
            # Something that is installed is not in the index (any more): the plan stands, without hashes.
            note = f"No hashes for this plan: {last_line(error)}"
            return Resolution(self.complete(request, changing), [note])
        return Resolution(complete, [])

    def _dry_run(self, request: InstallRequest) -> dict[str, str | None]:
        """Name → version of what uv would put into the environment."""
        with files(requirements=request.lines, constraints=request.constraints) as path:
            argv = ["pip", "install", "--dry-run", "--requirements", path["requirements"]]
            # uv warns of a file that holds nothing.
            argv += ["--constraints", path["constraints"]] if request.constraints else []
            argv += self._where(path[""])
            for name in sorted(self.moved_to_index(request)):
                argv += ["--reinstall-package", name]
            outcome = self._uv(argv, untouched=_UNTOUCHED, advice=_ADVICE)
        versions: dict[str, str | None] = {}
        for line in outcome.stderr.splitlines():
            change = _CHANGE.match(line.rstrip())
            if change and change["sign"] != "-":
                versions[canonical(change["name"])] = change["version"]
        announced = re.search(r"Would install (\d+) package", outcome.stderr)
        if (int(announced[1]) if announced else 0) != len(versions):
            raise InstallerError(
                f"uv's answer cannot be understood:\n{redact_text(outcome.stderr)}",
                untouched=_UNTOUCHED,
                advice="Use `installer: pip`, and report this with uv's version.",
            )
        return versions

    def _where(self, empty: str) -> list[str]:
        python = ["--python", self.target.python.executable]
        # Without an environment yet, an empty directory stands for it.
        return python if self.target.venv else [*python, "--target", f"{empty}/target"]

    def _compile(self, request: InstallRequest, changing: t.Mapping[str, Pin]) -> list[Pin]:
        """Everything that belongs to the result, with hashes: resolved again with all versions held."""
        from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile

        text = self._compiled(request, changing, "pylock.toml")
        locked = lockfile.parse(text, self.target.python)
        pins: dict[str, Pin] = {}
        inventory = self.target.inventory
        for pin in lockfile.applicable(locked, self.target.python):
            if pin.name in changing:
                pin = changing[pin.name]._replace(hashes=pin.hashes)
            elif pin.name in inventory:
                # The very words of what is there, so that nothing is taken for changed.
                pin = unchanged_pin(inventory[pin.name])._replace(hashes=pin.hashes)
            pins[pin.name] = pin
        missing = sorted(set(changing) - set(pins))
        if missing:
            raise InstallerError(f"uv left out {', '.join(missing)} when asked again.")
        return list(pins.values())

    def _compiled(self, request: InstallRequest, changing: t.Mapping[str, Pin], form: str) -> str:
        held = {
            name: installed.version for name, installed in self.target.inventory.items() if installed.source is None
        }
        held.update({name: pin.version for name, pin in changing.items() if pin.path is None and pin.version})
        for source in request.sources:
            held.pop(source.name, None)
        constraints = [*request.constraints, *(f"{name}=={version}" for name, version in sorted(held.items()))]
        with files(requirements=request.lines, constraints=constraints) as path:
            argv = ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
            argv += ["--format", form, "--python", self.target.python.executable]
            argv += ["--constraints", path["constraints"]] if constraints else []
            argv.append(path["requirements"])
            # All metadata was fetched a moment ago: the cache saves asking the index for each name once more.
            try:
                return self._uv(["--offline", *argv]).stdout
            except InstallerError:
                return self._uv(argv, untouched=_UNTOUCHED).stdout

    def lock_file(self, request: InstallRequest, pins: t.Sequence[Pin], form: str) -> str:
        """See P(Installer.lock_file)."""
        from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile

        changing = {pin.name: pin for pin in pins}
        name = "pylock.toml" if form == "pylock" else "requirements.txt"
        text = redact_text(self._compiled(request, changing, name))
        return lockfile.for_minor(text, self.target.python.minor)

    def install(self, pins: t.Sequence[Pin], hashed: bool) -> None:
        """See P(Installer.install)."""
        from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile

        text = lockfile.part(self.lock_file_text, pins) if hashed and self.lock_file_text else ""
        if text:
            with files(requirements=()) as path:
                lock_path = f"{path['']}/pylock.toml"
                lockfile.write_file(lock_path, text)
                try:
                    self._install(pins, lock_path, hashed)
                    return
                except InstallerError:
                    pass  # an older uv, or a URL that this host does not reach: the index may know another
        with files(requirements=pin_lines(pins, with_hashes=hashed)) as path:
            self._install(pins, path["requirements"], hashed)

    def _install(self, pins: t.Sequence[Pin], requirements: str, hashed: bool) -> None:
        argv = ["pip", "install", "--quiet", "--no-deps", "--python", self.target.python.executable]
        argv += ["--requirements", requirements]
        if hashed:
            argv.append("--require-hashes")
        for pin in pins:
            installed = self.target.inventory.get(pin.name)
            if installed is not None and (
                pin.path is not None or installed.source is not None or not is_whole(installed)
            ):
                argv += ["--reinstall-package", pin.name]
                if pin.path is None and installed.source is None and "--no-cache" not in argv:
                    # What lost its content here may have lost it in the cache as well: both are one file.
                    argv.append("--no-cache")
        self.said += self._uv(argv, advice=_ADVICE, without=_OF_RESOLVING).last_lines()

    def install_over(self, pins: t.Sequence[Pin]) -> None:
        """See P(Installer.install_over)."""
        with files(requirements=pin_lines(pins, with_hashes=False)) as path:
            argv = ["pip", "install", "--quiet", "--no-deps", "--python", self.target.python.executable, "--reinstall"]
            argv += ["--only-binary", ":all:", "--requirements", path["requirements"]]
            self.said += self._uv(argv, advice=_ADVICE, without=_OF_RESOLVING).last_lines()

    def check_command(self) -> list[str]:
        """See P(Installer.check_command)."""
        return [self.uv, "pip", "check", "--no-python-downloads", "--python", self.target.python.executable]

    def _uv(
        self, argv: t.Sequence[str], *, untouched: str = "", advice: str = "", without: tuple[str, ...] = ()
    ) -> command.CommandOutcome:
        settings = self.index.for_uv()
        if os.environ.get(_LINK_MODE) == "symlink":
            # Links into a cache, which anybody may clean, are no installation that can be captured.
            without = (*without, _LINK_MODE)
        # Never a Python of uv's own: the interpreter was chosen.
        uv = [self.uv, *argv, "--no-python-downloads", *settings.arguments]
        return command.checked(
            uv, env=settings.env, timeout=self.timeout, untouched=untouched, advice=advice, without=without
        )
