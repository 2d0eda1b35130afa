# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One reading of the role's variables, whoever wrote them: YAML, INI, C(-e name=value), JSON, a survey.

Types, choices and defaults are those of the role's C(meta/argument_specs.yml). What YAML made of a text that looks like
a time or a number is turned back where that is certain, and refused where it is not.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import os
import re
import typing as t

Options = t.Mapping[str, t.Mapping[str, t.Any]]
# Read by the playbooks alone.
OF_PLAYBOOKS = frozenset({"sage_hosts"})
# What the role itself registers for the play: there when the role comes again, and never read as an input.
REGISTERED = "sage_result"
_TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
_FALSE = frozenset({"false", "no", "off", "0", "n", "f"})
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPEZY]?)(?:i?B)?", re.IGNORECASE)
_BATCH = re.compile(r"[1-9]\d*|(?:[1-9]\d?|100)%")
# Between requirements, and not inside of one, such as "numpy>=1,<2" or "isage[full,dev]".
_COMMA = re.compile(r",(?!\s*[<>=!~])(?![^\[\]]*\])")
_DAY = 24 * 60


class Wrong(ValueError):
    """A value is none of what its variable may be; the message goes after the name of the variable."""


def convert(name: str, option: t.Mapping[str, t.Any], given: object) -> t.Any:
    """What a value means, by the type of its variable.

    :param option: the variable's argument spec.
    :param given: as Ansible knows it; None and an empty text are unset, which is the default.
    :returns: of the type of the variable. The default if it is unset; where there is none an empty text, or None.
    :raises Wrong: it is none.
    """
    if given is None or (isinstance(given, str) and not given.strip()):
        if option.get("required"):
            raise Wrong("has to be set")
        default = option.get("default", "" if option["type"] in ("path", "str") else None)
        return None if default is None else _CONVERSIONS[option["type"]](name, default)
    result = _CONVERSIONS[option["type"]](name, given)
    choices = option.get("choices")
    for chosen in result if isinstance(result, list) else [result]:
        if choices and chosen not in choices:
            names = ", ".join(str(choice) for choice in choices if choice != "")
            raise Wrong(f"must be one of {names}, not {_shown(chosen)}")
    return result


def batches(given: object) -> list[str]:
    """How many hosts come at a time, by one reading for plays and for the role: numbers and whole percentages.

    :raises Wrong: it is none.
    """
    sizes = [] if given is None or given == "" else _list("sage_serial", given)
    for size in sizes:
        if not _BATCH.fullmatch(size):
            raise Wrong(
                f'must be numbers of hosts from 1 on, or percentages from 1% to 100%, such as [1, "10%"], not {size}'
            )
    return sizes


def nearest(name: str, names: t.Iterable[str]) -> str:
    """The name that was probably meant; empty where none is near."""
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.85)), "")


def _shown(given: object) -> str:
    """A wrong value in a sentence: one line, and not a long one."""
    text = given if isinstance(given, str) else json.dumps(given, default=str)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _bool(_name: str, given: object) -> bool:
    text = str(given).strip().lower()
    if text not in _TRUE | _FALSE:
        raise Wrong(f"must be true or false, not {_shown(given)}")
    return text in _TRUE


def _bool_or_trusted(_name: str, given: object) -> bool | str:
    text = str(given).strip().lower()
    if text not in _TRUE | _FALSE | {"trusted"}:
        raise Wrong(f"must be true, false or trusted, not {_shown(given)}")
    return text if text == "trusted" else text in _TRUE


def _int(_name: str, given: object) -> int:
    text = str(given).strip()
    if isinstance(given, bool) or not re.fullmatch(r"[+-]?\d+(\.0)?", text):
        raise Wrong(f"must be a whole number, not {_shown(given)}")
    return int(text.partition(".")[0])


def _float(_name: str, given: object) -> float:
    text = str(given).strip()
    if isinstance(given, bool) or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text):
        raise Wrong(f"must be a number, not {_shown(given)}")
    return float(text)


def _bytes(_name: str, given: object) -> int:
    match = _BYTES.fullmatch(str(given).strip())
    if isinstance(given, bool) or match is None:
        raise Wrong(f"must be a number of bytes such as 20G, not {_shown(given)}")
    return int(float(match[1]) * 1024 ** " KMGTPEZY".index(match[2].upper() or " "))


def _str(name: str, given: object) -> str:
    if isinstance(given, str):
        text = given.strip()
        if "\n" in text or "\r" in text:
            raise Wrong(f"must be one line, not {_shown(text)}")
        return text
    if isinstance(given, (dt.datetime, dt.date)):
        return given.isoformat()
    if isinstance(given, bool):
        raise Wrong(f"is {given} for YAML; put it in quotes")
    if not isinstance(given, (int, float)):
        raise Wrong(f"must be text, not {_shown(given)}")
    return _text_of_number(name, given)


def _text_of_number(name: str, number: float) -> str:
    """What a number was that YAML has read: 22:30 is the number 1350 for it, and 20251115_143000 one without the dash.

    :raises Wrong: it may have been several texts.
    """
    if isinstance(number, int):
        if name == "sage_deadline" and 0 <= number < _DAY:
            return f"{number // 60:02d}:{number % 60:02d}"
        if re.fullmatch(r"20\d{12}", str(number)) and name == "sage_rollback_to":
            return f"{str(number)[:8]}_{str(number)[8:]}"
        return str(number)
    if name in ("sage_window", "sage_deadline", "sage_deadman"):
        return str(number)
    raise Wrong(f"is the number {number} for YAML, which may have been written otherwise; put it in quotes")


def _list(name: str, given: object) -> list[str]:
    if isinstance(given, str):
        text = given.strip()
        if text.startswith("["):
            try:
                given = json.loads(text)
            except ValueError:
                given = [part.strip(" '\"") for part in _COMMA.split(text[1:].rstrip("]"))]
        else:
            given = [part for line in text.splitlines() for part in _COMMA.split(line)]
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        given = [given]
    if not isinstance(given, (list, tuple)):
        raise Wrong(f"must be a list, not {_shown(given)}")
    return [_str(name, part) for part in given if part is not None and part != ""]


def _dict(_name: str, given: object) -> dict[str, t.Any]:
    if isinstance(given, str):
        text = given.strip()
        if text.startswith("{"):
            try:
                given = json.loads(text)
            except ValueError:
                given = text
        else:
            pairs = [part.strip().partition("=") for part in text.split(",")]
            given = dict(pair[::2] for pair in pairs) if all(equals for dummy, equals, dummy in pairs) else text
    if not isinstance(given, t.Mapping):
        raise Wrong(f"must be a mapping, not {_shown(given)}")
    return {str(key): found for key, found in given.items()}


def on_controller(path: str) -> str:
    """The absolute path of a place on the controller."""
    return os.path.realpath(os.path.expanduser(path))


_CONVERSIONS: dict[str, t.Callable[[str, object], t.Any]] = {
    "bool": _bool,
    "bytes": _bytes,
    "dict": _dict,
    "float": _float,
    "int": _int,
    "list": _list,
    "path": _str,
    # The one variable that is more than a switch.
    "raw": _bool_or_trusted,
    "str": _str,
}
