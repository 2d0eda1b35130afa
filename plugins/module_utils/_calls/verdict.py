"""The resume verdict: which phase has to run next, and why.

Compares what was recorded with what is there. A phase whose recorded result no longer holds is
never skipped; one whose result holds is never repeated.

M(look) asks at the least cost whether nothing at all is left to do: a rerun of a finished installation asks no more.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host as base_host
from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._calls.results import drift
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._records import identity, progress, verified_table
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    CLEANUP,
    DISTRIBUTIONS,
    ENVIRONMENT,
    PHASES,
    VERIFICATION,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.record import Record
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_verified
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import kind_of
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import integrity

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Environment,
        Identity,
        Inputs,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        DamagedPoint,
        LookResult,
        PhaseReason,
        VerdictResult,
    )


CARRIES = (carry_verified.parts,)
_INCLUDED = re.compile(rb"\s*(?:-[rc]\s*|--(?:requirement|constraint)[\s=]\s*)([^\s#]+)")
_ENDED_BADLY = {"failed": "it failed", "started": "it was interrupted", "rolled_back": "it was rolled back"}
_ALTERED: ByName[t.Callable[[str, bytes, str, t.Mapping[str, str]], dict[str, str]]] = ByName("_venv.verified:altered")


class Verdict(t.NamedTuple):
    """What a run has to do.

    :ivar state: V(none) (never installed), V(unfinished), V(finished) (nothing to do) or
        V(outdated) (finished once, but no longer what is wanted or recorded).
    :ivar phase: the earliest phase that must run, or None.
    :ivar reasons: mappings C(phase), C(reason), in the order of the phases.
    :ivar damaged: rollback points that cannot be used, see M(_timeline.integrity); no phase runs again for that.
    """

    state: str
    phase: str | None
    reasons: list[PhaseReason]
    damaged: t.Sequence[DamagedPoint] = ()

    @property
    def phases_to_run(self) -> list[str]:
        """That phase and all that rest on it."""
        return list(PHASES[PHASES.index(self.phase) :]) if self.phase else []

    def as_dict(self) -> VerdictResult:
        """The verdict as JSON-able data."""
        needed = self.state == "unfinished"
        fields = {**self._asdict(), "damaged": list(self.damaged)}
        return t.cast("VerdictResult", {**fields, "phases_to_run": self.phases_to_run, "needed": needed})

    def with_damage(self, state: PrivateDir | None, attempts: t.Iterable[Installation | None]) -> Verdict:
        """The same, with what is gone or hurt of the ways back that these installations promise.

        :param attempts: the current one, and the one that is in force.
        """
        changes = {attempt.install_id: attempt for attempt in attempts if attempt is not None}
        return self._replace(damaged=integrity.damaged(state, integrity.promised(changes.values())))


def judge(
    installation: Installation | None,
    inputs: Inputs | None,
    host: Environment,
    here: Identity | None = None,
    state: PrivateDir | None = None,
    latest: Installation | None = None,
) -> Verdict:
    """The verdict on an installation.

    :param inputs: what is wanted now, by phase; None to ask only whether the record still holds.
    :param host: facts of the host now, from M(_base.host.facts).
    :param here: whose record it is now, from M(_records.identity.here); None to leave out where it lies.
    :param state: the checkpoint directory; None to leave out the table of what was verified.
    :param latest: the installation that began last, where that one was undone; None when it is the same.
    """
    if installation is None:
        return Verdict(
            "none", ENVIRONMENT, reasons=[{"phase": ENVIRONMENT, "reason": "nothing has been installed yet"}]
        )
    reasons: list[PhaseReason] = []
    altered = _altered(state, installation)
    named = _named_by_verification(installation, latest)
    for name in PHASES:
        phase = installation.phases[name]
        phase_reasons = _changed_inputs(installation.inputs.get(name) or {}, inputs, name)
        if name == ENVIRONMENT:
            phase_reasons += base_host.differences(installation.environment, host)
            new_root = identity.new_root(installation.began_as, here) if here is not None else ""
            phase_reasons += [new_root] if new_root else []
        if phase.status in _ENDED_BADLY:
            phase_reasons.append(_ENDED_BADLY[phase.status])
        elif not phase.done and not reasons:
            phase_reasons.append("it has not run yet")
        if phase.done:
            # What is gone or of another version altogether is not told a second time, file by file.
            phase_reasons += drift(phase.result) or altered.get(name, [])
        if name == DISTRIBUTIONS and named and not phase_reasons:
            phase_reasons.append(f"verification found: {named}")
        reasons += [{"phase": name, "reason": reason} for reason in phase_reasons]
    if not reasons:
        # Where a distribution is gone as a whole its phase has said so.
        reasons = [{"phase": DISTRIBUTIONS, "reason": reason} for reason in altered.get("", [])]
    first = reasons[0]["phase"] if reasons else None
    if first == CLEANUP:
        first = VERIFICATION
        reasons.insert(0, {"phase": first, "reason": "the run that ends an installation is the one that verifies it"})
    if first is None:
        return Verdict("finished", None, reasons=[])
    return Verdict("outdated" if installation.status == "completed" else "unfinished", first, reasons=reasons)


def _altered(state: PrivateDir | None, installation: Installation) -> dict[str, list[str]]:
    """Phase → what is not as it was verified; the phase that brought it mends it. C("") has what no RECORD lists now.

    Where that cannot be told, verification has to look again.
    """
    known = installation.table
    if state is None or not known:
        return {}
    phase_of: dict[str, str] = {}
    versions: dict[str, str] = {}
    for name, phase in installation.phases.items():
        for result in phase.result if phase.done else ():
            found = kind_of(result["spec"]).versions(result["facts"])
            phase_of.update(dict.fromkeys(found, name))
            versions.update(found)
    try:
        data = verified_table.read(state, installation.install_id, known["sha256"])
        path = verified_table.path_of(state, installation.install_id)
        sentences = _ALTERED.load()(known["path"], data, path, versions)
    except SageError as error:
        return {VERIFICATION: [f"nobody can tell whether files were edited since: {error.what}"]}
    except OSError as error:
        return {VERIFICATION: [f"nobody can tell whether files were edited since: {error}"]}
    reasons: dict[str, list[str]] = {}
    for name, sentence in sentences.items():
        reasons.setdefault(phase_of.get(name, ""), []).append(sentence)
    return reasons


def _named_by_verification(installation: Installation, latest: Installation | None) -> str:
    """What a verification that failed has found to differ, first of all; to verify once more would not mend it.

    :param latest: counts where it had changed nothing, so that it looked at what is in force.
    """
    for attempt in (installation, latest):
        if attempt is None or (attempt is latest is not installation and attempt.altered):
            continue
        failure = attempt.phases[VERIFICATION].failure
        differences = failure.get("differences") if isinstance(failure, dict) else None
        if isinstance(differences, list) and differences:
            return str(differences[0])
    return ""


def _changed_inputs(recorded: t.Mapping[str, t.Any], inputs: Inputs | None, phase: str) -> list[str]:
    """What is wanted of a phase now, and was not when it was recorded."""
    if inputs is None:
        return []
    inputs_now = inputs.get(phase) or {}
    return [
        f"input {name} changed from {recorded.get(name)!r} to {inputs_now.get(name)!r}"
        for name in sorted({*recorded, *inputs_now})
        if recorded.get(name) != inputs_now.get(name)
    ]


def on_host(inputs: Inputs) -> dict[str, dict[str, t.Any]]:
    """What is wanted as it is recorded and compared: without credentials, and with what is in files of this host.

    C(files_on_host), a list of paths, becomes a C(content of PATH) for each: a SHA-256 of it and of the files that it
    names with C(-r) or C(-c), as pip and uv read them; empty where none can be read.
    """
    result: dict[str, dict[str, t.Any]] = {}
    for phase, given in inputs.items():
        files = given.get("files_on_host") or []
        # A file may have a word in its name that credentials have; what is in it is told by a hash alone.
        result[phase] = redact({name: value for name, value in given.items() if name != "files_on_host"})
        result[phase].update({f"content of {path}": _sha256(str(path), set()) for path in files})
    return result


def _sha256(path: str, known: set[str]) -> str:
    """A hash of a file and of those that it includes.

    :param known: files that were read, for those that include each other.
    """
    digest = hashlib.sha256()
    included: list[str] = []
    known.add(path)
    try:
        # A pipe is not waited for, and a device is not read.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return ""
            for line in iter(lambda: stream.readline(1 << 16), b""):
                digest.update(line)
                match = _INCLUDED.match(line)
                included += [os.path.join(os.path.dirname(path), os.fsdecode(match[1]))] if match is not None else []
    except (OSError, ValueError):
        return ""
    for other in included:
        if other not in known:
            digest.update(_sha256(other, known).encode())
    return digest.hexdigest()


def look(root: str, checkpoint_dir: str | None, inputs: Inputs) -> LookResult:
    """C(finished), the verdict as C(resume), and what M(_records.progress.summary) tells.

    :raises StateError: the record cannot be read.
    """
    state = open_state(root, checkpoint_dir)
    try:
        record = Record(state, state.path if state is not None else root, root)
        installation = record.installation
        in_force = record.effective()
        verdict = judge(in_force, on_host(inputs), base_host.facts(), record.identity, state, installation)
        verdict = verdict.with_damage(state, [installation, in_force])
        summary = progress.summary(installation, in_force)
        integrity.retract(summary["progress"], verdict.damaged)
        finished = (
            verdict.phase is None
            and installation is not None
            and installation.status == "completed"
            and not record.interrupted
            and not installation.rollback_pending
            and not record.repaired
            and not record.script_was_run
        )
        return {
            "changed": False,
            "finished": finished,
            "resume": verdict.as_dict(),
            **summary,
        }
    finally:
        if state is not None:
            state.close()
