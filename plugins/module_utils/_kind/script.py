"""What a kind of resource writes into C(rollback.sh)."""

from __future__ import annotations

import abc
import os
import re
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Spec

_SPECIAL = re.compile(rb"[\x00-\x20\x7f\\]")


class ScriptCapture(t.NamedTuple):
    """One capture of a resource, as a script needs it.

    :ivar number: of the capture in the script.
    :ivar path: of the resource, as the ledger has it.
    :ivar specs: of all that the same rollback point captured.
    :ivar content: where its content is, relative to the store.
    :ivar observed: what M(Script.observed) returned.
    """

    number: int
    path: str
    spec: Spec
    manifest: Facts
    specs: t.Sequence[Spec]
    content: str = ""
    observed: t.Sequence[t.Any] = ()


class ScriptLines(t.NamedTuple):
    """What a script is told of one resource, and how it goes back with it.

    :ivar variables: set before the functions are called.
    :ivar sources: the parts of the script that this needs, by the names of their files in C(_rollback_shell). The last
        one has the functions C(<its name>_check), C(…_plan), C(…_execute) and C(…_verify).
    """

    variables: dict[str, bytes]
    sources: tuple[str, ...]


class ScriptRefusal(t.NamedTuple):
    """Why a script goes back with nothing at all, where half of it would be worse than none.

    :ivar reason: for people, a sentence.
    """

    reason: str


class Script(abc.ABC):
    """How one kind goes back in C(rollback.sh)."""

    @abc.abstractmethod
    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines | ScriptRefusal | str:
        """What the functions need to know to go back through captures, oldest first; or why they cannot.

        Where that is a text, the script goes back with the other resources.

        They also know C(kind), C(path) and the numbers of the captures, C(layers).
        """

    def observed(self, layer: Layer) -> t.Sequence[t.Any]:
        """What M(lines) needs to know of one capture beside what is recorded of it."""
        return ()


def escape(name: str) -> bytes:
    """A name as P(_content.manifest) writes it, and C(printf %b) reads it."""
    return _SPECIAL.sub(lambda special: b"\\0%03o" % special.group()[0], os.fsencode(name))


def joined(lines: t.Iterable[bytes]) -> bytes:
    """Lines as one value."""
    return b"\n".join(lines)
