# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each variable is read in one way, whoever wrote it."""

from __future__ import annotations

import datetime as dt
import pathlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.intellistream.sage.plugins.plugin_utils import _inputs, _request

TOP = pathlib.Path(__file__).resolve().parents[4]
ROLE = TOP / "roles" / "sage"
SPECS: dict[str, t.Any] = {
    name.rpartition("/")[2]: spec
    for name, spec in yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"].items()
}
# As an installation has them, and those of other entry points.
OPTIONS = {name: option for entry in reversed(SPECS.values()) for name, option in entry["options"].items()}
NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.timezone.utc)


def read(
    entry: str = "main.yml", environment: t.Mapping[str, str] | None = None, **variables: t.Any
) -> _request.Request:
    own, others = _request.options_of(SPECS, entry)
    return _request.read(own, others, variables, variables.__getitem__, environment or {})


def problems(
    entry: str = "main.yml", complete: bool = True, serial: t.Sequence[str] = (), **variables: t.Any
) -> list[str]:
    request = read(entry, **variables)
    return request.problems or _request.check(request.values, entry, _request.Play(complete, list(serial), NOW))


def from_yaml(text: str) -> t.Any:
    return yaml.safe_load(f"value: {text}")["value"]


@pytest.mark.parametrize(
    ("name", "written", "means"),
    [
        ("sage_capture_all", "'false'", False),
        ("sage_capture_all", "'yes'", True),
        ("sage_archive", "'0'", False),
        ("sage_archive", "", True),
        ("sage_archive", "''", True),
        ("sage_share_plan", "'yes'", True),
        ("sage_share_plan", "Trusted", "trusted"),
        ("sage_extras", "a", ["a"]),
        ("sage_extras", "a,b", ["a", "b"]),
        ("sage_extras", "['a', null]", ["a"]),
        ("sage_extras", "\"['a', 'b']\"", ["a", "b"]),
        ("sage_extras", "'[\"a\"]'", ["a"]),
        ("sage_extras", "", []),
        ("sage_extra_packages", "numpy>=1,<2", ["numpy>=1,<2"]),
        ("sage_extra_packages", "isage[full,dev]==1,six", ["isage[full,dev]==1", "six"]),
        ("sage_extra_packages", "|\n  six\n  numpy\n", ["six", "numpy"]),
        ("sage_version", "|\n  0.3.2.4\n", "0.3.2.4"),
        ("sage_version", "", ""),
        ("sage_version", "3", "3"),
        ("sage_root", "''", "~/sage"),
        ("sage_deadline", "22:30", "22:30"),
        ("sage_deadline", "03:30", "03:30"),
        ("sage_deadline", "2026-11-30 22:30:00+08:00", "2026-11-30T22:30:00+08:00"),
        ("sage_deadline", "1796027165", "1796027165"),
        ("sage_window", "90", "90"),
        ("sage_rollback_to", "20251115_143000", "20251115_143000"),
        ("sage_rollback_to", "2003-07-31", "2003-07-31"),
        ("sage_keep_days", "'5'", 5),
        ("sage_keep_bytes", "20G", 20 * 1024**3),
        ("sage_keep_bytes", "5", 5),
        ("sage_fleet_wait", "'1.5'", 1.5),
        ("sage_environment", '\'{"A": "b"}\'', {"A": "b"}),
        ("sage_environment", "A=b,C=d", {"A": "b", "C": "d"}),
        ("sage_serial", "'1,10%'", ["1", "10%"]),
        ("sage_max_fail_percentage", "0", 0.0),
    ],
)
def test_e12_one_reading(name: str, written: str, means: object) -> None:
    request = read(**{name: from_yaml(written)})
    assert request.problems == []
    assert request.values[name] == means
    assert type(request.values[name]) is type(means)


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("sage_install_mode", "fulll", "sage_install_mode must be one of standard, full, dev, not 'fulll'."),
        ("sage_archive", "maybe", "sage_archive must be true or false, not 'maybe'."),
        ("sage_share_plan", "maybe", "sage_share_plan must be true, false or trusted, not 'maybe'."),
        ("sage_keep_days", "many", "sage_keep_days must be a whole number, not 'many'."),
        ("sage_keep_days", "1.5", "sage_keep_days must be a whole number, not '1.5'."),
        ("sage_keep_days", "true", "sage_keep_days must be a whole number, not 'true'."),
        ("sage_keep_bytes", "20 apples", "sage_keep_bytes must be a number of bytes such as 20G, not '20 apples'."),
        ("sage_fleet_wait", "long", "sage_fleet_wait must be a number, not 'long'."),
        ("sage_environment", "[1]", "sage_environment must be a mapping, not '[1]'."),
        ("sage_environment", "x", "sage_environment must be a mapping, not 'x'."),
        ("sage_extras", "{a: b}", 'sage_extras must be a list, not \'{"a": "b"}\'.'),
        ("sage_version", "[1]", "sage_version must be text, not '[1]'."),
        ("sage_version", "|\n  1\n  2\n", "sage_version must be one line, not '1\\n2'."),
        (
            "sage_version",
            "1.10",
            "sage_version is the number 1.1 for YAML, which may have been written otherwise; put it in quotes.",
        ),
        ("sage_install_mode", "no", "sage_install_mode is False for YAML; put it in quotes."),
        (
            "sage_window",
            "soon",
            "sage_window: 'soon' is not a duration; write 45m, 1h 30m, 90s, or a number of seconds.",
        ),
        ("sage_root", "sage", "sage_root must be an absolute path, not sage."),
        (
            "sage_version",
            "newest",
            "sage_version must be a version such as 0.3.2.4, or empty for the newest, not newest.",
        ),
        ("sage_verison", "1", "sage_verison is no variable of this role; did you mean sage_version?"),
    ],
)
def test_e12_what_is_wrong_is_one_line(name: str, written: str, says: str) -> None:
    assert problems(**{name: from_yaml(written)}) == [says]


def test_e12_all_that_is_wrong_is_told_at_once() -> None:
    assert len(problems(sage_archive="x", sage_keep_days="x", sage_verison="1")) == 3


def test_e12_other_names_are_told_and_not_refused() -> None:
    request = read(sage_team="blue", sage_hosts="all", sagebrush=1)
    assert request.problems == []
    assert request.unknown == ["sage_team"]


def test_e25_what_the_role_registered_is_no_input_when_it_comes_again() -> None:
    request = read(sage_result={"status": "installed"})
    assert (request.problems, request.unknown) == ([], [])
    # With -e it would hide what the role registers.
    assert problems(sage_result="mine") == ["sage_result is what the role tells the play, and cannot be set."]


@pytest.mark.parametrize(
    "undoes",
    [{"sage_window": "45m"}, {"sage_deadline": "03:30"}, {"sage_deadman": "10m"}, {"sage_fleet_policy": "atomic"}],
)
def test_s58_what_undoes_by_itself_asks_nobody(undoes: dict[str, t.Any]) -> None:
    (found,) = problems(sage_rollback_policy="ask", **undoes)
    assert found.startswith("sage_rollback_policy=ask waits for an answer, and ")
    assert problems(sage_rollback_policy="ask") == []


def test_e12_what_an_entry_point_has_no_use_for_does_not_keep_it() -> None:
    assert problems("status.yml", sage_install_mode="fulll") == []
    assert read("status.yml", sage_install_mode="fulll").values["sage_install_mode"] == "standard"
    assert problems("status.yml", sage_status_format="xml")


def test_e12_what_cannot_be_computed_is_one_line() -> None:
    own, others = _request.options_of(SPECS, "main.yml")

    def look_up(_name: str) -> object:
        raise ValueError("cannot be computed: 'x' is undefined")

    request = _request.read(own, others, ["sage_version"], look_up, {})
    assert request.problems == ["sage_version cannot be computed: 'x' is undefined."]


@pytest.mark.parametrize(
    ("environment", "name", "means"),
    [
        ({}, "sage_checkpointing", True),
        ({"SAGE_DISABLE_CHECKPOINT": " Yes "}, "sage_checkpointing", False),
        ({}, "sage_checkpoint_dir", ""),
        ({"SAGE_CHECKPOINT_DIR": "/x"}, "sage_checkpoint_dir", "/x"),
        ({"SAGE_REPACKAGE_DIR": "/x"}, "sage_repackage_dir", "/x"),
    ],
)
def test_the_environment_counts_where_nothing_is_set(environment: dict[str, str], name: str, means: object) -> None:
    assert read(environment=environment).values[name] == means
    assert read(environment=environment, **{name: ""}).values[name] == means
    given: t.Any = False if name == "sage_checkpointing" else "/y"
    assert read(environment=environment, **{name: given}).values[name] == given


def test_an_answer_in_advance_is_not_asked_for() -> None:
    assert read(sage_confirm_resume=True).values["sage_confirm_resume"] is True
    for switch in ("1", "on", " Yes "):
        request = read(environment={"SAGE_AUTO_RESUME": switch}, sage_confirm_resume=True)
        assert request.values["sage_confirm_resume"] is False
    assert read(environment={"SAGE_AUTO_RESUME": "no"}, sage_confirm_resume=True).values["sage_confirm_resume"] is True


def test_defaults_of_the_role_are_those_of_its_specs() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert {name: option["default"] for name, option in OPTIONS.items() if "default" in option} == defaults
    request = read(sage_lock_dir="x", **{name: given for name, given in defaults.items() if name != "sage_lock_dir"})
    assert request.problems == []
    assert request.values == {**read().values, "sage_lock_dir": "x"}


@pytest.mark.parametrize(
    ("written", "batches"),
    [
        ("3", ["3"]),
        ("'3'", ["3"]),
        ("10%", ["10%"]),
        ("1,10%", ["1", "10%"]),
        ("[1, '10%']", ["1", "10%"]),
        ("'[1, \"10%\"]'", ["1", "10%"]),
        ("\"[1, '10%', 100%]\"", ["1", "10%", "100%"]),
        ("", []),
        ("''", []),
        ("[]", []),
    ],
)
def test_e11_serial_is_read_alike(written: str, batches: list[str]) -> None:
    assert _inputs.batches(from_yaml(written)) == batches
    assert _inputs.batches(read(sage_serial=from_yaml(written)).values["sage_serial"]) == batches


@pytest.mark.parametrize(
    "written", ["0", "-1", "0%", "101%", "12.5%", "some", "1.5", "true", "[1, x]", "{a: 1}", "1 2"]
)
def test_e11_nonsense_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^(must be|is )"):
        _inputs.batches(from_yaml(written))
    found = problems(sage_serial=from_yaml(written))
    assert len(found) == 1
    assert found[0].startswith("sage_serial ")


def test_e11_a_play_in_other_batches_is_refused() -> None:
    assert problems(sage_serial="1,50%", serial=["1", "50%"]) == []
    assert problems(sage_serial="1", serial=["2"]) == [
        "sage_serial is 1, and the play comes in other batches (2); give it with -e, where the playbook reads it."
    ]
    assert "(all hosts at once)" in problems(sage_serial="1")[0]
    # All or none cuts them itself.
    assert problems(sage_serial="1", sage_fleet_policy="atomic") == []


def test_x2_facts_of_the_role_are_named() -> None:
    assert _request.from_facts(["sage_root", "__sage_answer", "os_family", "message"]) == ["__sage_answer", "sage_root"]


NAMES = "|".join(sorted((name[len("sage_") :] for name in OPTIONS), key=len, reverse=True))
# In a template or a condition, and neither in a text that people read nor the name of a module, a filter or a phase.
READ = re.compile(rf"(?<![\w.'\"])sage_(?:{NAMES})(?!\w)")


def _expressions(path: pathlib.Path) -> t.Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for expression in re.findall(r"(?s)\{\{.*?\}\}|\{%.*?%\}", text):
        yield re.sub(r"'[^']*'", "''", expression)
    if path.suffix == ".yml":
        content = yaml.safe_load(text)
        yield from _conditions(content)


def _conditions(content: object) -> t.Iterator[str]:
    if isinstance(content, list):
        for part in content:
            yield from _conditions(part)
    elif isinstance(content, dict):
        for key, part in content.items():
            if key in ("when", "failed_when", "changed_when", "until", "that"):
                yield re.sub(r"'[^']*'", "''", str(part).strip("[]"))
            yield from _conditions(part)


def test_x2_nothing_else_in_the_role_reads_a_variable() -> None:
    paths = [path for folder in ("tasks", "templates", "vars") for path in (ROLE / folder).rglob("*.*")]
    assert len(paths) > 30
    assert [f"{path.name}: {text}" for path in paths for text in _expressions(path) if READ.search(text)] == []
    assert READ.search("{{ sage_root }}")


def test_x2_what_was_read_has_no_name_of_a_method() -> None:
    assert [name for name in OPTIONS if hasattr({}, name[len("sage_") :])] == []
