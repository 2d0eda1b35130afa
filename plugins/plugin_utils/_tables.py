# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of all hosts that the playbooks show, but for the status.

One host writes a table about all of them. What the others say is data of theirs: it may be of any type and say
anything, and neither ends a line, nor leaves the rows of its host, nor keeps the table from being shown.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils._advice import BY_FINDING, UNKNOWN, Advice
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell, mapping, pad, sequence, width, words

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    # Host → what it says.
    Answers = Mapping[str, object]

# Columns of a message; two long paths in it do not hide what it says.
_MESSAGE = 600
# Lines of a list.
_LINES = 20
_ERASED = (
    "[-] without [+]: came since then, and is erased; sage_erase_installed_after=DATE keeps what was there by DATE"
)
_MARKS = {"erase": "[-] ", "install": "[+] ", "restore": "restored: ", "remove": "removed: "}
_KEPT_AS = " (kept as "
_ORIGINS = {"hand": "made by hand", "hook": "captured by a hook", "rollback": "a rollback"}


class HostAnswers(t.NamedTuple):
    """What one host says, by what it was asked; a mapping each, empty where it said nothing that can be read.

    :ivar begun: what the call that looks at its record returned.
    :ivar predicted: what it predicts of a rollback.
    :ivar prepared: what it returned when it was prepared to roll back.
    :ivar rolled_back: what its rollback returned.
    :ivar learned: what it returned when it was told the decision of a fleet run.
    :ivar answer: what the decision log says; this is the controller's.
    :ivar cleaned: what the removal of captures returned.
    :ivar removable: what would be removed with SAGE.
    :ivar removed: what was removed with SAGE.
    :ivar checked: what M(intellistream.sage.sage_check) returned.
    :ivar record: what M(intellistream.sage.sage_checkpoint_info) returned.
    :ivar earlier: the same, before an installation is continued.
    """

    begun: Mapping[str, object]
    predicted: Mapping[str, object]
    prepared: Mapping[str, object]
    rolled_back: Mapping[str, object]
    learned: Mapping[str, object]
    answer: Mapping[str, object]
    cleaned: Mapping[str, object]
    removable: Mapping[str, object]
    removed: Mapping[str, object]
    checked: Mapping[str, object]
    record: Mapping[str, object]
    earlier: Mapping[str, object]

    @classmethod
    def of(cls, variables: Mapping[str, object]) -> HostAnswers:
        """What a host's variables hold of it."""
        names = (
            "__sage_begun",
            "__sage_predicted",
            "__sage_prepared",
            "__sage_rollback_result",
            "__sage_learned",
            "__sage_fleet_answer",
            "__sage_cleaned",
            "__sage_removable",
            "__sage_removal_result",
            "__sage_checked",
            "__sage_record",
            "__sage_earlier",
        )
        return cls(*(mapping(variables.get(name)) for name in names))


class _Table:
    """Lines below the names of hosts."""

    def __init__(self, hosts: Sequence[str], heading: str) -> None:
        self._width = max([len("HOST"), *(width(cell(host)) for host in hosts)])
        self.lines = [f"{'HOST'.ljust(self._width)}  {heading}"]

    def row(self, host: str, text: object) -> None:
        """The line of a host."""
        self.columns(host, [cell(text, _MESSAGE)])

    def columns(self, host: str, cells: Sequence[str]) -> None:
        """The line of a host, of cells that have their widths."""
        self.lines.append("  ".join([pad(cell(host), self._width), *cells]))

    def below(self, text: object, mark: str = "", indent: int = 4) -> None:
        """A line more about the same host."""
        self.lines.append(f"{' ' * (self._width + indent)}{mark}{cell(text, _MESSAGE)}")

    def below_whole(self, text: str) -> None:
        """A line of this controller's own, never cut: a command line that was would be another one."""
        self.lines.append(f"{' ' * (self._width + 4)}{text}")

    def some_below(self, texts: object, mark: str = "") -> None:
        """The first lines of a list."""
        for line in _first(texts):
            self.below(line, mark)

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


def _names(packages: object) -> set[str]:
    """Names of packages, of lines that begin with one."""
    return (
        {line.partition(" ")[0] for line in packages if isinstance(line, str)} if isinstance(packages, list) else set()
    )


def rollback(told: Mapping[str, HostAnswers], target: str, in_doubt: Sequence[str]) -> str:
    """What a rollback would do.

    :param target: what it was asked to go back to.
    :param in_doubt: hosts that wait for a decision, or have to carry one out first.
    """
    table = _Table([*told], f"ROLLBACK to {cell(target)}")
    for host, said in told.items():
        prediction, error = said.predicted, mapping(said.predicted.get("error"))
        conflicts = error.get("conflicts", prediction.get("conflicts"))
        plan = mapping(error.get("plan", prediction.get("plan")))
        if host in in_doubt:
            fleet = mapping(said.begun.get("fleet"))
            run = cell(fleet.get("run"))
            table.row(
                host,
                f"REFUSED: in doubt about fleet run {run}; finish_sage.yml delivers the decision"
                if fleet.get("asks")
                else f"REFUSED: fleet run {run} decided that it rolls back first; finish_sage.yml does that",
            )
        elif error and conflicts:
            table.row(host, "REFUSED: somebody changed what would be overwritten")
        elif "plan" not in prediction:
            refusal = f"REFUSED: {words(prediction['msg'])}" if "msg" in prediction else "did not answer"
            table.row(host, refusal)
        else:
            table.row(host, words(prediction.get("msg")))
        table.some_below(conflicts, "conflict: " if error else "overruled: ")
        for key, mark in _MARKS.items():
            table.some_below(plan.get(key), mark)
        if _names(plan.get("erase")) - _names(plan.get("install")):
            # RPM kept such packages; whoever knows that has to be told.
            table.below(_ERASED)
        table.some_below(prediction.get("kept"), "kept: ")
        table.some_below(prediction.get("inexact"), "not certain: ")
        if error and conflicts:
            table.below("To overrule, with the other side kept aside: -e sage_rollback_force=true")
    return table.text()


def rolled_back(told: Mapping[str, HostAnswers], stopped_because: str, command: Callable[[str, str], str]) -> str:
    """What a rollback did.

    :param stopped_because: why hosts that were not rolled back were not; empty where nothing stopped the others.
    :param command: host, id of a point → the command line that goes back to it.
    """
    table = _Table([*told], "RESULT")
    for host, said in told.items():
        result = said.rolled_back
        if "plan" not in result:
            table.row(host, _not_rolled_back(said, stopped_because))
            continue
        how = "unchanged" if not result.get("undone") else "exact" if result.get("exact") is True else "as captured"
        table.row(host, f"{how}: {words(result.get('msg'))}")
        point = result.get("redo_point")
        if is_id(point):
            table.below_whole(f"Bring it back with: {command(host, str(point))}")
        for line in sequence(result.get("inexact")):
            table.below(line, "not certain: ")
        for line in sequence(result.get("kept")):
            table.below(line, "" if _KEPT_AS in words(line) else "kept: ")
        for line in sequence(mapping(result.get("plan")).get("remove")):
            if _KEPT_AS in words(line):
                table.below(line)
    return table.text()


def _not_rolled_back(said: HostAnswers, stopped_because: str) -> str:
    """Why there is no result of a host."""
    prediction, prepared = said.predicted, said.prepared
    if "msg" in said.rolled_back:
        return f"FAILED: {words(said.rolled_back['msg'])}"
    if "plan" not in prediction and "msg" in prediction:
        return "REFUSED, nothing was changed"
    if "plan" in prediction and not prediction.get("undone"):
        return "nothing to do"
    if "msg" in prepared and "plan" not in prepared:
        return "REFUSED, nothing was changed"
    return "unchanged, since others could not be rolled back" if stopped_because else "did not answer"


def doubt(told: Mapping[str, HostAnswers], check_mode: bool) -> str:
    """What became of hosts that fleet runs left in doubt."""
    table = _Table([*told], "PREDICTION: nothing was changed" if check_mode else "RESULT")
    for host, said in told.items():
        fleet = mapping(said.learned.get("fleet"))
        if "phases" not in said.begun:
            table.row(host, words(said.begun.get("msg")) or "did not answer")
        elif mapping(said.begun.get("fleet")).get("asks") and not fleet:
            table.row(host, f"still in doubt: {words(said.answer.get('msg')) or 'the decision was not delivered'}")
        elif "msg" in said.rolled_back:
            table.row(host, words(said.rolled_back["msg"]))
        elif fleet:
            table.row(host, f"run {words(fleet.get('run'))}: {words(fleet.get('state'))}")
        else:
            table.row(host, "nothing to do")
    return table.text()


def clean(told: Mapping[str, HostAnswers], check_mode: bool) -> str:
    """What was removed and compressed of captures."""
    removed, compressed = ("REMOVE", "COMPRESS") if check_mode else ("REMOVED", "COMPRESSED")
    table = _Table(
        [*told], f"{removed.ljust(7)}  {compressed.ljust(10)}  {'FREED'.ljust(11)}  {'KEPT'.ljust(4)}  OCCUPIES"
    )
    for host, said in told.items():
        result = said.cleaned
        if "pruned" not in result:
            table.row(host, words(result.get("msg")) or "did not answer")
            continue
        pruned, archived = sequence(result.get("pruned")), sequence(result.get("archived"))
        cells = [
            str(len(pruned)).ljust(7),
            str(len(archived)).ljust(10),
            _size(result.get("freed_bytes")).ljust(11),
            cell(result.get("kept"), 12).ljust(4),
            _size(result.get("bytes")),
        ]
        table.columns(host, cells)
        for point in pruned:
            table.below(point, f"{removed.lower()} ", 2)
        for point in archived:
            table.below(point, f"{compressed.lower()} ", 2)
        for line in [*sequence(result.get("protected")), *sequence(result.get("warnings"))]:
            table.below(line, "", 2)
    return table.text()


def removal(told: Mapping[str, HostAnswers], command: Callable[[str, str], str]) -> str:
    """What would be removed with SAGE.

    :param command: host, id of an installation → the command line that rolls back to it instead.
    """
    table = _Table([*told], "REMOVE SAGE")
    for host, said in told.items():
        error = mapping(said.removable.get("error"))
        if sequence(error.get("others")):
            table.row(host, "REFUSED: others have put there what would be lost with it")
            _others(table, error, "of others: ")
            table.below("Save what is still needed. To remove SAGE with all of that: -e sage_remove_others=true")
            _parts(table, mapping(error.get("plan")), ("would remove", "would stay"))
            continue
        if not _removal(table, host, said.removable, ("removes", "stays")):
            continue
        for line in sequence(said.removable.get("unknown")):
            table.below(line, "not known: ")
        alternative = said.removable.get("alternative")
        if is_id(alternative) and said.removable.get("removed"):
            table.below("Instead, a rollback to before the first installation, which can be taken back:")
            table.below_whole(command(host, str(alternative)))
    return table.text()


def removed(told: Mapping[str, HostAnswers], kept: Callable[[str], str]) -> str:
    """What was removed with SAGE.

    :param kept: host → the command line that shows its record; empty where that was not to be kept.
    """
    table = _Table([*told], "RESULT")
    for host, said in told.items():
        if not said.removed and "removed" in said.removable:
            table.row(host, "nothing to remove" if not said.removable.get("removed") else "did not answer")
        elif "msg" in said.removable and "removed" not in said.removable:
            table.row(host, "REFUSED, nothing was changed")
        elif _removal(table, host, said.removed, ("removed", "stays")) and kept(host):
            table.below("Its record is shown by:")
            table.below_whole(kept(host))
    return table.text()


def _removal(table: _Table, host: str, result: Mapping[str, object], marks: tuple[str, str]) -> bool:
    """What goes and what stays on a host; whether it said so."""
    if "removed" not in result:
        refused = f"REFUSED: {words(result['msg'])}" if "msg" in result else "did not answer"
        table.row(host, refused)
        return False
    going = [*map(mapping, sequence(result.get("removed")))]
    sizes = [part.get("bytes") for part in going]
    size = sum(t.cast("int", number) for number in sizes if _is_size(number))
    table.row(host, f"{_file_size(size)} in all" if going else "nothing to remove")
    _others(table, result, f"{marks[0]}, of others: ")
    _parts(table, result, marks)
    return True


def _others(table: _Table, result: Mapping[str, object], mark: str) -> None:
    """What others have put there."""
    things = [mapping(each) for each in sequence(result.get("others"))]
    table.some_below([f"{words(each.get('path'))} ({words(each.get('description'))})" for each in things], mark)


def _parts(table: _Table, result: Mapping[str, object], marks: tuple[str, str]) -> None:
    for part in map(mapping, sequence(result.get("removed"))):
        number = part.get("bytes")
        size_of_part = f", {_file_size(number)}" if _is_size(number) and number else ""
        table.below(f"{words(part.get('path'))} ({words(part.get('description'))}{size_of_part})", f"{marks[0]}: ")
    for part in map(mapping, sequence(result.get("stays"))):
        reason = f"{words(part.get('path'))} ({words(part.get('description'))}): {words(part.get('reason'))}"
        table.below(reason, f"{marks[1]}: ")


def check(answers: Mapping[str, HostAnswers], check_mode: bool, command: Callable[[str, str, bool], str]) -> str:
    """What is wrong on hosts, what that means, and what to do.

    :param check_mode: what was mended is only predicted.
    :param command: host, name of a playbook, and whether it mends → the command line.
    """
    table = _Table([*answers], "CHECKED")
    mended = "would be mended: " if check_mode else "mended: "
    wrong = 0
    for host, answer in answers.items():
        result = answer.checked
        findings = [mapping(each) for each in sequence(result.get("findings"))]
        if "findings" not in result:
            table.row(host, words(result.get("msg")) or "did not answer")
        elif findings or sequence(result.get("repaired")):
            table.row(host, words(result.get("msg")))
        else:
            table.row(host, f"{words(result.get('msg'))}{_looked_at(result)}")
        wrong += result.get("intact") is not True
        table.some_below(result.get("repaired"), mended)
        for advice, group in _by_advice(findings):
            lines = [f"{cell(each.get('severity'), 10)}: {cell(each.get('text'), _MESSAGE)}" for each in group]
            table.some_below(lines)
            table.below(advice.text, "-> ")
            if advice.playbook:
                table.below_whole(f"   {command(host, advice.playbook, advice.mends)}")
    count = len(answers)
    table.lines.append(f"{count} host{'' if count == 1 else 's'}: {count - wrong} intact, {wrong} not")
    return table.text()


def _by_advice(findings: Sequence[Mapping[str, object]]) -> list[tuple[Advice, list[Mapping[str, object]]]]:
    """Findings with one advice together, in the order of the first."""
    groups: dict[Advice, list[Mapping[str, object]]] = {}
    for finding in findings:
        advice = BY_FINDING.get(words(finding.get("name")), UNKNOWN)
        groups.setdefault(advice, []).append(finding)
    return list(groups.items())


def _looked_at(result: Mapping[str, object]) -> str:
    checked = mapping(result.get("checked"))
    if result.get("exists") is not True:
        return ""
    lines, points, files = (cell(checked.get(name), 12) for name in ("lines", "points", "files"))
    size = _file_size(checked.get("bytes"))
    return f" (lines of the ledger: {lines}; rollback points: {points}; captured files: {files}, {size})"


def unfinished(told: Mapping[str, HostAnswers]) -> str:
    """What is asked about before unfinished installations are continued, with the answers there are."""
    lines = ["An unfinished installation was found."]
    for host, said in told.items():
        progress, verdict = mapping(said.earlier.get("progress")), mapping(said.earlier.get("resume"))
        completed = ", ".join(cell(phase, 40) for phase in sequence(progress.get("completed_phases"))) or "none"
        reasons = sequence(verdict.get("reasons"))
        reason = cell(mapping(reasons[0]).get("reason") if reasons else "", _MESSAGE)
        lines += [
            f"  {cell(host)}",
            f"    Install id:    {cell(progress.get('install_id'))}",
            f"    Current phase: {cell(progress.get('current_phase'))}",
            f"    Completed:     {cell(completed)}",
            f"    Continues at:  {cell(verdict.get('phase'))}, because {reason}",
        ]
    return "\n".join([*lines, "[Y] continue   [r] restart from the first phase   [b] roll back and exit   [n] exit"])


def changes(told: Mapping[str, HostAnswers]) -> str:
    """All changes that hosts remember, with their rollback points."""
    lines = ["", "CHANGES, newest first, with their rollback points; each id can be the target of a rollback"]
    for host, said in told.items():
        record = said.record
        lines += ["", cell(host)]
        broken = words(mapping(record.get("ledger")).get("message"))
        if "transactions" not in record:
            lines.append(f"  {cell(words(record.get('msg')) or 'did not answer', _MESSAGE)}")
        elif broken:
            lines.append(f"  {cell(broken, _MESSAGE)}")
        elif not record["transactions"]:
            lines.append("  nothing has been installed")
        script = words(mapping(record.get("script")).get("told"))
        if script:
            lines.append(f"  {cell(script, _MESSAGE)}; rollback_sage puts it on record")
        for change in map(mapping, sequence(record.get("transactions"))):
            lines += _change(change)
    return "\n".join(lines) + "\n"


def _change(change: Mapping[str, object]) -> list[str]:
    origin = words(change.get("origin"))
    made = _ORIGINS.get(origin) or cell(change.get("status"))
    lines = [f"  {_moment(change)}  {cell(change.get('tid'))}  {made}"]
    packages = sequence(change.get("packages"))
    if origin == "installation" and not change.get("changed"):
        lines.append("    changed nothing")
    else:
        if origin == "installation":
            packages = packages or ["no package was changed"]
        lines += [f"    {line}" for line in _first(packages)]
    for point in map(mapping, sequence(change.get("rollback_points"))):
        described = cell(point.get("description") or point.get("phase") or "made by hand")
        files = cell(point.get("files"), 20)
        size = _file_size(point.get("bytes"))
        ends = "".join(f", {end}" for end in ("undone", "pruned", "damaged") if point.get(end))
        lines.append(
            f"    {_moment(point)}  {cell(point.get('id'))}  {described} "
            f"({files} file{'' if files == '1' else 's'}, {size}){ends}"
        )
    return lines


def is_id(text: object) -> bool:
    """Whether this can be the id of a change or a point: what people paste into a shell holds no text of a host's."""
    return isinstance(text, str) and 0 < len(text) <= 100 and text.isascii() and text.translate(_OF_IDS) == ""


_OF_IDS = dict.fromkeys(map(ord, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"))


def _first(texts: object) -> list[str]:
    """The first lines of a list, as cells, and how many more there are."""
    lines = sequence(texts)
    more = [f"... and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return [*(cell(line, _MESSAGE) for line in lines[:_LINES]), *more]


def _moment(data: Mapping[str, object]) -> str:
    return cell(words(data.get("time"))[:19].replace("T", " "))


def _size(number: object) -> str:
    from ansible.module_utils.common.text.formatters import bytes_to_human

    return str(bytes_to_human(number)) if _is_size(number) else cell(number, 20)


def _file_size(number: object) -> str:
    from jinja2.filters import do_filesizeformat

    return str(do_filesizeformat(t.cast("int", number))) if _is_size(number) else cell(number, 20)


def _is_size(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 80
