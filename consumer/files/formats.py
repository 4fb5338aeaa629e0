"""JSON lines and plain text, and which format an input is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from consumer.files.entries import Entry, as_json, too_large, unreadable
from consumer.files.lines import Lines, UnreadableInput

Format: TypeAlias = Literal["jsonl", "csv", "parquet", "text"]

_BY_SUFFIX: Final[Mapping[str, Format]] = MappingProxyType(
    {
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".json": "jsonl",
        ".csv": "csv",
        ".parquet": "parquet",
        ".pq": "parquet",
        ".txt": "text",
    }
)
_PARQUET_MAGIC: Final = b"PAR1"


def guess_format(name: str, beginning: bytes) -> Format:
    """The format by the file's name, else by its first bytes.

    Raises:
        UnreadableInput: neither tells.
    """
    known = _BY_SUFFIX.get(Path(name).suffix.lower())
    if known is not None:
        return known
    if beginning.startswith(_PARQUET_MAGIC):
        return "parquet"
    if not beginning or beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return "jsonl"
    raise UnreadableInput("the input's format cannot be told: give --input-format jsonl, csv, parquet or text")


class JsonLines:
    """One JSON object a line. Blank lines are passed over."""

    def __init__(self, read: Callable[[int], bytes], max_bytes: int, size: int | None) -> None:
        self._lines = Lines(read, max_bytes)
        self._max_bytes = max_bytes
        self._size = size

    @property
    def share(self) -> float | None:
        return self._lines.consumed / self._size if self._size else None

    def chunks(self) -> Iterator[list[Entry]]:
        """See :meth:`~consumer.files.entries.Reader.chunks`."""
        for lines in self._lines.chunks():
            yield [
                too_large(number, size, self._max_bytes) if content is None else Entry(number, content)
                for number, content, size in lines
                if content is None or content.strip()
            ]


class PlainText:
    """One comment a line; its id is the line's number. Whatever the settings map, these are ``id`` and ``text``."""

    def __init__(self, read: Callable[[int], bytes], max_bytes: int, size: int | None) -> None:
        self._lines = Lines(read, max_bytes)
        self._max_bytes = max_bytes
        self._size = size

    @property
    def share(self) -> float | None:
        return self._lines.consumed / self._size if self._size else None

    def chunks(self) -> Iterator[list[Entry]]:
        """See :meth:`~consumer.files.entries.Reader.chunks`."""
        for lines in self._lines.chunks():
            yield [self._entry(*line) for line in lines]

    def _entry(self, number: int, content: bytes | None, size: int) -> Entry:
        if content is None:
            return too_large(number, size, self._max_bytes)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            return unreadable(number, "not_utf8", f"it is not UTF-8, at byte {error.start} of the line")
        return as_json(number, {"id": str(number), "text": text}, self._max_bytes)
