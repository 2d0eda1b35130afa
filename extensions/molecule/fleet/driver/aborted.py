# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases in which a host is the trouble: it fails, is cut off, is restarted, comes in a later batch."""

from __future__ import annotations

import functools
import typing as t

from attempt import Attempt, pairs
from machines import ROOT, Machines
from runs import before
from turns import played
from wheels import BROKEN

# Somebody's own directory where the new SAGE brings a file.
OBSTACLE = "mkdir {0} && touch {0}/mine"
SITE = f"{ROOT}/.sage/venv/lib/python3.11/site-packages"
NO_FIND = "mkdir -p /home/sage/bin && ln -sf /usr/bin/* /home/sage/bin/ && rm -f /home/sage/bin/find"
# A Python that loses the answer of the call with which its host promises.
FORGETFUL = f"""cat >/home/sage/bin/forgetful <<'end' && chmod +x /home/sage/bin/forgetful
#!/bin/sh
promises() {{ grep -c '"event":"prepared"' {ROOT}/.sage/checkpoints/ledger.jsonl 2>/dev/null; }}
before=$(promises)
answer=$(/usr/bin/python3 "$@")
status=$?
[ "$before" = "$(promises)" ] || exit 137
printf '%s\\n' "$answer"
exit $status
end"""
BEGIN = "install | begin | Begin or continue the installation"
# What makes a host fail in a phase, as variables of this host.
FAILURES: dict[str, dict[str, t.Any]] = {
    "environment_setup": {"sage_python": "/bin/false"},
    "submodule_sync": {"sage_source": "git", "sage_version": "", "sage_repository": "/nowhere/sage.git"},
    "python_deps": {"sage_index_url": "http://127.0.0.1:9/simple"},
    "sage_packages": {},
    "verification": {"sage_version": f"{BROKEN}.0"},
    "cleanup": {"sage_environment": {"PATH": "/home/sage/bin:/usr/local/bin"}},
    "the promise": {"ansible_python_interpreter": "/home/sage/bin/forgetful"},
}
# The task before which a host is cut off.
CUTS = {
    "environment_setup": "phases | environment_setup | Create the virtual environment",
    "python_deps": "phases | python_deps | Install the third-party distributions of the plan",
    "sage_packages": "phases | sage_packages | Install the SAGE distributions of the plan",
    "verification": "phases | verification | Verify SAGE",
    "cleanup": "phases | cleanup | End the installation",
    "voted": "fleet | decide | Commit or abort",
}


def _file(version: str) -> str:
    """The one that only this version brings."""
    return f"{SITE}/sage/only_{version.partition('.')[0]}.py"


def _fail(phase: str, machines: Machines, names: list[str]) -> Attempt:
    bad = names[0]
    version = machines.generation()
    extra: dict[str, t.Any] = {}
    hosts = {bad: FAILURES[phase]}
    if phase == "cleanup":
        machines.run(bad, NO_FIND)
    if phase == "the promise":
        machines.run(bad, f"mkdir -p /home/sage/bin && {FORGETFUL}")
    if phase == "sage_packages":
        machines.run(bad, OBSTACLE.format(_file(version)))
    attempt = Attempt(machines, names, version)
    # Extra variables would win over those of a host.
    versions = {name: {"sage_version": version, **hosts.get(name, {})} for name in names}
    run = attempt.start(extra={"sage_version": None, **extra}, hosts=versions)
    attempt.ended(run, 2)
    failed_in = "cleanup" if phase == "the promise" else phase
    if f"FAILED in {failed_in}: " not in run.output:
        attempt.wrong.append(f"it did not fail in {failed_in}")
    attempt.judge("old")
    if phase == "sage_packages":
        machines.run(bad, f"rm -r {_file(version)}")
    return attempt


def fails(machines: Machines) -> list[str]:
    """One of two hosts fails in one of the six phases, or with the answer to its promise: both end as they were."""
    return pairs(machines, {phase: functools.partial(_fail, phase) for phase in played(FAILURES, 3)})


def _cut(phase: str, machines: Machines, names: list[str]) -> Attempt:
    gone, stays = names
    attempt = Attempt(machines, names)
    # Nobody makes an environment anew unless something of it is wanted otherwise.
    extra = {"sage_python": "/usr/bin/python3.11"} if phase == "environment_setup" else {}
    attempt.run(2, 4, 6, extra=extra, strikes=[before(CUTS[phase], machines.cut(gone))])
    # It voted before it was cut off: the decision was commit, and it did not hear so.
    wanted = "new" if phase == "voted" else "old"
    attempt.judge(wanted, [stays])
    machines.shell(machines.mend(gone))
    attempt.finish([gone])
    return attempt.judge(wanted)


def cut(machines: Machines) -> list[str]:
    """One of two hosts loses its network, in a phase or after its vote; it is back after the decision."""
    return pairs(machines, {phase: functools.partial(_cut, phase) for phase in played(CUTS, 3)})


def _restart(task: str, machines: Machines, names: list[str]) -> Attempt:
    attempt = Attempt(machines, names)
    attempt.run(0, 2, 4, 6, strikes=[before(task, machines.restart(names[0]))])
    # What was decided depends on whether the controller noticed; what the other one did has to stand.
    wanted = "old" if attempt.runs[0].status else "same"
    if task == CUTS["voted"]:
        wanted = "new"
    attempt.finish()
    return attempt.judge(wanted)


def restarted(machines: Machines) -> list[str]:
    """One of two hosts is restarted while it installs, or between its vote and the decision."""
    works = {name: functools.partial(_restart, CUTS[name]) for name in played(("sage_packages", "voted"), 2)}
    return pairs(machines, works)


def canaries(machines: Machines) -> list[str]:
    """Batches of 1, 2, 3 and the rest; the third fails: the first two go back, and the last one never begins."""
    names = list(machines.facts["hosts"])[:8]
    attempt = Attempt(machines, names)
    versions = {name: {"sage_version": attempt.version} for name in names}
    versions[names[4]] = {"sage_version": f"{BROKEN}.0"}
    run = attempt.run(2, extra={"sage_version": None, "sage_serial": [1, 2, 3, "100%"]}, hosts=versions, forks=6)
    attempt.judge("old")
    begun = [line["host"] for line in run.log() if line.get("task") == BEGIN]
    if begun[:1] != names[:1] or sorted(begun[1:3]) != names[1:3] or sorted(begun[3:]) != names[3:6]:
        attempt.wrong.append(f"began in this order: {begun}")
    return attempt.report("canaries")


CASES: dict[str, t.Callable[[Machines], list[str]]] = {
    "fails": fails,
    "cut": cut,
    "restarted": restarted,
    "canaries": canaries,
}
