"""Files of distributions that are not as they have to be, in words."""

from __future__ import annotations

import typing as t

GONE, EDITED, ODD = "is gone", "was edited", "is no regular file any more"
# What an installation mends; all else could not be compared.
DAMAGE = (GONE, EDITED, ODD)
# Paths that a sentence names.
_MANY = 3


class FileDifference(t.NamedTuple):
    """A file that is not as RECORD says.

    :ivar path: relative to the environment.
    :ivar text: what is different, for people.
    """

    path: str
    text: str


def sentence(label: str, different: t.Sequence[FileDifference]) -> str:
    """What differs of one distribution, without a full stop; the first paths are named.

    :param label: its name and version.
    """
    texts = {difference.text for difference in different}
    plural = len(different) > 1
    verb = ("are gone" if plural else GONE) if texts == {GONE} else ("were edited" if plural else EDITED)
    if texts - set(DAMAGE):
        verb = "cannot be read" if plural else different[0].text
    elif ODD in texts:
        verb = "differ from RECORD" if plural else ODD
    elif len(texts) > 1:
        verb += " or are gone"
    more = f" and {len(different) - _MANY} more" if len(different) > _MANY else ""
    paths = ", ".join(difference.path for difference in different[:_MANY])
    return f"{len(different)} file{'s' if plural else ''} of {label} {verb}: {paths}{more}"
