"""Evaluate environment markers (PEP 508) without any third-party library and without C(eval)."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._base.versions import version_key

Environment = t.Mapping[str, t.Union[str, t.AbstractSet[str]]]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'[^']*'|\"[^\"]*\")|(?P<op>===|==|~=|!=|<=|>=|<|>)|(?P<paren>[()])|(?P<word>[A-Za-z_.]+))"
)
_VERSIONED = ("python_version", "python_full_version", "implementation_version", "platform_release")


class _Operand(t.NamedTuple):
    """One side of a comparison.

    :ivar content: a text, or all extras that are asked for.
    :ivar variable: the name of the variable it came from; empty for a string.
    """

    content: str | t.AbstractSet[str]
    variable: str


class _MarkerParser:
    """Evaluates a marker while reading it, by recursive descent: C(disjunction) of C(conjunction) of C(comparison)."""

    def __init__(self, marker: str, environment: Environment) -> None:
        self.marker = marker
        self.environment = environment
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        position, end = 0, len(marker.rstrip())
        while position < end:
            match = _TOKEN.match(marker, position)
            if not match:
                raise ValueError(f"cannot read the marker {marker!r}")
            kind = match.lastgroup or ""
            self.tokens.append((kind, match.group(kind)))
            position = match.end()

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def disjunction(self) -> bool:
        result = self.conjunction()
        while self.peek() == ("word", "or"):
            self.take()
            result = self.conjunction() or result
        return result

    def conjunction(self) -> bool:
        result = self.comparison()
        while self.peek() == ("word", "and"):
            self.take()
            result = self.comparison() and result
        return result

    def comparison(self) -> bool:
        if self.peek() == ("paren", "("):
            self.take()
            result = self.disjunction()
            if self.take() != ("paren", ")"):
                raise ValueError(f"unbalanced parentheses in the marker {self.marker!r}")
            return result
        first = self.operand()
        kind, operator = self.take()
        if (kind, operator) == ("word", "not"):
            kind, operator = self.take()
            operator = f"not {operator}"
        if kind != "op" and operator not in ("in", "not in"):
            raise ValueError(f"cannot read the marker {self.marker!r}")
        return _compare(first, operator, self.operand())

    def operand(self) -> _Operand:
        kind, text = self.take()
        if kind == "string":
            return _Operand(text[1:-1], "")
        name = text.replace(".", "_")
        if kind == "word" and name in self.environment:
            return _Operand(self.environment[name], name)
        raise ValueError(f"unknown name {text!r} in the marker {self.marker!r}")


def _compare(first: _Operand, operator: str, second: _Operand) -> bool:
    if operator in ("in", "not in"):
        return (str(first.content) in second.content) == (operator == "in")
    if not isinstance(first.content, str) or not isinstance(second.content, str):
        # "extra" stands for all the extras at once: any of them may match.
        group, extra = (
            (second.content, first.content) if isinstance(first.content, str) else (first.content, second.content)
        )
        return (canonical(str(extra)) in group) == (operator != "!=")
    variable = first.variable or second.variable
    if variable in _VERSIONED:
        try:
            return satisfies(first.content, operator + second.content)
        except ValueError:
            pass  # a kernel release is often no version: then it is text
    return _ordered(first.content, operator, second.content)


def _ordered(first: t.Any, operator: str, second: t.Any) -> bool:
    if operator in ("==", "==="):
        return bool(first == second)
    if operator == "!=":
        return bool(first != second)
    if operator == "<":
        return bool(first < second)
    if operator == "<=":
        return bool(first <= second)
    if operator == ">":
        return bool(first > second)
    if operator == ">=":
        return bool(first >= second)
    raise ValueError(f"the operator {operator} does not apply to text")


def satisfies(version: str, specifiers: str) -> bool:
    """Whether I(version) fulfils comma-separated I(specifiers) such as C(>=3.11,<4).

    :raises ValueError: either cannot be understood.
    """
    for specifier in filter(None, (part.strip() for part in specifiers.split(","))):
        match = re.match(r"(===|==|~=|!=|<=|>=|<|>)\s*(\S+)$", specifier)
        if not match:
            raise ValueError(f"cannot read the version specifier {specifier!r}")
        operator, bound = match.groups()
        if operator == "~=":
            release = bound.split(".")
            fits = satisfies(version, f">={bound}") and satisfies(version, f"=={'.'.join(release[:-1])}.*")
        elif bound.endswith(".*") and operator in ("==", "!="):
            numbers, prefix = version_key(version)[1], tuple(int(part) for part in bound[:-2].split("."))
            numbers += (0,) * (len(prefix) - len(numbers))
            fits = (numbers[: len(prefix)] == prefix) == (operator == "==")
        else:
            fits = _ordered(version_key(version), operator, version_key(bound))
        if not fits:
            return False
    return True


def applies(marker: str, environment: Environment, extras: t.AbstractSet[str] = frozenset()) -> bool:
    """Whether I(marker) holds in I(environment) (an empty marker always does).

    :param environment: the marker variables of an interpreter, see C(_installers/interpreter.Interpreter.markers).
    :param extras: extras that are asked for.
    :raises ValueError: the marker cannot be understood.
    """
    if not marker.strip():
        return True
    variables: dict[str, str | t.AbstractSet[str]] = dict(environment)
    variables.update(extra=extras, extras=extras, dependency_groups=frozenset())
    parser = _MarkerParser(marker, variables)
    result = parser.disjunction()
    if parser.peek()[0] != "end":
        raise ValueError(f"cannot read the marker {marker!r}")
    return result
