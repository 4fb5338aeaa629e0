"""Lines out of a byte stream, as they come, each of bounded length."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

READ: Final = 64 * 1024
"""Bytes asked for at once; a pipe gives what it has."""

_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Line(NamedTuple):
    """A line without its end (``\\n`` or ``\\r\\n``). ``content`` is ``None`` when it is longer than the limit.

    ``size`` is the line's own length in bytes, whether kept or not.
    """

    number: int
    content: bytes | None
    size: int


class UnreadableInput(Exception):
    """The input as a whole cannot be read; the message says why and what to do."""


class Lines:
    """Splits a stream into lines. Memory is bounded by ``max_bytes`` and :data:`READ`, whatever the stream holds.

    Args:
        read: Returns at most so many bytes, as soon as there are any; nothing at the end.
        max_bytes: Longest line that is kept.
    """

    def __init__(self, read: Callable[[int], bytes], max_bytes: int) -> None:
        self._read = read
        self._max_bytes = max_bytes
        self.consumed = 0
        """Bytes read so far."""

    def chunks(self) -> Iterator[list[Line]]:
        """Lines as they come: those that one read completed, together.

        Raises:
            UnreadableInput: the stream is UTF-16.
            OSError: reading failed.
        """
        number = 0
        head: list[bytes] = []  # of the line that has not ended yet, up to the limit
        size = 0  # of that line in whole
        first = self._without_mark()
        while first is not None or (data := self._more()):
            if first is not None:
                data, first = first, None
            *ended, tail = data.split(b"\n")
            found = []
            for piece in ended:
                number += 1
                found.append(self._line(number, head, size, piece))
                head, size = [], 0
            size += len(tail)
            if tail and size <= self._max_bytes + 1:  # one more, which may be the end's \r
                head.append(tail)
            if found:
                yield found
        if size:
            yield [self._line(number + 1, head, size, b"")]

    def _line(self, number: int, head: list[bytes], size: int, piece: bytes) -> Line:
        size += len(piece)
        if size > self._max_bytes + 1:
            return Line(number, None, size)
        content = b"".join((*head, piece)).removesuffix(b"\r")
        return Line(number, content if len(content) <= self._max_bytes else None, len(content))

    def _more(self) -> bytes:
        data = self._read(READ)
        self.consumed += len(data)
        return data

    def _without_mark(self) -> bytes | None:
        """The stream's beginning without a byte order mark; ``None`` if there is nothing at all."""
        data = self._more()
        while 0 < len(data) < len(codecs.BOM_UTF8) and (more := self._more()):
            data += more
        if data.startswith(_WIDE):
            raise UnreadableInput("the input is UTF-16; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)")
        return data.removeprefix(codecs.BOM_UTF8) if data else None
