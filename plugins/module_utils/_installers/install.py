"""Install a plan: exactly its distributions, and verify that they are what is there then."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    choose,
    find_uv,
    interface,
    interpreter,
    inventory,
    lock_request,
    plan,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        InstallResult,
        NamedVersion,
        PendingResult,
        ReplacedDistribution,
    )

Options = t.Mapping[str, t.Any]
_MANY = 10  # distributions that an error names


class PendingInstall:
    """What has to be done to an environment so that it has every pin.

    :ivar venv: path of the environment.
    :ivar pins: what is not there yet, or not so.
    :ivar unchanged: number of pins that are there already.
    :ivar inventory: what was there at first, compared with RECORD.
    :ivar versions: of I(pins), by name; None until a build has told.
    :ivar said: the last lines of what the tool printed.
    :ivar published: what came from the archive against its own RECORD.
    :ivar wrong_records: that, a sentence for each distribution.
    """

    def __init__(
        self,
        venv: str,
        pins: t.Sequence[Pin],
        vouched: inventory.Vouched | None = None,
        published: inventory.Published | None = None,
    ) -> None:
        self.venv = venv
        self.published: dict[str, str] = dict(published or {})
        self.wrong_records: list[str] = []
        registered = inventory.read(venv)
        # All others are installed anew, whatever their content is.
        same = [pin.name for pin in pins if inventory.is_same(pin, registered.get(pin.name))]
        self.inventory = inventory.compared(venv, registered, same, vouched, self.published)
        self.pins = [pin for pin in pins if not inventory.is_exact(pin, self.inventory.get(pin.name))]
        self.unchanged = len(pins) - len(self.pins)
        self.versions = {pin.name: pin.version for pin in self.pins}
        self.said: list[str] = []

    def result(self) -> PendingResult:
        """The part of the module's result that tells what there is to do, with a diff."""
        installed: list[NamedVersion] = []
        replaced: list[ReplacedDistribution] = []
        for name, version in sorted(self.versions.items()):
            before = self.inventory.get(name)
            if before is None:
                installed.append({"name": name, "version": version})
            else:
                replaced.append({"name": name, "version": version, "from_version": before.version})
        return {
            "installed": installed,
            "replaced": replaced,
            "kept": self.unchanged,
            "diff": {
                "before": plan.listing(
                    (distribution["name"], distribution["from_version"]) for distribution in replaced
                ),
                "after": plan.listing(
                    (distribution["name"], distribution["version"]) for distribution in (*installed, *replaced)
                ),
            },
        }

    def installed_now(self) -> inventory.Inventory:
        """What is there now, I(pins) compared with RECORD."""
        names = [pin.name for pin in self.pins]
        return inventory.compared(self.venv, inventory.read(self.venv), names, published=self.published)

    def verify(self) -> list[str]:
        """Reasons why the environment does not have what it was to get; none means it has.

        Takes over the versions that only building could tell.
        """
        after = self.installed_now()
        reasons = []
        for pin in self.pins:
            installed = after.get(pin.name)
            # A directory was built just now: being registered from there is all there is to see.
            same = pin._replace(editable=True) if pin.path else pin
            if installed is None:
                reasons.append(f"{pin.name} is not installed")
            elif installed.twice:
                reasons.append(f"{pin.name} is registered twice")
            elif not inventory.is_whole(installed):
                reasons.append(installed.what_differs or f"files of {pin.name} are missing")
            elif not inventory.is_exact(same, installed._replace(editable=True) if pin.path else installed):
                reasons.append(f"{pin.name} is {installed.version}, not {pin.version or 'from ' + str(pin.path)}")
            elif pin.editable != installed.editable:
                reasons.append(f"{pin.name} is {'' if installed.editable else 'not '}editable")
            else:
                self.versions[pin.name] = installed.version
        return reasons


def pending_install(
    options: Options, vouched: inventory.Vouched | None = None, published: inventory.Published | None = None
) -> PendingInstall:
    """Find out what has to be done.

    :param options: of the module, C(venv) and C(distributions).
    :param vouched: what need not be read again, as for P(inventory.compared).
    :param published: what differs from RECORD and is right, likewise.
    :raises InputError: a distribution is named twice or incompletely.
    """
    pins = [plan.pin_of(distribution) for distribution in options["distributions"]]
    names = [pin.name for pin in pins]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"`distributions` names {', '.join(twice)} more than once.", untouched="everything.")
    return PendingInstall(os.path.abspath(options["venv"]), pins, vouched, published)


def available_tool(options: Options) -> find_uv.InstallerChoice:
    """The tool that is on this host; uv is not fetched here, which is for sage_venv.

    :param options: of the module, C(installer), C(uv) and C(tools).
    :raises InputError: uv is demanded and is not there.
    """
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    if not choice.fetch:
        return choice
    if options["installer"] == "uv":
        return find_uv.choose("uv", None, None)
    return find_uv.InstallerChoice("pip", reason="uv is not on this host")


def install(pending: PendingInstall, options: Options, index: Index) -> str:
    """Install what is pending.

    :param options: of the module, those of P(available_tool), C(lock) and C(timeout).
    :returns: the name of the tool.
    :raises InputError: there is no environment.
    :raises InstallerError: the tool failed, or the result is not the plan.
    """
    installer = _tool(pending, options, index)
    installer.lock_file_text = lock_request.by_urls(options.get("lock") or "", index)
    try:
        _complete_records(installer, pending)
        _install_batches(installer, pending.pins)
        after = pending.installed_now()
        damaged = [pin for pin in pending.pins if pin.name in after and after[pin.name].damaged]
        if damaged:
            # An edit in place of one environment is in the tool's cache as well, and in all that is linked from there.
            installer.target = installer.target._replace(inventory=after)
            _install_batches(installer, damaged)
            # Fresh from the archive: what differs even now was published so.
            again = pending.installed_now()
            for pin in damaged:
                if pin.name in again and again[pin.name].damaged:
                    pending.wrong_records.append(again[pin.name].what_differs)
                    pending.published.update(inventory.accept(pending.venv, again[pin.name]))
    except InstallerError as error:
        error.untouched = error.untouched or _state_after_failure(pending)
        raise
    pending.said = installer.said
    reasons = pending.verify()
    if reasons:
        raise InstallerError(
            f"{installer.name} succeeded, but the environment does not match the plan: {'; '.join(reasons[:_MANY])}.",
            untouched="what is not part of the plan.",
            advice="Roll back to the rollback point made before this, then run again.",
            differences=reasons,
        )
    return installer.name


def _complete_records(installer: interface.Installer, pending: PendingInstall) -> None:
    """Install anew, in the versions that they have, distributions of which somebody removed RECORD.

    :raises InstallerError: one cannot be had in that version any more.
    """
    incomplete = without_record(pending.pins, pending.inventory)
    for distribution in incomplete:
        name, version = distribution.name, distribution.version
        try:
            installer.install_over([Pin(name, version)])
        except InstallerError as error:
            raise InstallerError(
                f"{distribution.info} has no RECORD, so {installer.name} cannot take {name} {version} away, and that "
                f"version cannot be installed anew first: {interface.last_line(error)}",
                advice=f"Let the index, or sage_find_links, have a wheel of {name} {version}, then run again. Or have "
                f"it installed over what is there: rm -r '{distribution.info}', then run again. Files that only "
                f"{version} had stay then.",
            ) from error
        installer.said.append(f"{name} {version} had no RECORD, and was installed anew before")
    if incomplete:
        installer.target = installer.target._replace(inventory=inventory.read(pending.venv))


def without_record(pins: t.Iterable[Pin], present: inventory.Inventory) -> list[inventory.Installed]:
    """What is to be replaced, and has no RECORD that tells what to take away."""
    found = [present[pin.name] for pin in pins if pin.name in present]
    return [each for each in found if each.source is None and not each.twice and not inventory.has_record(each)]


def _install_batches(installer: interface.Installer, pins: t.Sequence[Pin]) -> None:
    for batch, hashed in interface.batches(pins):
        installer.install(batch, hashed)


class InstallOutcome(t.NamedTuple):
    """What a call of the module did, or in check mode would do.

    :ivar pending: what had to be done.
    :ivar installer: name of the tool that did it; empty when there was nothing to do.
    :ivar unmet: requirements of distributions outside the plan that are not met, in the tool's words.
    """

    pending: PendingInstall
    installer: str
    unmet: list[str]

    def result(self) -> InstallResult:
        """The module's result, with a diff."""
        result = self.pending.result()
        return {
            "changed": bool(self.pending.pins),
            "installer": self.installer,
            "said": [*_done(result), *self.pending.said],
            "wrong_records": self.pending.published,
            **result,
        }


def _done(result: PendingResult) -> list[str]:
    """What was installed, a line for each distribution."""
    return [
        *(f"{new['name']} {new['version']}" for new in result["installed"]),
        *(f"{new['name']} {new['from_version']} -> {new['version']}" for new in result["replaced"]),
    ]


def carry_out(options: Options, index: Index, *, check_mode: bool) -> InstallOutcome:
    """Find out what has to be done, and (outside check mode) do it and check it.

    :param options: of the module.
    :raises InputError: the options are contradictory, or there is no environment.
    :raises InstallerError: the tool failed, or the environment is not as planned then.
    """
    pending = pending_install(options)
    installer = ""
    if pending.pins:
        installer = available_tool(options).name if check_mode else install(pending, options, index)
    unmet: list[str] = []
    if options["check_dependencies"] and not (pending.pins and check_mode):
        unmet = check_dependencies(pending, options, index)
    return InstallOutcome(pending, installer, unmet=unmet)


def check_dependencies(pending: PendingInstall, options: Options, index: Index) -> list[str]:
    """Check that what was planned has everything it requires.

    :param options: of the module, C(distributions) and those of the tool.
    :returns: what is unmet of distributions that are not in the plan, for a warning: others put those there.
    :raises InstallerError: a distribution of the plan lacks something.
    """
    unmet = _tool(pending, options, index).unmet()
    planned = {plan.pin_of(distribution).name for distribution in options["distributions"]}
    ours = [line for name, lines in unmet.items() if name in planned for line in lines]
    if ours:
        raise InstallerError(
            f"The environment lacks what SAGE requires: {' '.join(ours[:_MANY])}",
            untouched="everything; the check only reads.",
            advice="Install again, or roll back. If somebody changed a distribution by hand, put it back.",
            differences=ours,
        )
    return [line for name, lines in unmet.items() if name not in planned for line in lines]


def _tool(pending: PendingInstall, options: Options, index: Index) -> interface.Installer:
    if not os.path.exists(os.path.join(pending.venv, "pyvenv.cfg")):
        raise InputError(
            f"There is no virtual environment at {pending.venv}.",
            untouched="everything.",
            advice="Run intellistream.sage.sage_venv first.",
        )
    python = interpreter.probe(interpreter.in_venv(pending.venv))
    target = interface.InstallTarget(python, pending.venv, inventory=pending.inventory)
    return choose.create_installer(available_tool(options), target, index, options["timeout"])


def _state_after_failure(pending: PendingInstall) -> str:
    """What a tool that failed did to the environment, found by looking."""
    after = inventory.read(pending.venv)
    before = {
        name: installed._replace(damaged=(), unread=(), published=()) for name, installed in pending.inventory.items()
    }
    touched = sorted(pin.name for pin in pending.pins if after.get(pin.name) != before.get(pin.name))
    if not touched:
        return "every distribution of the environment."
    more = f" and {len(touched) - _MANY} more" if len(touched) > _MANY else ""
    return f"everything but what was changed before the failure: {', '.join(touched[:_MANY])}{more}."
