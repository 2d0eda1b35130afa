"""What a failed step's output says of the fault: the few lines that a person looks for first.

A run prints thousands of lines, and who reads them afterwards often has only the last ones.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# At most so many lines for all failed steps together, and for one of them; at most so many characters each.
ALL_LINES = 60
LINES = 25
WIDTH = 300
# Of the last task results that failed; what failed before them was mostly expected to.
_RESULTS = 2
_LAST = 15

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Molecule draws a frame around what a playbook wrote.
_FRAME = re.compile(r"^ *│ ?")
_PYTEST = re.compile(r"^(FAILED|ERROR) \S+\.py\b|^E  ")
_TASK = re.compile(r"^(TASK|RUNNING HANDLER) \[(.*)\]")
_RESULT = re.compile(r"^(fatal|failed): \[[^\]]+\].*=>")
_TOLD = re.compile(r"^(ERROR|FATAL|CRITICAL|FAILED)\b[: ]")
# Of a task's result, in this order, and how many lines of it.
_FIELDS = {"msg": 6, "stderr": 6, "stdout": 8}


def tell(log: str, lines: int = LINES) -> list[str]:
    """The lines of an output that name the fault, the most telling first.

    :param log: the whole output of a step.
    :param lines: at most so many.
    :returns: them, each at most WIDTH characters; the last ones of the output where nothing in it tells more.
    """
    output = [_FRAME.sub("", _ESCAPE.sub("", line)).rstrip() for line in log.splitlines()]
    found = [*_of_pytest(output), *_of_ansible(output), *_of_python(output)]
    told = [line for line in output if _TOLD.match(line) and not _PYTEST.match(line)]
    # What says that there was a fault helps beside what it was, and is not enough alone.
    found += told[-3:] if found else [*told[:_LAST], *filter(None, output[-_LAST:])]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in dict.fromkeys(found)][:lines]


def share(steps: int) -> int:
    """How many lines each of so many failed steps may have."""
    return max(4, min(LINES, ALL_LINES // max(1, steps)))


def _of_pytest(output: list[str]) -> list[str]:
    """Its summary, a line for each test, then the lines that say what was wrong in them."""
    found = [line for line in output if _PYTEST.match(line)]
    summary = [line for line in found if not line.startswith("E  ")]
    return [*summary[:10], *(line for line in found if line.startswith("E  "))]


def _of_ansible(output: list[str]) -> list[str]:
    """The last results of tasks that failed and were not ignored, with the names of the tasks."""
    results = []
    task = ""
    for number, line in enumerate(output):
        if heading := _TASK.match(line):
            task = heading[2]
        elif _RESULT.match(line):
            block = _indented(output, number + 1)
            end = number + 1 + len(block)
            if end < len(output) and output[end] == "...ignoring":
                continue
            header = line.partition("=>")[0].rstrip(": !")
            results.append([f"{header} ({task})" if task else header, *_of_result(line.partition("=>")[2], block)])
    return [line for result in reversed(results[-_RESULTS:]) for line in result]


def _indented(output: list[str], start: int) -> list[str]:
    """What belongs to the line before: all that is indented, and empty lines between."""
    end = start
    while end < len(output) and (not output[end] or output[end].startswith("    ")):
        end += 1
    return output[start:end]


def _of_result(rest: str, block: list[str]) -> Iterator[str]:
    """The message and the output in a task's result, which is JSON on the same line or YAML on the next ones."""
    fields: dict[str, list[str]] = {}
    try:
        result: Any = json.loads(rest)
    except ValueError:
        name = ""
        for line in block:
            if top := re.match(r"^ {4}(\w+):(?: [|>]\S*$| ?(.*))", line):
                name = top[1]
                fields[name] = [top[2]] if top[2] else []
            elif line.startswith("     ") and name:
                fields[name].append(line.strip())
    else:
        if isinstance(result, dict):
            fields = {name: str(result.get(name, "")).splitlines() for name in _FIELDS}
    for name, limit in _FIELDS.items():
        content = [line for line in fields.get(name, ()) if line.strip() not in ("", "''", '""')]
        yield from (f"  {name}: {line}" for line in content[:limit])


def _of_python(output: list[str]) -> list[str]:
    """How the last traceback ends, and where that was."""
    starts = [number for number, line in enumerate(output) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return []
    ends = [number for number in range(starts[-1] + 1, len(output)) if output[number][:1] not in ("", " ")]
    return [line.strip() for line in output[max(starts[-1], ends[0] - 2) : ends[0] + 5] if line] if ends else []
