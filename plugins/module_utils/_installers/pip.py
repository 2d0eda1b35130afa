"""Resolve and install with the pip of the environment."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._installers.interface import (
    Installer,
    InstallRequest,
    Resolution,
    files,
    pin_lines,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import is_whole
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import EDITABLE, Pin, url_path

_UNTOUCHED = "the environment; resolving changes nothing."
_ADVICE = "Check that the names, versions and the index are right, and that the host reaches the index."


class Pip(Installer):
    """pip, as C(python -m pip) of the target's interpreter."""

    name = "pip"

    def resolve(self, request: InstallRequest) -> Resolution:
        """See P(Installer.resolve)."""
        if not self.moved_to_index(request):
            pins = self._report(request, request.constraints, afresh=self.target.venv is None)
        else:
            # pip takes what is installed from a directory for good. Asked to ignore it, it ignores everything, so
            # what is there is held by constraints, as far as that goes.
            inventory = self.target.inventory.values()
            held = [f"{installed.name}=={installed.version}" for installed in inventory if installed.source is None]
            try:
                pins = self._report(request, [*request.constraints, *held], afresh=True)
            except InstallerError:
                pins = self._report(request, request.constraints, afresh=True)
        return Resolution(self.complete(request, {pin.name: pin for pin in pins}), [])

    def lock_file(self, request: InstallRequest, pins: t.Sequence[Pin], form: str) -> str:
        """See P(Installer.lock_file)."""
        from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile

        sources = {source.name for source in request.sources}
        held = [f"{pin.name}=={pin.version}" for pin in pins if pin.version and pin.name not in sources]
        resolved = self._report(request, [*request.constraints, *held], afresh=True)
        return lockfile.text(resolved, form, self.target.python.minor)

    def install(self, pins: t.Sequence[Pin], hashed: bool) -> None:
        """See P(Installer.install)."""
        forced = [pin for pin in pins if pin.path is not None or self._from_directory(pin.name) or self._broken(pin)]
        for batch, options in (([pin for pin in pins if pin not in forced], []), (forced, ["--force-reinstall"])):
            if not batch:
                continue
            lines = pin_lines(batch, with_hashes=hashed)
            with files(requirements=_not_editable(lines)) as path:
                # uv leaves byte code to the interpreter as well; the environment is the same with either.
                argv = ["install", "--no-deps", "--no-compile", "--no-warn-script-location", *options]
                argv += ["--requirement", path["requirements"], *_editable(lines)]
                outcome = self._pip([*argv, "--require-hashes"] if hashed else argv, advice=_ADVICE)
                self.said += outcome.last_lines()

    def install_over(self, pins: t.Sequence[Pin]) -> None:
        """See P(Installer.install_over)."""
        # What --force-reinstall would take away first, as pip itself advises, it refuses to take away.
        with files(requirements=pin_lines(pins, with_hashes=False)) as path:
            argv = ["install", "--no-deps", "--no-compile", "--no-warn-script-location", "--ignore-installed"]
            argv += ["--only-binary", ":all:", "--requirement", path["requirements"]]
            self.said += self._pip(argv, advice=_ADVICE).last_lines()

    def _broken(self, pin: Pin) -> bool:
        installed = self.target.inventory.get(pin.name)
        return installed is not None and not is_whole(installed)

    def _report(self, request: InstallRequest, constraints: t.Sequence[str], *, afresh: bool) -> list[Pin]:
        """What pip would install, from its installation report.

        :param afresh: as if nothing were installed.
        """
        lines = request.lines
        with files(requirements=_not_editable(lines), constraints=constraints) as path:
            report_path = f"{path['']}/report.json"
            argv = [
                "install",
                "--dry-run",
                "--report",
                report_path,
                "--requirement",
                path["requirements"],
                *_editable(lines),
            ]
            # pip warns of a file that holds nothing.
            argv += ["--constraint", path["constraints"]] if constraints else []
            if afresh:
                # A target keeps a Python of the distribution's from refusing ("externally managed").
                argv += ["--ignore-installed", "--target", f"{path['']}/target"]
            try:
                self._pip(argv, untouched=_UNTOUCHED, advice=_ADVICE)
            except InstallerError as error:
                if "no such option" in str(error.details.get("output")):
                    raise InstallerError(
                        f"The pip of {self.target.python.executable} is older than 22.2 and cannot resolve without "
                        "installing.",
                        untouched=_UNTOUCHED,
                        advice="Use `installer: uv` (of the role: sage_installer), or a newer Python.",
                    ) from error
                raise
            with open(report_path, encoding="utf-8") as file:
                reported = json.load(file)["install"]
        named = {source.name: source for source in request.sources}
        pins = []
        for report in reported:
            pin = _pin(report)
            if pin.name in named:
                pin = self.source_pin(named[pin.name])._replace(version=pin.version, requires=pin.requires)
            pins.append(pin)
        return pins

    def check_command(self) -> list[str]:
        """See P(Installer.check_command)."""
        return [self.target.python.executable, "-I", "-m", "pip", "check", "--disable-pip-version-check"]

    def _pip(self, argv: t.Sequence[str], *, untouched: str = "", advice: str = "") -> command.CommandOutcome:
        python = self.target.python
        if not python.pip:
            raise InstallerError(
                f"{python.executable} has no pip.",
                untouched="everything.",
                advice="Run intellistream.sage.sage_venv with `installer: pip`, which puts pip into the environment, "
                "or use `installer: uv`, which needs none.",
            )
        settings = self.index.for_pip()
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        pip = [python.executable, "-I", "-m", "pip", argv[0], *options, *argv[1:], *settings.arguments]
        return command.checked(pip, env=settings.env, timeout=self.timeout, untouched=untouched, advice=advice)


def _not_editable(lines: t.Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith(EDITABLE)]


def _editable(lines: t.Sequence[str]) -> list[str]:
    """Editable ones as arguments: in a requirements file pip takes a blank for the end of the path."""
    return [part for line in lines if line.startswith(EDITABLE) for part in ("--editable", line[len(EDITABLE) :])]


def _pin(report: dict[str, t.Any]) -> Pin:
    """The pin of one element of a report's C(install)."""
    info, metadata = report["download_info"], report["metadata"]
    archive = info.get("archive_info") or {}
    hashes = dict(archive.get("hashes") or {})
    if not hashes and archive.get("hash"):
        algorithm, dummy, hexdigest = archive["hash"].partition("=")
        hashes[algorithm] = hexdigest
    directory = info.get("dir_info")
    return Pin(
        canonical(metadata["name"]),
        metadata["version"],
        hashes=tuple(sorted(f"{algorithm}:{hexdigest}" for algorithm, hexdigest in hashes.items())),
        path=None if directory is None else url_path(info["url"]),
        editable=bool(directory and directory.get("editable")),
        url=redact_text(info["url"]),
        requires=tuple(metadata.get("requires_dist") or ()),
    )
