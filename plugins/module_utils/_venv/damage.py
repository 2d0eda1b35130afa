"""Files of distributions that are not as they have to be, in words."""

from __future__ import annotations

import stat
import typing as t

if t.TYPE_CHECKING:
    import os

    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

GONE, EDITED, ODD, MODE = "is gone", "was edited", "is no regular file any more", "has a mode that bars its use"
# What an installation mends; all else could not be compared.
DAMAGE = (GONE, EDITED, ODD, MODE)
# What RECORD says nothing of can be compared with nothing.
UNHASHED, UNLISTED = "has no hash in RECORD", "is not in RECORD any more"
# How programs begin.
_PROGRAMS = (b"#!", b"\x7fE")
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
    if texts in ({UNHASHED}, {UNLISTED}):
        verb = different[0].text
        verb = verb.replace("has ", "have ").replace("is ", "are ") if plural else verb
    elif texts - set(DAMAGE):
        verb = ("cannot be read" if UNHASHED not in texts else "cannot be compared") if plural else different[0].text
    elif texts == {MODE}:
        verb = "have modes that bar their use" if plural else MODE
    elif texts & {ODD, MODE}:
        verb = "differ from RECORD" if plural else ODD
    elif len(texts) > 1:
        verb += " or are gone"
    more = f" and {len(different) - _MANY} more" if len(different) > _MANY else ""
    paths = ", ".join(difference.path for difference in different[:_MANY])
    return f"{len(different)} file{'s' if plural else ''} of {label} {verb}: {paths}{more}"


def is_barred(tree: Tree, path: str, info: os.stat_result) -> bool:
    """Whether a regular file's mode keeps its owner from reading it, or from running it where it is a program.

    :param path: relative to the environment; programs are in C(bin).
    :raises OSError: it cannot be looked into.
    """
    mode = stat.S_IMODE(info.st_mode)
    if not mode & stat.S_IRUSR:
        return True
    return path.startswith("bin/") and not mode & stat.S_IXUSR and tree.read(path)[:2] in _PROGRAMS
