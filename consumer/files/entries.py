"""What every input format comes down to: numbered entries, each the JSON of a comment or the reason why it is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import orjson

from consumer.delivery.records import Failure, Stage


class Entry(NamedTuple):
    """One comment of the input.

    ``number`` is its line, counted from 1 (of a CSV record over several lines the first; of Parquet the row).
    ``value`` is a JSON object in UTF-8, not validated yet.
    """

    number: int
    value: bytes
    failure: Failure | None = None


class Reader(Protocol):
    """An open input."""

    def chunks(self) -> Iterator[list[Entry]]:
        """Entries as they come, a few at a time, in order.

        Raises:
            UnreadableInput: the input as a whole is not what it should be.
            OSError: reading failed.
        """
        ...

    @property
    def share(self) -> float | None:
        """How much was read, 0 to 1, where that is known."""
        ...


def unreadable(number: int, kind: str, message: str) -> Entry:
    """An entry that is no comment; the message says why, and holds nothing of it."""
    return Entry(number, b"", Failure(kind, message, Stage.DECODE))


def too_large(number: int, size: int, limit: int) -> Entry:
    """An entry over the size limit."""
    return unreadable(number, "too_large", f"it has {size} bytes, more than events.max_bytes ({limit})")


def as_json(number: int, event: dict[str, Any], max_bytes: int) -> Entry:
    """An entry out of a table's row. Bytes are taken for UTF-8: tables have texts in binary columns too."""
    try:
        value = orjson.dumps(event, default=_plain)
    except (TypeError, ValueError):  # a text that is no Unicode, a number beyond 64 bits
        return unreadable(number, "invalid_value", "a value of it cannot be written as JSON")
    return Entry(number, value) if len(value) <= max_bytes else too_large(number, len(value), max_bytes)


def _plain(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
