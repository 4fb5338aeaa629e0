"""Opening what is to be labeled: a file, a pipe, or standard input."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from consumer.events.mapping import FieldMapping
from consumer.files.entries import Reader
from consumer.files.formats import Format, JsonLines, PlainText, guess_format
from consumer.files.lines import UnreadableInput
from consumer.files.tables import CommaSeparated, Parquet

STDIN = "-"
_BEGINNING = 64  # bytes looked at to tell the format


@dataclass(frozen=True)
class OpenInput:
    """An input, ready to be read once.

    Attributes:
        name: for messages and event ids, without its folders.
        file: where it is, if it is an ordinary file that can be read again; ``None`` for a pipe.
    """

    name: str
    form: Format
    reader: Reader
    file: IO[bytes]
    path: Path | None

    def digest(self) -> str:
        """SHA-256 of the whole file, read apart from the reader."""
        assert self.path is not None, "a pipe cannot be read twice"
        with self.path.open("rb") as whole:
            return hashlib.file_digest(whole, "sha256").hexdigest()

    def state(self) -> tuple[int, int]:
        """Size and time of the last change: whether somebody writes to it while it is read."""
        status = os.fstat(self.file.fileno())
        return status.st_size, status.st_mtime_ns


def open_input(given: str, wanted: Format | None, max_bytes: int, mapping: FieldMapping) -> OpenInput:
    """Open an input.

    Args:
        given: A path, or ``-`` for standard input.
        wanted: The format; ``None`` finds out.
        max_bytes: Largest comment that is read.
        mapping: Where each field of a comment stands.

    Raises:
        UnreadableInput: it is not there, or not what it should be.
    """
    try:
        file: IO[bytes] = (
            os.fdopen(os.dup(0), "rb", buffering=0) if given == STDIN else Path(given).open("rb", buffering=0)  # noqa: SIM115
        )
    except OSError as error:
        raise UnreadableInput(f"{given} cannot be read: {os.strerror(error.errno or 0)}") from None
    # A name that is not UTF-8 is one all the same, but cannot stand in an event as it is.
    name = "stdin" if given == STDIN else os.fsencode(Path(given).name).decode("utf-8", "replace")
    status = os.fstat(file.fileno())
    regular = stat.S_ISREG(status.st_mode) and given != STDIN
    try:
        beginning = _peek(file, regular=regular)
        if beginning.startswith(b"\x1f\x8b"):
            raise UnreadableInput("it is compressed (gzip): zcat FILE | comment-consumer classify - reads it")
        form = wanted or guess_format(name, beginning)
        if form == "parquet" and not regular:
            raise UnreadableInput("Parquet cannot be read from a pipe: name a file")
        read: Callable[[int], bytes] = file.read if regular else _After(beginning, file.read)
        reader = _reader(form, read, status.st_size if regular else None, Path(given), max_bytes, mapping)
    except UnreadableInput as error:
        raise UnreadableInput(f"{given}: {error}") from None
    except OSError as error:
        raise UnreadableInput(f"{given} cannot be read: {os.strerror(error.errno or 0)}") from None
    return OpenInput(name, form, reader, file, Path(given) if regular else None)


def _peek(file: IO[bytes], *, regular: bool) -> bytes:
    if not regular:
        return file.read(_BEGINNING)  # what comes first, maybe less; waits for it
    beginning = file.read(_BEGINNING)
    file.seek(0)
    return beginning


class _After:
    """A pipe whose beginning was read already."""

    def __init__(self, beginning: bytes, read: Callable[[int], bytes]) -> None:
        self._beginning = beginning
        self._read = read

    def __call__(self, size: int) -> bytes:
        if self._beginning:
            beginning, self._beginning = self._beginning, b""
            return beginning
        return self._read(size)


def _reader(
    form: Format,
    read: Callable[[int], bytes],
    size: int | None,
    path: Path,
    max_bytes: int,
    mapping: FieldMapping,
) -> Reader:
    if form == "parquet":
        return Parquet(path, max_bytes, mapping)
    if form == "csv":
        return CommaSeparated(read, max_bytes, size, mapping)
    if form == "text":
        return PlainText(read, max_bytes, size)
    return JsonLines(read, max_bytes, size)
