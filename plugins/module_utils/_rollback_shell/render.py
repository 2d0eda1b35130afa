# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""C(rollback.sh): the rollback to the latest target as a script, for when Ansible or Python is gone.

The script is the same for everybody; what it is about is written behind it. It reads the store
itself and trusts only what has the hashes written here.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_compare import COMPARE
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_files import FILES, REMOVAL
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_git import GIT
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_names import NAMES
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_run import RUN
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_venv_installed import VENV
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_venv_strays import VENV_EDITS
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_venv_undo import VENV_UNDO
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.part_work import WORK

NAME = "rollback.sh"

Facts = t.Mapping[str, t.Any]
_SPECIAL = re.compile(rb"[\x00-\x20\x7f\\]")
_INTRO = b"""#!/bin/sh
# Rolls this host back to what was captured before the latest change, without Ansible, Python or network.
# Made anew with every rollback point by intellistream.sage; do not edit. How to use it: sh rollback.sh --help
"""
_PARTS = (NAMES, COMPARE, WORK, VENV, VENV_EDITS, VENV_UNDO, FILES, REMOVAL, GIT, RUN)
_BODY = "\n".join(_PARTS).encode()


class _Capture(t.NamedTuple):
    """One resource of one point.

    :ivar id: its number in the script.
    """

    id: int
    point: Facts
    number: int
    spec: Facts
    taken: Facts
    header: Facts


def render(
    checkpoints: str,
    target: Facts,
    points: t.Sequence[Facts],
    headers: t.Mapping[tuple[str, int], Facts],
) -> bytes:
    """The script that undoes C(points).

    :param checkpoints: the state directory; the script works only as C(rollback.sh) in it.
    :param target: C(tid) and ISO C(time) of what is gone back to; C(generation), another for every script;
        C(unsupported), if the module alone can go back: why.
    :param points: what is undone, oldest first; without any the script says so.
    :param headers: (point id, number of the resource) → header of the capture.
    """
    captures: dict[tuple[str, str], list[_Capture]] = {}
    count = 0
    for point in points:
        for number, (spec, taken) in enumerate(zip(point["specs"], point["resources"])):
            count += 1
            one = _Capture(count, point, number, spec, taken, headers[point["point"], number])
            # As the module does: all files are one resource, and the newest place decides the order of the work.
            key = (taken["kind"], "" if taken["kind"] == "files" else taken["path"])
            captures[key] = [*captures.pop(key, []), one]
    unsupported = str(target.get("unsupported") or _unsupported(captures))
    takes: dict[int, list[str]] = {}
    resources: list[bytes] = []
    for (kind, path), layers in () if unsupported else reversed(captures.items()):
        lines = _venv(layers, takes) if kind == "venv" else _KINDS[kind](layers)
        if kind != "files":
            # A place is the same however many slashes end it.
            where = os.path.normpath(path)
            lines = {"path": os.fsencode(where), "path_encoded": _escape(where), **lines}
        lines["layers"] = _lines(b"%d" % one.id for one in layers)
        lines["kind"] = kind.encode()
        resources += [b"    %b=%b\n" % (name.encode(), _quote(value)) for name, value in lines.items()]
        resources.append(b'    "%b_$1"\n' % kind.encode())
    facts = {
        "state": os.fsencode(os.path.normpath(checkpoints)),
        "store": os.fsencode(os.path.normpath(str(target["store"]))),
        "tid": str(target["tid"]).encode(),
        "when": dt.datetime.fromisoformat(target["time"]).astimezone().ctime().encode(),
        "generation": str(target["generation"]).encode(),
        "any": b"1" if points else b"",
        "unsupported": unsupported.encode(),
        "otherwise": os.fsencode(_otherwise(captures, str(target["store"]))),
    }
    return b"".join(
        (
            _INTRO,
            _BODY,
            b"\n# --- What this script is about ---\n\n",
            *(b"%b=%b\n" % (name.encode(), _quote(value)) for name, value in facts.items()),
            b"\n# What was captured, and its hashes.\nlayer() {\n    case $1 in\n",
            *(_layer(one, takes.get(one.id, [])) for layers in captures.values() for one in layers),
            b"    *) fail 'this script is damaged.' ;;\n    esac\n}\n",
            b"\n# Does $1 with each resource, the one changed last first.\neach_resource() {\n",
            *(resources or [b"    :\n"]),
            b'}\n\nmain "$@"\n',
        )
    )


def _unsupported(captures: t.Mapping[tuple[str, str], t.Sequence[_Capture]]) -> str:
    """Why the script cannot do it; it then says so."""
    for (kind, path), layers in captures.items():
        if kind in changes.PACKAGES:
            return "packages of the system were changed, which this script does not bring back."
        if kind != "venv" and kind not in _KINDS:
            return f"this script cannot put back what is of kind {kind}."
        if any(one.header.get("whole") for one in layers):
            return "a rollback took a whole environment away, which has to be brought back first."
        if kind == "git" and layers[0].header["exists"] and _announced(layers[0].header["repository"]):
            return f"files were announced with git add --intent-to-add in {path}."
    return ""


def _otherwise(captures: t.Mapping[tuple[str, str], t.Sequence[_Capture]], store: str) -> str:
    """What to do when the script cannot."""
    commands = []
    for (kind, dummy), layers in captures.items():
        if kind in changes.PACKAGES:
            names = [(one.point["install_id"], one.point["point"], str(one.number)) for one in layers]
            places = [os.path.join(store, *name) for name in names]
            commands += changes.by_hand(kind, zip(places, (one.taken for one in layers)))
    return "\n".join(["Roll back with intellistream.sage.sage_rollback.", *changes.introduced(commands)])


def _escape(value: str) -> bytes:
    """A name as C(_content/manifest.py) writes it."""
    return _SPECIAL.sub(lambda found: b"\\0%03o" % found.group()[0], os.fsencode(value))


def _quote(value: bytes) -> bytes:
    return b"'" + value.replace(b"'", b"'\\''") + b"'"


def _lines(lines: t.Iterable[bytes]) -> bytes:
    return b"\n".join(lines)


def _layer(one: _Capture, take: t.Sequence[str]) -> bytes:
    values = {
        "number": b"%d" % one.number,
        "header_sum": str(one.taken["sha256"]).encode(),
        "items_sum": str(one.taken.get("items") or "").encode(),
        "take": b" %b " % b" ".join(_escape(name) for name in take),
    }
    place = _quote(os.fsencode(f"/{one.point['install_id']}/{one.point['point']}"))
    return b"    %d)\n        point=$store%b\n%b        ;;\n" % (
        one.id,
        place,
        b"".join(b"        %b=%b\n" % (name.encode(), _quote(value)) for name, value in values.items()),
    )


def _wanted(spec: Facts) -> dict[str, str]:
    return {canonical(str(one["name"])): str(one.get("version") or "") for one in spec.get("distributions") or []}


def _venv(layers: t.Sequence[_Capture], takes: dict[int, list[str]]) -> dict[str, bytes]:
    absent = [number for number, one in enumerate(layers) if not one.header["existed"]]
    if absent:
        path = layers[0].taken["path"]
        brought = {
            name
            for one in layers
            for spec in one.point["specs"]
            if spec["kind"] == "venv" and os.path.normpath(spec["path"]) == os.path.normpath(path)
            for name in _wanted(spec)
        }
        return {
            "existed": b"",
            "recreated": b"1" if absent[0] else b"",
            "brought": b" ".join(_escape(name) for name in sorted(brought)),
        }
    versions: dict[str, str] = {}
    allowed: dict[str, list[str]] = {}
    dirs: dict[str, int] = {}
    for one in layers:
        there = one.header["distributions"]
        for name, version in _wanted(one.spec).items():
            if name not in versions:
                versions[name] = there.get(name, "")
                if name in there:
                    takes.setdefault(one.id, []).append(name)
            # Without a version the change could leave any.
            allowed.setdefault(name, []).extend((version or "*", *([there[name]] if name in there else [])))
        dirs = {**one.header["dirs"], **dirs}
    targets = [
        b" ".join((_escape(name), _escape(versions[name]) or b"-", *sorted({_spelled(one) for one in allowed[name]})))
        for name in sorted(versions)
    ]
    return {
        "existed": b"1",
        "targets": _lines(targets),
        "dirs": _lines(b"%04o %b" % (mode, _escape(name)) for name, mode in sorted(dirs.items())),
        # An installer that was killed came after the newest capture.
        "since": b"%d" % layers[-1].header["captured_ns"],
    }


def _spelled(version: str) -> bytes:
    return _escape(version.lower().replace("_", "-"))


def _files(layers: t.Sequence[_Capture]) -> dict[str, bytes]:
    chosen: list[tuple[_Capture, int, str]] = []
    for one in layers:
        paths = one.spec.get("paths") or [one.spec["path"]]
        for number, path in enumerate(sorted({os.path.normpath(path) for path in paths})):
            if path in one.point.get("left_alone", ()):
                continue
            # Inside something an older capture holds: that one decides.
            if not any(_inside(path, old) for dummy, dummy2, old in chosen):
                chosen.append((one, number, path))
    work = []
    # Newest first: what an older capture holds inside a newer one's directory comes after it.
    for position, (one, number, path) in reversed(list(enumerate(chosen))):
        later = [old for dummy, dummy2, old in chosen[:position] if _inside(old, path)]
        work.append(b" ".join((b"%d %d" % (one.id, number), *(_escape(name) for name in (path, *later)))))
    return {"captured_paths": _lines(work)}


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _git(layers: t.Sequence[_Capture]) -> dict[str, bytes]:
    captured = layers[0].header
    if not captured["exists"]:
        return {"existed": b"", "recreated": b"", "brought": b""}
    outer = captured["repository"]
    return {
        "existed": b"1",
        "repositories": _lines(_repositories(".", outer)),
        "outer_work": outer["work"].encode(),
        "gitdirs": _lines(map(_escape, outer["gitdirs"])),
        "sections": _lines(map(_escape, outer["sections"])),
    }


def _repositories(name: str, state: Facts) -> t.Iterator[bytes]:
    branch = _escape(state["branch"]) if state["branch"] else b"-"
    yield b" ".join((_escape(name), state["head"].encode(), branch, state["staged"].encode(), state["work"].encode()))
    for inner, below in state["modules"].items():
        yield from _repositories(os.path.normpath(os.path.join(name, inner)), below)


def _announced(state: Facts) -> bool:
    return bool(state["added"]) or any(_announced(inner) for inner in state["modules"].values())


_KINDS: dict[str, t.Callable[[t.Sequence[_Capture]], dict[str, bytes]]] = {"files": _files, "git": _git}
