"""Compressed streams: by the C(zstd) program where there is one, else by gzip."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import subprocess
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command as base_command

ZSTD, GZIP = ".tar.zst", ".tar.gz"
_LEVEL = 2


class Refused(Exception):
    """The archive is damaged, holds what none of ours holds, or its program is missing or failed."""


def best() -> str:
    """The suffix of the best that this host can write: P(ZSTD) where there is the program, else P(GZIP)."""
    return ZSTD if shutil.which("zstd") else GZIP


class _Zstd(subprocess.Popen[bytes]):
    """The program, between what it reads and what it writes.

    :raises Refused: there is none.
    """

    def __init__(self, arguments: list[str], stdin: int, stdout: int) -> None:
        command = ["zstd", "-q", "-c", *arguments]
        settings = base_command.environment(without=("ZSTD_",))
        try:
            super().__init__(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd="/", env=settings)
        except OSError as error:
            raise Refused(f"it needs the program zstd, which cannot be run: {error.strerror}") from error

    def ended(self) -> None:
        """Wait for its end.

        :raises Refused: it failed, and said why.
        """
        message = self.stderr.read().decode(errors="replace").strip() if self.stderr else ""
        if self.wait():
            raise Refused(message or f"zstd ended with {self.returncode}")


@contextlib.contextmanager
def compressor(fd: int, suffix: str) -> t.Iterator[t.IO[bytes]]:
    """A stream whose content goes compressed into the open file.

    :param fd: where; it stays open.
    :param suffix: P(ZSTD) or P(GZIP).
    :raises Refused: the program failed.
    """
    if suffix == GZIP:
        with os.fdopen(os.dup(fd), "wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
            yield t.cast("t.IO[bytes]", packed)
        return
    with _Zstd(["-T0", "-3"], subprocess.PIPE, fd) as child:
        pipe = t.cast("t.IO[bytes]", child.stdin)
        try:
            yield pipe
            pipe.close()
        except BrokenPipeError:
            # It says why itself, below.
            pass
        except BaseException:
            child.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        child.ended()


@contextlib.contextmanager
def decompressor(fd: int, suffix: str, partly: bool) -> t.Iterator[t.IO[bytes]]:
    """The content of the open compressed file, from where it stands.

    :param fd: what to read; it stays open.
    :param suffix: P(ZSTD) or P(GZIP).
    :param partly: it will not be read to its end.
    :raises Refused: the program is missing or failed.
    """
    if suffix == GZIP:
        with os.fdopen(os.dup(fd), "rb") as raw, gzip.GzipFile("", "rb", fileobj=raw) as packed:
            yield t.cast("t.IO[bytes]", packed)
        return
    with _Zstd(["-d"], fd, subprocess.PIPE) as child:
        try:
            yield t.cast("t.IO[bytes]", child.stdout)
        except BaseException:
            child.kill()
            raise
        if partly:
            child.kill()
        else:
            child.ended()
