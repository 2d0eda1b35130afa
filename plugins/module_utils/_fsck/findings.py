"""What a check finds: a name for programs, and a sentence for people."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import FindingReport

# Something is not as it was recorded, or a promise does not hold.
WRONG = "wrong"
# It is so on purpose, or somebody else's, and nothing has to be done.
NOTED = "note"
# A run has left it behind; the next one that comes looks after it.
LEFT = "left"


class Finding(t.NamedTuple):
    """One thing that is not as it has to be.

    :ivar name: what it is, a word of the documentation of M(intellistream.sage.sage_check).
    :ivar severity: V(wrong), V(note) or V(left).
    :ivar text: a sentence, without its full stop, that names the path.
    :ivar mendable: it can be mended without guessing.
    """

    name: str
    severity: str
    text: str
    mendable: bool = False

    def as_dict(self) -> FindingReport:
        """The finding as JSON-able data."""
        return t.cast("FindingReport", self._asdict())


def wrong(name: str, text: str, mendable: bool = False) -> Finding:
    """Something that is wrong."""
    return Finding(name, WRONG, text=text.rstrip("."), mendable=mendable)


def noted(name: str, text: str) -> Finding:
    """Something that is worth a word."""
    return Finding(name, NOTED, text=text.rstrip("."))


def left_behind(name: str, text: str, mendable: bool = False) -> Finding:
    """Something that was left behind."""
    return Finding(name, LEFT, text=text.rstrip("."), mendable=mendable)
