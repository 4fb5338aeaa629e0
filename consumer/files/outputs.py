"""Where labeled lines go: a file that can be taken up again, or a stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol


class Output(Protocol):
    """Takes bytes in order."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None:
        """All is written: make it last."""

    def close(self) -> None: ...


class Stream:
    """Standard output, or another file that cannot be read back: written at once, so that a reader sees it."""

    def __init__(self, write: Callable[[bytes], int | None]) -> None:
        self._write = write

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(rest) or 0 :]  # type: ignore[arg-type]

    def finish(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """It is somebody else's."""


class TakenUpFile:
    """A file of which an earlier run may have written the beginning.

    What is written is compared with what is there as long as there is something; from the first difference on (the
    line that a crash tore, at the latest the end) it is written anew. So the file ends up as if written in one go,
    whatever was in it.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        self._left = os.fstat(self._file.fileno()).st_size  # bytes of the earlier run that were not compared yet

    def write(self, data: bytes) -> None:
        """Write, or find it written.

        Raises:
            OSError: the disk is full.
        """
        if self._left:
            begin = self._file.tell()
            there = self._file.read(min(len(data), self._left))
            self._left -= len(there)
            same = len(there) if data.startswith(there) else 0
            data = data[same:]
            if data:
                self._left = 0
                self._file.seek(begin + same)
                self._file.truncate()
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Cut off what is not ours, and have the disk keep the rest."""
        self._file.truncate()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
