"""The record of a host: its ledger, the installation that is current, and the progress file that shows it.

Reading it needs no lock, and costs little of what a session does that may change it.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import LedgerBroken, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._records import identity, progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    Installation,
    current,
    effective,
    fold,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND, HOOK, MAIN, Ledger
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Event

# What C(rollback.sh) leaves for the engine to notice: it cannot write the ledger itself.
BEGUN = "rollback.begun"
DONE = "rollback.done"
# Bytes of such a file that are read.
_OF_MARK = 4096
# Where the script prepares a file, when it was killed right then.
STAGE = "rollback.stage"


class ScriptRun(t.NamedTuple):
    """What C(rollback.sh) did, and the ledger does not know yet.

    :ivar ended: it came to its end, and everything was as captured then, or all that it can do was.
    :ivar time: when it ended, or began last, ISO time.
    :ivar tid: the change that it took back, all before which stays; empty where it does not say.
    :ivar partial: it could not do all, and has named the rest.
    """

    ended: bool
    time: str
    tid: str
    partial: bool

    @property
    def told(self) -> str:
        """What people are told, without a full stop."""
        change = f"the change {self.tid}" if self.tid else "the latest change"
        if not self.ended:
            return f"rollback.sh began to take back {change} at {self.time[:19]}, and has not finished that"
        part = "a part of " if self.partial else ""
        return f"rollback.sh took back {part}{change} at {self.time[:19]}, which is not on record yet"


class Record:
    """What is recorded about one host.

    :param path: of the checkpoint directory, absolute.
    :param root: where SAGE is installed, absolute.
    :param writes: what has to be mended to read it is mended on disk too; needs the lock.
    :ivar where: the checkpoint directory; None when there is none (and nothing is written).
    :ivar installation: the current installation; None before the first.
    :ivar identity: whose record it is where it lies now.
    :ivar moved: it was another root's, or lay elsewhere, when it was written last.
    :ivar interrupted: a rollback began and has not ended, whatever it is about.
    :ivar repaired: what had to be mended to read the state, for the user.
    """

    def __init__(self, where: PrivateDir | None, path: str, root: str, writes: bool = False) -> None:
        self.where = where
        self.path = path
        self.identity = identity.here(root, path)
        self.moved = False
        self.writes = writes
        self.repaired: list[str] = []
        self._ledger = Ledger(where) if where is not None else None
        self._last: LedgerLine | None = None
        self._view = b""
        # Of the current installation, and what rollbacks did since it began.
        self._lines: list[LedgerLine] = []
        self.installation: Installation | None = None
        self.interrupted = False
        self._load()

    def _load(self) -> None:
        """Read the current installation, and mend what a killed run left half written."""
        if self._ledger is None:
            return
        if self._ledger.repair(self.writes):
            self.repaired.append("a last ledger line that was never finished was cut off and kept in ledger.torn")
        self._last = self._ledger.tail()
        if self._last is None:
            if self.where is not None and self.where.read(progress.NAME) is not None:
                raise StateError(
                    f"{self.path} has a progress file but no {LEDGER}: the history is lost.",
                    untouched="everything.",
                    advice="Restore ledger.jsonl from a copy. Or reset with intellistream.sage.sage_checkpoint "
                    "state=absent and install again; what was changed before can then not be undone.",
                )
            return
        self._lines = self._main(self._last)
        self.installation = current(fold(self._lines))
        for line in self._lines:
            for event in line.events:
                self._note(event)
        if self.installation is None:
            for change in [*self.lately(HAND, 8), *self.lately(HOOK, 8)]:
                # A copy is refused; what was moved is told by its points.
                identity.moved(change.identity, self.identity)
            return
        self.moved = identity.moved(self.installation.identity, self.identity)
        if self.moved:
            identity.refuse_half_done(self.installation, self.identity, self.script_was_run)
        self._view = progress.render(self.installation, self.effective())
        self._mend_progress()

    @property
    def empty(self) -> bool:
        """Nothing was ever recorded here."""
        return self._last is None

    def _note(self, event: Event) -> None:
        """Follow whether a rollback is going on."""
        if event["event"] in ("undoing", "undone"):
            self.interrupted = event["event"] == "undoing"

    def _main(self, last: LedgerLine) -> list[LedgerLine]:
        """The lines of the main thread since the installation began that is current at a line, oldest first."""
        lines = self._stretch(last, MAIN)
        while not self._is_beginning(lines) and self._extend(lines):
            pass
        return lines

    def _stretch(self, last: LedgerLine, thread: str) -> list[LedgerLine]:
        """The newest lines of a thread up to a line, as far as nothing else lies in between."""
        if self._ledger is None:
            return []
        if last.thread != thread:
            if thread not in last.earlier:
                return []
            last = self._ledger.line_at(last.earlier[thread])
        return self._ledger.stretch(last)

    def _extend(self, lines: list[LedgerLine]) -> bool:
        """Put the stretch of the same thread that comes before these lines in front of them; whether there is one."""
        offset = lines[0].earlier.get(lines[0].thread) if lines else None
        if offset is None or self._ledger is None:
            return False
        lines[:0] = self._ledger.stretch(self._ledger.line_at(offset))
        return True

    @staticmethod
    def _is_beginning(lines: list[LedgerLine]) -> bool:
        """An installation begins with the first of these lines."""
        return bool(lines) and any(event["event"] == "begun" for event in lines[0].events)

    def effective(self) -> Installation | None:
        """The installation whose result is on the host: the latest that was not undone."""
        current = self.installation
        if current is None or effective([current]) is not None:
            return current
        lines = list(self._lines)
        for dummy in range(2):
            if not self._extend(lines):
                return None
            before = self._before(current, fold(lines))
            if before is not None:
                return before
        # To look once more for each of them would cost the square of the history.
        while self._extend(lines):
            pass
        return self._before(current, fold(lines))

    def _before(self, current: Installation, changes: list[Change]) -> Installation | None:
        """The installation among these that is in force, of those before the current one."""
        return effective([other for other in installations(changes) if other.install_id < current.install_id])

    def history(self) -> list[Change]:
        """All changes, oldest first, the whole chain checked.

        :raises LedgerBroken: with the number of the first line that does not fit.
        """
        return fold(self.lines())

    def recent(self, count: int) -> list[Installation]:
        """The latest installations on disk, oldest first; what is further back is not read."""
        lines = list(self._lines)
        while len(installations(fold(lines))) < count and self._extend(lines):
            pass
        return installations(fold(lines))

    def lately(self, thread: str, count: int) -> list[Change]:
        """The latest changes of a thread outside of installations, that began since the current installation did.

        :param thread: V(hand) or V(hook).
        :param count: of lines that are looked at, so that it costs the same whatever there was before.
        """
        # What rollbacks did to them is in the main thread.
        lines = sorted(self._lately(thread, count) + self._lines)
        return [change for change in fold(lines) if change.origin == thread]

    def acted_lately(self, thread: str) -> bool:
        """Whether anything was recorded in a thread since the current installation began."""
        return bool(self._lately(thread, 1))

    def _lately(self, thread: str, count: int) -> list[LedgerLine]:
        since = self._lines[0].seq if self._is_beginning(self._lines) else 0
        lines = self._stretch(self._last, thread) if self._last is not None else []
        while lines and len(lines) < count and lines[0].seq > since and self._extend(lines):
            pass
        return [line for line in lines[-count:] if line.seq > since]

    @property
    def script_run(self) -> ScriptRun | None:
        """What C(rollback.sh) did that the ledger does not know yet; None where it did nothing.

        Whoever judges, lists or goes on asks here. What is in its marks is for people: nothing depends on it but that
        they are there.
        """
        if self.where is None:
            return None
        began, ended = self._mark_of_script(BEGUN), self._mark_of_script(DONE)
        mark = began if began is not None else ended
        if mark is None:
            return None
        lines = (ended or mark)[1].decode("utf-8", "replace").splitlines()
        fields = dict(line.partition(": ")[::2] for line in lines)
        return ScriptRun(began is None, clock.local(mark[0]), fields.get("tid", ""), fields.get("outcome") == "partial")

    def _mark_of_script(self, name: str) -> tuple[float, bytes] | None:
        """When a mark was written last, in seconds since the epoch, and what is in it."""
        try:
            stream = os.fdopen(self.where.open(name, os.O_RDONLY), "rb") if self.where is not None else None
        except FileNotFoundError:
            return None
        if stream is None:
            return None
        with stream:
            return os.fstat(stream.fileno()).st_mtime, stream.read(_OF_MARK)

    @property
    def script_was_run(self) -> bool:
        """C(rollback.sh) was begun, or has ended, and the ledger does not know yet."""
        return self.script_run is not None

    def lines(self, offset: int = 0) -> list[LedgerLine]:
        """All lines on disk from the byte C(offset) on, their chain checked."""
        return self._ledger.since(offset) if self._ledger is not None else []

    def progress_condition(self) -> str:
        """What the progress file on disk is worth, see M(_records.progress.condition)."""
        if self.where is None or self._ledger is None:
            return "missing"
        # The file first: while others write, the ledger that is read after it is never behind it.
        content = self.where.read(progress.NAME)
        while True:
            condition = self._worth(self._ledger, content)
            content_now = self.where.read(progress.NAME)
            if condition not in ("edited", "ahead") or content_now == content:
                return condition
            # Others went on by more than one installation between the two reads: what was read is old, not edited.
            content = content_now

    def _worth(self, ledger: Ledger, content: bytes | None) -> str:
        """What a progress file is worth, by the lines of its installation, the one before, and the one in force."""
        last = ledger.tail()
        if last is None:
            return "missing"
        lines = self._main(last)
        try:
            for dummy in range(3):
                while self._extend(lines) and not self._is_beginning(lines):
                    pass
                if effective(installations(fold(lines))[:-1]):
                    break
            else:
                while self._extend(lines):
                    pass
        except LedgerBroken:
            pass  # A break further back is for M(history) to tell.
        return progress.condition(content, lines)

    def _mend_progress(self) -> None:
        """Rebuild the progress file from the ledger; one that is not ours is put aside, never lost."""
        if self.where is None or self.where.read(progress.NAME) == self._view:
            return
        condition = self.progress_condition()
        if condition in ("corrupt", "edited", "ahead"):
            aside = f"{progress.NAME}.{condition}"
            if self.writes:
                self.where.write(aside, self.where.read(progress.NAME) or b"")
            if condition == "ahead":
                condition = "ahead of the ledger, which has lost its last lines"
            self.repaired.append(f"the progress file was {condition}: kept as {aside} and rebuilt from the ledger")
        else:
            self.repaired.append(f"the progress file was {condition}: rebuilt from the ledger")
        if self.writes:
            self.where.write(progress.NAME, self._view)
