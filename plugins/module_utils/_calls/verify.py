"""One call of sage_verify: look at what the phases left, run what is to be run, and record the evidence.

The engine completes neither the phase C(verification) nor an installation without that record, see
M(_calls.checkpoint): a task that failed and was ignored, or was left out, leaves none.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    NotVerified,
    OutOfOrder,
    SageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._calls.results import drift
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    install,
    interpreter,
    inventory,
    plan,
    tabulate,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records import verified_table
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    VERIFICATION,
)
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import Published, Vouched
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Event,
        Evidence,
        Observed,
        VerifiedCommand,
        VerifiedTable,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import VerifyResult

# Where nothing can be made and nothing lies that would help or hinder.
_NO_HOME = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
_MANY = 10  # reasons that an error names


class VerifyOutcome(t.NamedTuple):
    """How a call ended.

    :ivar warnings: requirements of distributions outside the plan that are not met, and files that cannot be read.
    """

    result: VerifyResult
    warnings: list[str]


def verify(engine: Engine | None, options: install.Options, index: Index, *, check_mode: bool) -> VerifyOutcome:
    """Look at everything that the options name, and record it.

    :param engine: None to record nothing, and to look at no record.
    :param options: of the module.
    :param check_mode: no code of what was installed is run, and nothing is recorded.
    :raises InputError: there is nothing to look at, or no environment is named to look into.
    :raises OutOfOrder: the phase C(verification) is not at work.
    :raises NotVerified: something is not as it has to be.
    :raises InstallerError: a command failed.
    """
    if (options["distributions"] or options["imports"]) and not options["venv"]:
        raise InputError("`distributions` and `imports` need `venv`.", untouched="everything.")
    results: list[Observed] = []
    name = ""
    earlier = _EarlierVerification()
    published: dict[str, str] = {}
    if engine is not None:
        with engine.reading() as session:
            installation = _at_work(session, check_mode)
            name = installation.install_id if installation is not None else ""
            if installation is not None:
                results = [each for phase in installation.phases.values() for each in phase.result]
            earlier = _earlier(session, options["venv"])
            published = _published(session, options["venv"])
    published.update({str(path): str(digest) for path, digest in options["wrong_records"].items()})
    if not (results or options["distributions"] or options["imports"] or options["commands"]):
        raise InputError(
            "There is nothing to verify.",
            untouched="everything.",
            advice="Complete phases with `result`, or give `distributions`, `imports` or `commands`.",
        )
    recorded = {} if engine is None or check_mode else _recorded_versions(results, options["venv"])
    look_first = _Tabulating(options["venv"], recorded, earlier, published)
    evidence, unverified, warnings = _look(results, options, index, earlier.vouched, published)
    unverified += look_first.unlisted
    if unverified:
        evidence["unverified"] = unverified
        warnings += [f"Not verified: {sentence}." for sentence in unverified]
    if look_first.cut:
        evidence["cut"] = look_first.cut
    output = ""
    if not check_mode:
        output = _run(evidence, options)
        if engine is not None:
            table = look_first.table()
            if table:
                evidence["table"] = {"path": options["venv"], "sha256": hashlib.sha256(table).hexdigest()}
            with engine.session() as session:
                _record(session, name, evidence, table)
    return VerifyOutcome({"changed": engine is not None, "evidence": evidence, "output": output}, warnings=warnings)


class _EarlierVerification(t.NamedTuple):
    """What an earlier verification tells.

    :ivar table: of the environment, the newest one that can be used; None when there is none.
    :ivar cut: path of each RECORD that told less than before → its SHA-256 by then.
    """

    table: Table | None = None
    cut: t.Mapping[str, str] = {}

    @property
    def vouched(self) -> Vouched:
        """What need not be read again."""
        if self.table is None:
            return {}
        # What was written in the same moment as it was looked at has the same times, so they do not vouch for it.
        return {
            path: (row.inode, row.size, row.mtime, row.ctime, row.hash)
            for path, row in self.table.rows.items()
            if row.type != footprint_table.DIRECTORY and not self.table.is_racy(row)
        }


class _Tabulating:
    """A table of what is verified: looked at before its content is, and written once that is right.

    :param venv: path of the environment; empty for none.
    :param recorded: names and versions that results of phases have there.
    :param earlier: what an earlier verification tells.
    :param published: what is right although RECORD says otherwise.
    :ivar unlisted: what is in no RECORD any more, in words.
    :ivar cut: path of each RECORD that it was taken out of → its SHA-256 now.
    """

    def __init__(
        self, venv: str | None, recorded: t.Mapping[str, str], earlier: _EarlierVerification, published: Published
    ) -> None:
        self.unlisted: list[str] = []
        self.cut: dict[str, str] = {}
        self._venv = Tree.open(venv) if venv and recorded else None
        if self._venv is None:
            return
        self._looked, self._digests = tabulate.tabulate(self._venv, recorded.keys())
        self._digests.update((path, {digest}) for path, digest in published.items() if digest)
        if earlier.table is None:
            return
        unlisted = tabulate.unlisted(self._venv, recorded.keys(), earlier.table, earlier.cut, self._looked)
        if unlisted.paths:
            self.unlisted = [unlisted.sentence]
            self.cut = unlisted.records
            self._looked = tabulate.with_rows(self._venv, self._looked, unlisted.paths)

    def table(self) -> bytes:
        """Its file; empty where there is nothing to tell.

        :raises NotVerified: something went in between.
        """
        if self._venv is None:
            return b""
        with self._venv as venv:
            try:
                return b"".join(footprint_table.write(tabulate.hashed(venv, self._looked, self._digests)))
            except (OSError, SageError) as error:
                reason = error.what if isinstance(error, SageError) else error
                raise NotVerified(
                    f"What was installed changed while it was verified: {reason}.",
                    untouched="everything; verifying only reads.",
                    advice="Let nobody else work on the environment, then run again.",
                ) from error


def _recorded_versions(results: t.Sequence[Observed], venv: str | None) -> dict[str, str]:
    """Names and versions that results of phases have in an environment."""
    versions: dict[str, str] = {}
    for result in results:
        if result["spec"].get("path") == venv:
            versions.update(registry.kind_of(result["spec"]).versions(result["facts"]))
    return versions


def _earlier(session: Session, venv: str | None) -> _EarlierVerification:
    """The newest table of the environment that can be used, and what was said of it."""
    state = session.where
    for installation, recorded in _tabulated(session, venv):
        if state is None or installation.verified is None:
            continue
        try:
            data = verified_table.read(state, installation.install_id, recorded["sha256"])
            table = footprint_table.read(data.splitlines(), verified_table.path_of(state, installation.install_id))
        except (OSError, SageError):
            continue
        return _EarlierVerification(table, installation.verified.get("cut", {}))
    return _EarlierVerification()


def _published(session: Session, venv: str | None) -> dict[str, str]:
    """What is right although RECORD says otherwise, as the newest verification of the environment found it."""
    return next((installation.wrong_records for installation, _table in _tabulated(session, venv)), {})


def _tabulated(session: Session, venv: str | None) -> list[tuple[Installation, VerifiedTable]]:
    """The last installations that have a table of the environment, with what is recorded of it; the newest first."""
    recent = session.recent(2) if session.where is not None else []
    return [(each, each.table) for each in reversed(recent) if each.table and each.table["path"] == venv]


def _at_work(session: Session, check_mode: bool) -> Installation | None:
    """The installation whose phase C(verification) is at work; in check mode, where no phase is, the current one.

    :raises OutOfOrder: there is none.
    """
    installation = session.installation
    if check_mode:
        return installation
    missing = VERIFICATION
    if installation is not None:
        undone = [phase for phase in PHASES[: PHASES.index(VERIFICATION)] if not installation.phases[phase].done]
        missing = undone[0] if undone else missing
        if not undone and installation.phases[VERIFICATION].status == "started":
            return installation
    status = installation.phases[missing].status if installation is not None else "pending"
    raise OutOfOrder(
        f"Nothing can be verified yet: the phase {missing} is {status}.",
        untouched="everything.",
        advice="End the phases before verification, and begin that one, with intellistream.sage.sage_checkpoint. "
        "`record: false` looks without a record.",
        missing=missing,
    )


def _look(
    results: t.Sequence[Observed],
    options: install.Options,
    index: Index,
    vouched: Vouched,
    published: Published,
) -> tuple[Evidence, list[str], list[str]]:
    """Compare the system with the record and the plan; the evidence, what could not be verified, other warnings.

    :raises NotVerified: it is not as it has to be.
    """
    reasons = drift(results)
    resources, versions = [], {}
    for result in results:
        kind = registry.kind_of(result["spec"])
        resources.append(f"{result['spec']['kind']} {registry.make(result['spec']).path}")
        versions.update(kind.versions(result["facts"]))
    files, unverified, warnings = 0, [], []
    if options["venv"]:
        pending = install.pending_install(options, vouched, published)
        reasons += pending.verify()
        for distribution in options["distributions"]:
            pin = plan.pin_of(distribution)
            if pin.name in pending.inventory:
                versions[pin.name] = pending.inventory[pin.name].version
        planned = {plan.pin_of(distribution).name for distribution in options["distributions"]}
        others = [name for name in sorted(versions) if name not in planned]
        present = inventory.compared(pending.venv, pending.inventory, others, vouched, published)
        for version in map(present.get, sorted(versions)):
            if version is not None and not inventory.is_whole(version):
                reasons.append(version.what_differs or f"files of {version.name} are missing or empty")
            elif version is not None:
                files += inventory.count_files(version) - len(version.unread)
                unverified += [version.what_is_unread] if version.what_is_unread else []
        if not reasons and options["distributions"] and options["check_dependencies"]:
            warnings += install.check_dependencies(pending, options, index)
    if reasons:
        distinct = list(dict.fromkeys(reasons))
        raise NotVerified(
            f"What was installed is not as it has to be: {'; '.join(distinct[:_MANY])}.",
            untouched="everything; verifying only reads.",
            advice="Run again: what was edited or is gone is installed anew, by the role from python_deps on. Or roll "
            "back.",
            differences=distinct,
        )
    evidence: Evidence = {
        "resources": list(dict.fromkeys(resources)),
        "versions": dict(sorted(versions.items())),
        "files": files,
        "imports": list(options["imports"]),
        "commands": [],
    }
    if published:
        evidence["wrong_records"] = dict(sorted(published.items()))
        warnings.append(_named(published))
    return evidence, unverified, warnings


def _named(published: Published) -> str:
    paths = ", ".join(sorted(published)[:_MANY])
    more = f" and {len(published) - _MANY} more" if len(published) > _MANY else ""
    return f"Right as they are, although the RECORD that was published with them says otherwise: {paths}{more}."


def _run(evidence: Evidence, options: install.Options) -> str:
    """Import modules and run commands, and add that to the evidence; returns what the last command printed.

    :raises InstallerError: one failed.
    :raises NotVerified: one did not print what it has to.
    """
    commands = [(list(map(os.path.expanduser, each["argv"])), each["shows"]) for each in options["commands"]]
    if options["imports"]:
        if not all(part.isidentifier() for module in options["imports"] for part in module.split(".")):
            raise InputError("`imports` are names of modules.", untouched="everything.")
        python = interpreter.in_venv(os.path.abspath(options["venv"]))
        commands.insert(0, ([python, "-I", "-c", f"import {', '.join(options['imports'])}"], None))
    ran: list[VerifiedCommand] = []
    output = ""
    for argv, shows in commands:
        # By env, found on the task's PATH, as a service of that user would begin it.
        outcome = command.checked(
            ["env", *argv],
            env=dict.fromkeys(_NO_HOME, os.devnull),
            timeout=options["timeout"],
            untouched="everything; verifying only reads.",
            advice="What was installed does not work. Roll back, or install another version.",
        )
        output = redact_text(outcome.stdout)
        if shows and not re.search(shows, outcome.stdout):
            raise NotVerified(
                f"`{outcome.command}` did not print {shows!r}. It said last:\n{chr(10).join(outcome.last_lines())}\n--",
                untouched="everything; verifying only reads.",
                advice="What was installed does not work. Roll back, or install another version.",
                output=outcome.last_lines(),
            )
        digest = hashlib.sha256(outcome.stdout.encode(errors="surrogateescape")).hexdigest()
        ran.append({"argv": [redact_text(part) for part in argv], "output": digest})
    evidence["commands"] = ran[1:] if options["imports"] else ran
    return output


def _record(session: Session, name: str, evidence: Evidence, table: bytes) -> None:
    """Record the evidence for the installation that was looked at.

    :param table: what the evidence has the hash of; empty for none.
    :raises OutOfOrder: it is not at work any more.
    """
    installation = _at_work(session, check_mode=False)
    if installation is None or installation.install_id != name:
        raise OutOfOrder(
            f"Another installation began while {name} was verified.",
            untouched="the record.",
            advice="Let only one run at a time work on a host.",
        )
    if table and session.where is not None:
        # On the disk before the ledger has its hash.
        verified_table.write(session.where, name, table)
    session.add(t.cast("Event", {"event": "verified", **evidence}))
    session.commit()
