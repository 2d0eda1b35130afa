"""The record of a host: its ledger, the installation that is current, and the progress file that shows it.

Reading it needs no lock, and costs little of what a session does that may change it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import LedgerBroken, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._records import identity, progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import fold
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import Ledger

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine

# What C(rollback.sh) leaves for the engine to notice: it cannot write the ledger itself.
BEGUN = "rollback.begun"
DONE = "rollback.done"
# Where the script prepares a file, when it was killed right then.
STAGE = "rollback.stage"


class Record:
    """What is recorded about one host.

    :param path: of the checkpoint directory, absolute.
    :param root: where SAGE is installed, absolute.
    :param writes: what has to be mended to read it is mended on disk too; needs the lock.
    :ivar where: the checkpoint directory; None when there is none (and nothing is written).
    :ivar installation: the current installation; None before the first.
    :ivar identity: whose record it is where it lies now.
    :ivar moved: it was another root's, or lay elsewhere, when it was written last.
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
        self.installation: Installation | None = None
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
        self.installation = self._installation_at(self._last.begin)
        self.moved = identity.moved(self.installation.identity, self.identity)
        if self.moved:
            identity.refuse_half_done(self.installation, self.identity, self.script_was_run)
        self._view = progress.render(self.installation)
        self._mend_progress()

    def _installation_at(self, offset: int) -> Installation:
        """The installation whose first line is at a byte."""
        return fold(self.lines(offset))[0]

    def effective(self) -> Installation | None:
        """The installation whose result is on the host: the latest that was not undone."""
        installation = self.installation
        while installation is not None and installation.status in ("rolled_back", "abandoned"):
            before = installation.previous
            installation = self._installation_at(before) if before is not None else None
        return installation

    def history(self) -> list[Installation]:
        """All installations, oldest first, the whole chain checked.

        :raises LedgerBroken: with the number of the first line that does not fit.
        """
        return fold(self.lines())

    def recent(self, count: int) -> list[Installation]:
        """The latest installations on disk, oldest first; what is further back is not read."""
        if self._last is None:
            return []
        begin = self._last.begin
        for dummy in range(count - 1):
            previous = self._installation_at(begin).previous
            if previous is None:
                break
            begin = previous
        return fold(self.lines(begin))

    @property
    def script_was_run(self) -> bool:
        """C(rollback.sh) was begun, or has ended, and the ledger does not know yet."""
        return self.where is not None and any(self.where.read(name) is not None for name in (BEGUN, DONE))

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
            if condition != "edited" or content_now == content:
                return condition
            # Others went on by more than one installation between the two reads: what was read is old, not edited.
            content = content_now

    def _worth(self, ledger: Ledger, content: bytes | None) -> str:
        """What a progress file is worth, against the lines of its installation and of the one before."""
        last = ledger.tail()
        if last is None:
            return "missing"
        lines = ledger.since(last.begin)
        previous = fold(lines)[0].previous
        if previous is not None:
            try:
                lines = ledger.since(previous)
            except LedgerBroken:
                pass  # A break further back is for M(history) to tell.
        return progress.condition(content, lines)

    def _mend_progress(self) -> None:
        """Rebuild the progress file from the ledger; one that is not ours is put aside, never lost."""
        if self.where is None or self.where.read(progress.NAME) == self._view:
            return
        condition = self.progress_condition()
        if condition in ("corrupt", "edited"):
            aside = f"{progress.NAME}.{condition}"
            if self.writes:
                self.where.write(aside, self.where.read(progress.NAME) or b"")
            self.repaired.append(f"the progress file was {condition}: kept as {aside} and rebuilt from the ledger")
        else:
            self.repaired.append(f"the progress file was {condition}: rebuilt from the ledger")
        if self.writes:
            self.where.write(progress.NAME, self._view)
