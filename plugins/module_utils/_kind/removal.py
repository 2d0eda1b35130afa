"""What of one kind of resource goes when SAGE is removed from a host, and what stays."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Facts, Spec, TakenResource


class OthersThing(t.NamedTuple):
    """Something in a part that no installation brought.

    :ivar path: absolute; of a distribution its name and version.
    :ivar description: what it is, for people.
    """

    path: str
    description: str


class Part(t.NamedTuple):
    """Something that an installation brought.

    :ivar path: absolute, or a name where it has no path.
    :ivar description: what it is, for people.
    :ivar stays: why it is not removed, a sentence without its full stop; empty where it is.
    :ivar of_record: it is captured content, and goes only with the record.
    :ivar others: what somebody else has put into it, and would be lost with it.
    :ivar unknown: what of that cannot be known, a sentence; empty where all is.
    """

    path: str
    description: str
    stays: str = ""
    of_record: bool = False
    others: t.Sequence[OthersThing] = ()
    unknown: str = ""


class RecordedCapture(t.NamedTuple):
    """A capture of one resource, as the record tells of it.

    :ivar spec: of the resource, with the paths that it has today.
    :ivar resource: as its C(captured) event has it.
    :ivar in_force: the change before which it was captured was not undone, and altered something.
    :ivar manifest: reads what the capture returned; None when that is gone.
    """

    spec: Spec
    resource: TakenResource
    in_force: bool
    manifest: t.Callable[[], Facts | None]


class Removal(t.Protocol):
    """Tells what goes and what stays of one kind."""

    def __call__(self, root: str, captures: t.Sequence[RecordedCapture] | None) -> list[Part]:
        """Look; nothing is changed.

        :param root: of the installation, absolute.
        :param captures: all of the kind, oldest first; None where the record cannot be read.
        """
