"""C(rollback.sh): the rollback to the latest target as a script, for when Ansible or Python is gone.

It is kept in step with the rollback points. The script is the same for everybody; what it is about is written behind
it. It reads the store itself and trusts only what has the hashes written here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import shlex
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    StoreError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import CHECKPOINTS, STATE_DIR
from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    ScriptRefusal,
    escape,
    joined,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records import identity
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_captures, registry
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import layers

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Kind
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point

CARRIES = (carry_captures.parts,)
# The parts that every script has, before and after those of its kinds.
_FIRST = ("settings", "answers", "names", "looking", "writing")
_LAST = ("lease", "state", "run")
NAME = "rollback.sh"

_INTRO = b"""#!/bin/sh
# Rolls this host back to what was captured before the latest change, without Ansible, Python or network.
# Made anew with every rollback point by intellistream.sage; do not edit. How to use it: sh rollback.sh --help
#
# First stands what it is about, then how it is done. Functions of resources are called by their names; "test && test
# || refuse" is meant; names in quotes are not to be expanded; "test -ef" is in POSIX since 2024, and was everywhere
# before.
# shellcheck disable=SC2013,SC2015,SC2016,SC2030,SC2031,SC2034,SC2089,SC2090,SC2154,SC2317,SC2329,SC3013

"""


_EACH = b"""
# Does $1 with each resource, the one changed last first. Its list has what was touched in it: whose it is, its name,
# what it was before and the content of that, what the change left and the content of that. See below.
"""


class _Capture(t.NamedTuple):
    """One resource of one point.

    :ivar number: of the capture in the script.
    :ivar position: of the resource in its point.
    :ivar record: the resource as the point has it.
    """

    number: int
    point: t.Mapping[str, t.Any]
    position: int
    record: t.Mapping[str, t.Any]
    facts: ScriptCapture


class _Resource(t.NamedTuple):
    """One resource with all its captures, oldest first."""

    kind: Kind | None
    name: str
    path: str
    captures: list[_Capture]


# Lines of the ledger: one that captured, one that settled, and those of others at the same time.
_LATELY = 8
_PLAYBOOK = "ansible-playbook -i localhost, -c local intellistream.sage.rollback_sage"
# Where nothing but hooks has captured anything.
_NONE = targets.ResolvedTarget([], "1970-01-01T00:00:00+00:00", tid="")


def refresh(session: Session, history: t.Sequence[Change] | None = None) -> None:
    """Make the script take back the latest change of the system that was captured.

    :param history: all changes, or those that are enough; without it, as many are read as it takes.
    """
    if session.where is None or not session.writes or session.empty:
        return
    script = current(session, session.where, history if history is not None else _enough(session))
    if session.where.read(NAME) != script:
        session.where.write(NAME, script, mode=0o700)


def current(session: Session, state: PrivateDir, history: t.Sequence[Change]) -> bytes:
    """The script as it has to be now.

    :param state: the checkpoint directory.
    :param history: all changes, or those that are enough.
    """
    reason = instead = ""
    newest = targets.last(history)
    try:
        target_name = targets.latest(history)
        chosen = targets.resolve(history, target_name) if newest is not None else _NONE
        headers = _headers(state, chosen)
        root = session.identity["root"]
        elsewhere = identity.elsewhere(history, session.identity)
        moved_from = [point["root"] for point in chosen.points if point["point"] in elsewhere]
        if moved_from:
            reason = f"what was captured belongs to {moved_from[0]}, and the root was moved to {root} since."
            instead = "It cannot be put back here. For an earlier version of SAGE install that one: give sage_version."
        if any(point.get("redo") for point in chosen.points):
            reason = "a rollback that reached further back lies in between."
        points: list[dict[str, t.Any]] = [{**point, "observed": observed(state, point)} for point in chosen.points]
    except (InputError, StoreError, UnknownFormat, FileNotFoundError):
        # Pruned, archived or damaged: the module can tell more about that than a script.
        reason = "what was captured is archived, removed or damaged."
        begun, tid = (newest.begun, newest.install_id) if newest is not None else (_NONE.time, _NONE.tid)
        chosen, headers, points = targets.ResolvedTarget([], begun, tid=tid), {}, []
    # The same points give the same script, so it is written only when they change.
    generation = hashlib.sha256(" ".join(str(point["point"]) for point in points).encode()).hexdigest()
    target = {
        "machine": session.identity["machine"],
        "tid": chosen.tid,
        "time": chosen.time,
        "generation": generation,
        "unsupported": reason,
        "store": contents.path_of(state),
        "instead": instead,
        "command": _command(session, chosen.tid),
    }
    return render(session.path, target, points, headers)


def _command(session: Session, target: str) -> str:
    """The command line that records what the script did, or does what it cannot, on this host itself."""
    variables = {"sage_root": session.root, "sage_rollback_to": target}
    if session.path != os.path.join(os.path.normpath(session.root), STATE_DIR, CHECKPOINTS):
        variables["sage_checkpoint_dir"] = session.path
    words = [word for name, text in variables.items() for word in ("-e", json.dumps({name: text}))]
    return " ".join([_PLAYBOOK, *map(shlex.quote, words)])


def _enough(session: Session) -> t.Sequence[Change]:
    """The changes that tell what the latest one is: most times the current installation or the one by hand alone."""
    installation = session.installation
    by_hand = session.lately(HAND, _LATELY)[-1:]
    if by_hand and (installation is None or targets.last([installation, *by_hand]) is by_hand[0]):
        return by_hand
    if installation is None or not installation.altered or session.acted_lately(HAND):
        return session.history()
    return [installation]


def observed(state: PrivateDir, point: Point) -> dict[int, t.Sequence[t.Any]]:
    """Number of a resource → what its kind has to look at, see P(_kind.script.Script.observed)."""
    found: dict[int, t.Sequence[t.Any]] = {}
    with contextlib.ExitStack() as stack:
        for number, layer in enumerate(layers(state, point, stack, after=point.get("after") or ())):
            kind = registry.find(layer.spec["kind"])
            if kind is not None and kind.script:
                found[number] = _script(kind).observed(layer)
    return found


def _headers(state: PrivateDir, chosen: targets.ResolvedTarget) -> dict[tuple[str, int], dict[str, t.Any]]:
    headers = {}
    for point in chosen.points:
        if point.get("archive"):
            raise FileNotFoundError(point["point"])
        with contents.point_dir(state, point["install_id"], point["point"]) as directory:
            for number, resource in enumerate(point["resources"]):
                headers[point["point"], number] = contents.read_manifest(directory, resource)
    return headers


def render(
    checkpoints: str,
    target: t.Mapping[str, t.Any],
    points: t.Sequence[t.Mapping[str, t.Any]],
    headers: t.Mapping[tuple[str, int], Facts],
) -> bytes:
    """The script that undoes C(points).

    :param checkpoints: the state directory; the script works only as C(rollback.sh) in it.
    :param target: C(tid) and ISO C(time) of what is gone back to; C(generation), another for every script; C(machine),
        a hash of the machine id, or empty; C(unsupported), if the script cannot go back: why; C(command), the one by
        which Ansible can, and C(instead), what to do where it cannot either.
    :param points: what is undone, oldest first; without any the script says so. C(observed): number of a resource →
        what P(_kind.script.Script.observed) found.
    :param headers: (point id, number of the resource) → header of the capture.
    """
    resources = _resources(points, headers)
    lines: list[ScriptLines] = []
    reason, missing = str(target.get("unsupported") or ""), ""
    able: list[_Resource] = []
    if not reason:
        missing, able, lines = _lines(resources)
        # What it can do is done, and the rest is named.
        reason = "" if able or not resources else missing
    facts = {
        "machine": str(target["machine"]).encode(),
        "state": os.fsencode(os.path.normpath(checkpoints)),
        "store": os.fsencode(os.path.normpath(str(target["store"]))),
        "tid": str(target["tid"]).encode(),
        "when": dt.datetime.fromisoformat(target["time"]).astimezone().ctime().encode(),
        "generation": str(target["generation"]).encode(),
        "any": b"1" if points else b"",
        "unsupported": reason.encode(),
        "missing": b"" if reason else missing.encode(),
        "command": os.fsencode(str(target["command"])),
        "otherwise": os.fsencode(_otherwise(resources, target)),
    }
    return b"".join(
        (
            _INTRO,
            *(b"%b=%b\n" % (name.encode(), _quote(text)) for name, text in facts.items()),
            _EACH,
            b"each_resource() {\n",
            *(_calls(able, lines) or [b"    :\n"]),
            b"}\n\n# What was captured, and the hash of what is said of it.\nlayer() {\n    case $1 in\n",
            *(_layer(capture) for each in resources for capture in each.captures),
            b"    *) fail 'this script is damaged.' ;;\n    esac\n}\n\n",
            _body(lines),
            b'\nmain "$@"\n',
        )
    )


def _body(lines: t.Sequence[ScriptLines]) -> bytes:
    """What the script does: each of its parts once, and none that it does not need."""
    needed = dict.fromkeys(name for each in lines for name in each.sources)
    return "\n".join(map(sources.source, (*_FIRST, *needed, *_LAST))).encode()


def _script(kind: Kind) -> Script:
    script: ByName[t.Callable[[], Script]] = ByName(kind.script)
    return script.load()()


def _resources(
    points: t.Sequence[t.Mapping[str, t.Any]], headers: t.Mapping[tuple[str, int], Facts]
) -> list[_Resource]:
    """As a rollback has them: the one that was captured last, last."""
    resources: dict[tuple[str, str], _Resource] = {}
    number = 0
    for point in points:
        for position, (spec, record) in enumerate(zip(point["specs"], point["resources"])):
            number += 1
            kind = registry.find(record["kind"])
            facts = ScriptCapture(
                number,
                record["path"],
                spec=spec,
                manifest=headers[point["point"], position],
                specs=point["specs"],
                content=f"{point['install_id']}/{point['point']}/{position}",
                observed=point.get("observed", {}).get(position, ()),
            )
            capture = _Capture(number, point, position=position, record=record, facts=facts)
            key = (record["kind"], "" if kind is not None and kind.joined else record["path"])
            older = resources.pop(key).captures if key in resources else []
            resources[key] = _Resource(kind, *key, captures=[*older, capture])
    # What others may lie in comes first when they are put back, so last here.
    return sorted(resources.values(), key=lambda resource: resource.kind is not None and resource.kind.contains)


def _lines(resources: t.Sequence[_Resource]) -> tuple[str, list[_Resource], list[ScriptLines]]:
    """Why the script cannot do all, the resources that it can do, and what it is told of each."""
    missing: list[str] = []
    able: list[_Resource] = []
    of_each: list[ScriptLines] = []
    for resource in resources:
        facts = [capture.facts for capture in resource.captures]
        lines: ScriptLines | ScriptRefusal | str = facts[-1].manifest.get("no_script") or ""
        if resource.kind is not None and resource.kind.script:
            lines = _script(resource.kind).lines(facts)
        if isinstance(lines, ScriptRefusal):
            return lines.reason, [], []
        if isinstance(lines, str):
            missing.append(lines or f"this script cannot put back what is of kind {resource.name}.")
            continue
        if resource.kind is not None and any(
            capture.point.get("by") and not resource.kind.covers(capture.facts.spec) for capture in resource.captures
        ):
            missing.append(f"nobody said what was to change in {resource.path}, so not all of that was captured.")
        able.append(resource)
        of_each.append(lines)
    return " ".join(dict.fromkeys(missing)), able, of_each


def _calls(resources: t.Sequence[_Resource], lines: t.Sequence[ScriptLines]) -> list[bytes]:
    """What is called for each resource, the one changed last first."""
    calls = []
    for (kind, name, path, captures), (variables, parts) in zip(reversed(resources), reversed(lines)):
        if kind is not None and not kind.joined:
            # A place is the same however many slashes end it.
            place = os.path.normpath(path)
            variables = {"path": os.fsencode(place), "path_encoded": escape(place), **variables}
        layers = joined(b"%d" % capture.number for capture in captures)
        for variable, content in {**variables, "layers": layers, "kind": name.encode()}.items():
            calls.append(b"    %b=%b\n" % (variable.encode(), _quote(content)))
        calls.append(b'    "%b_$1"\n' % parts[-1].encode())
    return calls


def _otherwise(resources: t.Sequence[_Resource], target: t.Mapping[str, t.Any]) -> str:
    """What to do when the script cannot."""
    commands: list[str] = []
    store = str(target["store"])
    for dummy, dummy2, dummy3, captures in resources:
        by_capture = [(_content(store, capture), capture.facts.manifest.get("by_hand") or ()) for capture in captures]
        commands += changes.by_hand(by_capture)
    instead = str(target.get("instead") or f"Roll back with Ansible: {target['command']}")
    return "\n".join([instead, *changes.introduced(commands)])


def _content(store: str, capture: _Capture) -> str:
    return os.path.join(store, capture.point["install_id"], capture.point["point"], str(capture.position))


def _quote(text: bytes) -> bytes:
    return b"'" + text.replace(b"'", b"'\\''") + b"'"


def _layer(capture: _Capture) -> bytes:
    place = _quote(os.fsencode(f"/{capture.point['install_id']}/{capture.point['point']}"))
    return b"    %d) point=$store%b number=%d header_sum=%b ;;\n" % (
        capture.number,
        place,
        capture.position,
        str(capture.record["sha256"]).encode(),
    )
