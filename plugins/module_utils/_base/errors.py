"""The one exception hierarchy of the collection.

Every error says what happened, what was left as it was, and what to do.
M(_calls.run) turns them into C(fail_json).
"""

from __future__ import annotations

import typing as t


class SageError(Exception):
    """Base of every error this collection raises on purpose.

    :param what: what happened, one sentence.
    :param untouched: what was left as it was.
    :param advice: what the user can do about it.
    :param details: further facts for machines, JSON-able.
    """

    def __init__(self, what: str, *, untouched: str = "", advice: str = "", **details: t.Any) -> None:
        super().__init__(what)
        self.what = what
        self.untouched = untouched
        self.advice = advice
        self.details = details

    def __str__(self) -> str:
        parts = [_sentence(self.what)]
        if self.untouched:
            parts.append(f"Left as it was: {_sentence(self.untouched)}")
        if self.advice:
            parts.append(f"What to do: {_sentence(self.advice)}")
        return " ".join(parts)

    def as_dict(self) -> dict[str, object]:
        """The error as JSON-able data for the module's result."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "untouched": self.untouched,
            "advice": self.advice,
            **self.details,
        }


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) or "\n" in text else f"{text}."


class InputError(SageError):
    """What the user asked for is impossible or contradictory."""


class StateError(SageError):
    """The state on the host cannot be read, or not be trusted."""


class NeedsLibrary(SageError):
    """This Python lacks a library that the system's own Python has.

    :param library: what cannot be imported.
    """

    def __init__(self, library: str) -> None:
        super().__init__(
            f"No Python on this host can import {library}.",
            untouched="everything.",
            advice=f"Install the package with the module {library} for the system's Python.",
        )
        self.library = library


class LedgerBroken(StateError):
    """A line of the ledger does not follow from the one before it.

    :param number: the line's number, counted from 1.
    """

    def __init__(self, what: str, *, number: int, **details: t.Any) -> None:
        super().__init__(what, number=number, **details)
        self.number = number


class UnknownFormat(StateError):
    """What was recorded has a format, or an event, that this version of the collection does not know.

    :param what: what that is, and where; no full stop.
    :param writer: the version of the collection that wrote it, where that is known.
    :param untouched: what was left as it was.
    """

    def __init__(self, what: str, *, writer: str = "", untouched: str = "everything.", **details: t.Any) -> None:
        version = f"version {writer} of intellistream.sage" if writer else "another version of intellistream.sage"
        number, known = details.get("format"), details.get("known")
        if isinstance(number, int) and isinstance(known, int) and number < known:
            advice = "This version is newer, and reads no older formats. Use that one to finish what it began"
        else:
            advice = (
                "Use that version or a newer one: upgrade the collection on this controller (ansible-galaxy collection "
                "install --upgrade intellistream.sage), or run the playbook where it was run last"
            )
        super().__init__(
            f"{what}: {version} wrote it.", untouched=untouched, advice=f"{advice}.", writer=writer, **details
        )


class UnsafePath(StateError):
    """A path leads through a symbolic link, or through a directory of others or that others can write to."""


class ForeignRecord(StateError):
    """The record belongs to another root or machine, or was moved in the middle of something."""


class Busy(StateError):
    """Another process holds the lock."""


class Leased(StateError):
    """Another run is at work on the root, or the same one under another name of the host."""


class InDoubt(StateError):
    """The host waits for the decision about a fleet run, and begins nothing before it has learned it."""


class OutOfOrder(StateError):
    """Something is to be recorded as done that rests on what is not done, or was not verified."""


class NotEnded(StateError):
    """An installation or a rollback is not finished, and nothing can be removed before it is."""


class NotVerified(SageError):
    """What was installed was looked at, and is not as it has to be."""


class WindowOver(SageError):
    """What comes next, and an undo, would not end before the maintenance window does."""


class Fired(StateError):
    """The dead-man's switch has fired: the host takes everything back by itself, and nothing goes on from there."""


class StorageError(StateError):
    """The disk refused a write (full, read-only, broken); the old state was kept."""


class CaptureError(SageError):
    """Something that would be replaced cannot be captured, so nothing was changed."""


class ChangeFailed(SageError):
    """A change that was reported as done did not succeed, as the package manager's own record shows."""


class StoreError(SageError):
    """A captured item is missing or is not what was captured."""


class ConflictError(SageError):
    """Someone changed what an undo would have to overwrite."""


class OthersLost(SageError):
    """What others have put where something is removed would be lost with it."""


class RollbackError(SageError):
    """An undo did not end identical to what was captured."""


class InstallerError(SageError):
    """pip or uv failed, or did something else than the plan."""
