"""A written date as tokens: numbers, words, names of places, signs."""

from __future__ import annotations

import re
import typing as t

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+)|(?P<place>[a-z]{2,}(?:/[a-z][a-z0-9_+-]*)+)|(?P<word>[ap]\.m\b\.?|[a-z]+)|(?P<sign>\S))",
    re.ASCII | re.IGNORECASE,
)


class Unclear(Exception):
    """Why a text is refused.

    :param reason: a part of a sentence.
    :param readings: what could have been meant, each as text that says it without doubt.
    :param hint: a sentence.
    """

    def __init__(self, reason: str, *readings: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.readings = readings
        self.hint = hint


class Token(t.NamedTuple):
    """:ivar kind: V(number), V(word), V(place), V(sign), or nothing at the end.
    :ivar text: in small letters, but for a place.
    :ivar glued: no space is before it.
    """

    kind: str
    text: str
    glued: bool


class Tokens:
    """The tokens of a text, read from the left."""

    def __init__(self, text: str) -> None:
        self.tokens = []
        # What RFC 822 calls a comment ends the date with the zone's name.
        for match in _TOKEN.finditer(re.sub(r"\([A-Za-z ]*\)\s*$", "", text)):
            token = match[0].strip()
            token = {"place": token, "word": token.replace(".", "").lower()}.get(match.lastgroup or "", token)
            self.tokens.append(Token(match.lastgroup or "", token, glued=not match[0][0].isspace()))
        self.position = 0

    def peek(self, ahead: int = 0) -> Token:
        position = self.position + ahead
        return self.tokens[position] if position < len(self.tokens) else Token("", "", glued=False)

    def take(self, count: int = 1) -> list[str]:
        taken = [token.text for token in self.tokens[self.position : self.position + count]]
        self.position += count
        return taken

    def follows(self, *expected: str) -> bool:
        """Whether the next tokens are such, without spaces: V(0) any number, V(a) any word, or the text itself."""
        tokens = [self.peek(ahead) for ahead in range(len(expected))]
        return all(token.glued for token in tokens[1:]) and all(
            token.kind == {"0": "number", "a": "word"}[what] if what in ("0", "a") else token.text == what
            for token, what in zip(tokens, expected)
        )
