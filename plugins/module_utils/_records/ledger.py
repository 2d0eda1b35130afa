"""The ledger: the append-only, hash-chained journal of a host.

One call of the engine is one line, so it is recorded whole or not at all. Each line carries the
SHA-256 of itself and of the line before it, so that nothing can be changed, dropped or moved
unnoticed (S. Haber, W. S. Stornetta, "How to Time-Stamp a Digital Document", 1991).

A line is in one of three threads: what installations and rollbacks did, what was captured by hand, and what hooks
captured. Each line carries the byte offset of the newest line of each thread before it, so that reading the current
installation costs the same on the first day and after ten years, and however many points hooks have made meanwhile.

Each line carries the number of the format it is written in, and the version of the collection that wrote it.
docs/formats.md specifies both, and what a version does that finds another number.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import LedgerBroken, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir, write_all

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Event

NAME = "ledger.jsonl"
TORN = "ledger.torn"
GENESIS = "0" * 64
# Of lines and of all events. Each change that another version would misread raises it.
FORMAT = 2
# Of this collection, as in galaxy.yml.
VERSION = "1.0.0"
_BLOCK = 16384
MAIN, HAND, HOOK = "main", "hand", "hook"
THREADS = (MAIN, HAND, HOOK)
# Bytes of a line without its end. The longest that was seen has some hundred thousand; what somebody made longer is
# refused before it is read.
LONGEST = 1 << 24


class LedgerLine(t.NamedTuple):
    """One line of the ledger.

    :ivar seq: its number, from 1.
    :ivar time: when it was written, ISO 8601 with zone.
    :ivar install_id: the change it belongs to.
    :ivar newest: the newest id that a change has had by then.
    :ivar thread: V(main), V(hand) or V(hook).
    :ivar begin: byte offset of the first line of its stretch: lines of one thread and one installation, without others
        in between.
    :ivar earlier: thread → byte offset of its newest line before this one.
    :ivar events: what happened, in order.
    :ivar prev: hash of the line before, or 64 zeros.
    :ivar hash: SHA-256 (hex) of this line's other fields.
    :ivar format: the number of the format.
    :ivar writer: the version of the collection that wrote it.
    """

    seq: int
    time: str
    install_id: str
    newest: str
    thread: str
    begin: int
    earlier: dict[str, int]
    events: list[Event]
    prev: str
    hash: str
    format: int = FORMAT
    writer: str = VERSION
    offset: int = 0


# On disk; where a line is, it need not say.
FIELDS = tuple(name for name in LedgerLine._fields if name != "offset")


# ASCII only, so that a line is a line for every reader, whatever U+2028 means to it.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def _dump(content: t.Any) -> bytes:
    """JSON as the ledger writes it: ASCII, keys sorted, no spaces."""
    return _ENCODER.encode(content).encode("ascii")


def _digest(line: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(line).hexdigest()


def _parse(line: bytes) -> LedgerLine:
    """What one line says; what a later version may have added to it stays on disk.

    :raises ValueError: it is none; the message says why.
    :raises UnknownFormat: it is of another format.
    """
    if len(line) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} bytes")
    try:
        fields = json.loads(line)
        parsed = LedgerLine(**{name: fields[name] for name in FIELDS})
        # The bytes themselves, since JSON can say the same in other bytes.
        bare = line.replace(b'"hash":"%s",' % parsed.hash.encode("ascii"), b"", 1)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise ValueError("cannot be read") from None
    if parsed.hash != _digest(bare):
        raise ValueError("was altered: its hash does not fit its content")
    if parsed.format == FORMAT:
        return parsed
    if fields.get("ignorable"):
        return parsed._replace(events=[])
    raise UnknownFormat(
        f"Line {parsed.seq} of the ledger has format {parsed.format!r}, this version reads {FORMAT}",
        writer=parsed.writer,
        line=parsed.seq,
        format=parsed.format,
        known=FORMAT,
    )


def _broken(number: int, problem: str) -> LedgerBroken:
    """The error to raise when a line does not fit."""
    return LedgerBroken(
        f"Line {number} of the ledger {problem}.",
        number=number,
        untouched="everything.",
        advice="Restore ledger.jsonl from a copy. Or move the checkpoint directory aside to begin a new history; "
        "what is installed stays, but what came before can then not be undone.",
    )


class Ledger:
    """The journal in one state directory. Writers hold the lock; readers need none."""

    def __init__(self, state: PrivateDir) -> None:
        self._state = state
        self._path = os.path.join(state.path, NAME)

    def _read(self, offset: int, end: int | None = None) -> bytes:
        """Bytes of the file; none when there is no file."""
        try:
            fd = self._state.open(NAME, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            size = os.fstat(fd).st_size if end is None else end
            return os.pread(fd, max(size - offset, 0), offset)
        finally:
            os.close(fd)

    def size(self) -> int:
        """Length in bytes up to the last complete line."""
        try:
            info = os.stat(NAME, dir_fd=self._state.fd, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        return self._last_newline(info.st_size)

    def _last_newline(self, end: int) -> int:
        """Offset after the last newline before C(end); 0 when there is none."""
        while end > 0:
            start = max(end - _BLOCK, 0)
            newline = self._read(start, end).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def _number_at(self, offset: int) -> int:
        """The number of the line that begins at a byte, from 1."""
        return sum(1 for dummy in self._split(0, offset)) + 1

    def tail(self) -> LedgerLine | None:
        """The last complete line.

        :raises LedgerBroken: it is not what was written.
        :raises UnknownFormat: it is of another format.
        """
        end = self.size()
        if not end:
            return None
        start = self._last_newline(end - 1)
        return self._parse_all(start, self._split(start, end))[0]

    def since(self, offset: int) -> list[LedgerLine]:
        """All lines from the byte C(offset) on, their chain checked.

        :raises LedgerBroken: with the number of the first line that does not fit.
        :raises UnknownFormat: one is of another format.
        """
        return self._parse_all(offset, self._split(offset, self.size()))

    def line_at(self, offset: int) -> LedgerLine:
        """The line that begins at a byte.

        :raises LedgerBroken: none does, or it is not what was written.
        :raises UnknownFormat: it is of another format.
        """
        content = b""
        while b"\n" not in content and len(content) <= LONGEST:
            start = offset + len(content)
            block = self._read(start, start + _BLOCK)
            if not block:
                raise _broken(self._number_at(offset), "is missing")
            content += block
        return self._parse_all(offset, [content.partition(b"\n")[0]])[0]

    def stretch(self, last: LedgerLine) -> list[LedgerLine]:
        """The lines of a stretch up to C(last), their chain checked.

        :raises LedgerBroken: with the number of the first line that does not fit.
        :raises UnknownFormat: one is of another format.
        """
        lines = self._parse_all(last.begin, self._split(last.begin, last.offset)) if last.begin < last.offset else []
        if lines and lines[-1].hash != last.prev:
            raise _broken(last.seq, "does not follow from the one before it")
        return [*lines, last]

    def _split(self, offset: int, end: int) -> t.Iterator[bytes]:
        """The lines between two bytes; of one that is too long only its beginning, as the last."""
        rest = b""
        while offset < end:
            block = self._read(offset, min(offset + (1 << 20), end))
            if not block:
                return
            offset += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
            if len(rest) > LONGEST:
                yield rest[: LONGEST + 1]
                return

    def _parse_all(self, offset: int, texts: t.Iterable[bytes]) -> list[LedgerLine]:
        """The lines at a byte, each checked against the one before it."""
        lines: list[LedgerLine] = []
        position = offset
        for index, line in enumerate(texts):
            try:
                parsed = _parse(line)
                if index and (parsed.prev != lines[-1].hash or parsed.seq != lines[-1].seq + 1):
                    raise ValueError("does not follow from the one before it")
                if offset == index == 0 and (parsed.prev != GENESIS or parsed.seq != 1):
                    raise ValueError("is not a beginning: lines before it are missing")
            except ValueError as error:
                raise _broken(self._number_at(offset) + index, str(error)) from None
            lines.append(parsed._replace(offset=position))
            position += len(line) + 1
        return lines

    def repair(self, apply: bool = True) -> bool:
        """Cut off a last line that was not written to its end (power loss), keeping it aside.

        Its caller never got an answer, so nobody relies on it.

        :param apply: when false, only look.
        :returns: whether there was something to cut off.
        :raises StorageError: the disk refused.
        """
        try:
            fd = self._state.open(NAME, os.O_RDWR if apply else os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            size = os.fstat(fd).st_size
            if not size or os.pread(fd, 1, size - 1) == b"\n":
                return False
            if apply:
                end = self._last_newline(size)
                self._state.write(TORN, os.pread(fd, min(size - end, LONGEST), end))
                os.ftruncate(fd, end)
                os.fsync(fd)
        except OSError as error:
            raise storage_error(self._path, error) from error
        finally:
            os.close(fd)
        return True

    def append(
        self,
        last: LedgerLine | None,
        install_id: str,
        events: list[Event],
        time: str,
        thread: str = MAIN,
        newest: str = "",
    ) -> LedgerLine:
        """Write one line, durably.

        :param last: the line before, from M(tail); the caller holds the lock.
        :param install_id: the change that it belongs to; a line of another one begins a new stretch.
        :param thread: V(main), V(hand) or V(hook).
        :param newest: the newest id that a change has; empty for C(install_id).
        :raises StorageError: the disk refused; the ledger is as it was.
        """
        try:
            fd = self._state.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except FileNotFoundError as error:  # pragma: no cover - the directory itself went away
            raise storage_error(self._path, error) from error
        size = os.fstat(fd).st_size
        fields: dict[str, t.Any] = {
            "format": FORMAT,
            "writer": VERSION,
            "seq": last.seq + 1 if last else 1,
            "time": time,
            "install_id": install_id,
            "newest": max(newest or install_id, last.newest if last else ""),
            "thread": thread,
            "begin": last.begin if last and (last.thread, last.install_id) == (thread, install_id) else size,
            "earlier": {**last.earlier, last.thread: last.offset} if last else {},
            "events": events,
            "prev": last.hash if last else GENESIS,
        }
        fields["hash"] = _digest(_dump(fields))
        line = _dump(fields) + b"\n"
        try:
            if len(line) > LONGEST:
                raise OSError(errno.EMSGSIZE, f"what is to be recorded has more than {LONGEST} bytes")
            write_all(fd, line)
            if size:
                os.fdatasync(fd)
            else:
                os.fsync(fd)
                os.fsync(self._state.fd)
        except OSError as error:
            _take_back(fd, size)
            raise storage_error(self._path, error) from error
        finally:
            os.close(fd)
        return LedgerLine(**fields, offset=size)


def _take_back(fd: int, size: int) -> None:
    """After a refused write: the half line goes, so that the next reader sees the old state."""
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    except OSError:
        pass  # A half line is cut off by the next writer's repair().
