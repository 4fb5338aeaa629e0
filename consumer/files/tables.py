"""CSV and Parquet: rows with named columns. A column is a field by its name, or by its path in the settings."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path as FilePath
from typing import Final

from consumer.events.mapping import FieldMapping
from consumer.events.paths import Path, nested
from consumer.files.entries import Entry, as_json, too_large, unreadable
from consumer.files.lines import Line, Lines, UnreadableInput

ROWS: Final = 1024  # of a Parquet file, read at once
_SHOWN: Final = 20  # column names in a message

Column = tuple[int, tuple[str, ...]]
"""Where a column stands, and where its value goes in the event."""


def choose_columns(there: Sequence[str], mapping: FieldMapping) -> list[Column]:
    """The columns that hold a comment's fields, and what tells comments from other rows.

    Args:
        there: The table's columns in order.
        mapping: The paths of each field; a column is named as its path is spelled.

    Raises:
        UnreadableInput: there is no column for the text or for the kind of rows, or two columns have one name.
    """
    if len(set(there)) < len(there):
        raise UnreadableInput("two columns have the same name: give each its own")
    names = ", ".join(there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
    if not _among(there, mapping.places["text"]):
        wanted = " or ".join(repr(path.spelled) for path in mapping.places["text"])
        raise UnreadableInput(
            f"there is no column {wanted} for the text; there are: {names}. Name it with "
            '--events.fields \'{"text": "COLUMN"}\''
        )
    kinds = mapping.all_places.get("kind.path", ())
    if mapping.kinds is not None and not mapping.kinds.optional and not _among(there, kinds):
        wanted = " or ".join(repr(path.spelled) for path in kinds)
        raise UnreadableInput(
            f"there is no column {wanted}, by which events.mapping tells comments; there are: {names}"
        )
    every = [path for paths in mapping.all_places.values() for path in paths]
    return [(there.index(spelled), steps) for spelled, steps in _among(there, every).items()]


def _among(there: Sequence[str], paths: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """The paths that are columns too, by their names; a table has no headers."""
    return {path.spelled: path.steps for path in paths if path.steps and path.spelled in there}


class _Spoiled(Exception):
    """A CSV record cannot be read to its end; the entry says why."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


class CommaSeparated:
    """CSV with a header (RFC 4180): quoted fields may span lines."""

    def __init__(self, read: Callable[[int], bytes], max_bytes: int, size: int | None, mapping: FieldMapping) -> None:
        self._lines = Lines(read, max_bytes)
        self._max_bytes = max_bytes
        self._size = size
        self._mapping = mapping
        self._text_paths: list[tuple[str, ...]] = []
        self._waiting: deque[Line] = deque()
        self._last = 0  # line that was taken last
        self._began = 0  # first line of the record that is being read
        self._taken = 0  # bytes of that record so far
        self._lines_of_record: list[Line] = []

    @property
    def share(self) -> float | None:
        return self._lines.consumed / self._size if self._size else None

    def chunks(self) -> Iterator[list[Entry]]:
        """See :meth:`~consumer.files.entries.Reader.chunks`."""
        csv.field_size_limit(2 * self._max_bytes + 2)  # a record is bounded below, before one of its fields is
        incoming = self._lines.chunks()
        columns: list[Column] | None = None
        width = 0
        entries: list[Entry] = []
        records = csv.reader(self._decoded(incoming), strict=True)
        while True:
            self._began, self._taken = 0, 0
            self._lines_of_record.clear()
            try:
                record = next(records, None)
            except _Spoiled as spoiled:
                if columns is None:
                    raise UnreadableInput(
                        f"the header cannot be read: {spoiled.entry.failure.message if spoiled.entry.failure else ''}"
                    ) from None
                entries.append(spoiled.entry)
                self._go_back()
                records = csv.reader(self._decoded(incoming), strict=True)
                continue
            except csv.Error:
                if columns is None:
                    raise UnreadableInput("the header is not CSV") from None
                entries.append(unreadable(self._began, "invalid_csv", "it is not CSV: its quotes do not fit together"))
                self._go_back()
                records = csv.reader(self._decoded(incoming), strict=True)
                continue
            if record is None:
                break
            if not record:  # a blank line
                continue
            if columns is None:
                columns = choose_columns(record, self._mapping)
                self._text_paths = list(_among(record, self._mapping.places["text"]).values())
                width = len(record)
                continue
            entries.append(self._entry(record, columns, width))
            if len(entries) >= ROWS or not self._waiting:
                yield entries
                entries = []
        if entries:
            yield entries

    def _go_back(self) -> None:
        """A quote that is never closed takes in the lines after it, up to the limit: they are records of their own."""
        self._waiting.extendleft(reversed(self._lines_of_record[1:]))

    def _entry(self, record: list[str], columns: list[Column], width: int) -> Entry:
        number = self._began
        if len(record) != width:
            return unreadable(number, "invalid_csv", f"it has {len(record)} fields, and the header has {width}")
        values = [(path, record[place]) for place, path in columns if record[place]]
        if all(path not in self._text_paths for path, _ in values):
            values.append((self._text_paths[0], ""))  # an empty text is one; another empty field is none
        return as_json(number, nested(values), self._max_bytes)

    def _decoded(self, incoming: Iterator[list[Line]]) -> Iterator[str]:
        """The lines from here on, for the csv module."""
        while True:
            if not self._waiting:
                chunk = next(incoming, None)
                if chunk is None:
                    return
                self._waiting.extend(chunk)
            line = self._waiting.popleft()
            self._began = self._began or line.number
            self._taken += line.size
            self._lines_of_record.append(line)
            if line.content is None or self._taken > self._max_bytes:
                raise _Spoiled(too_large(self._began, self._taken, self._max_bytes))
            try:
                yield line.content.decode("utf-8") + "\n"
            except UnicodeDecodeError:
                raise _Spoiled(unreadable(self._began, "not_utf8", "it is not UTF-8")) from None


class Parquet:
    """A Parquet file."""

    def __init__(self, path: FilePath, max_bytes: int, mapping: FieldMapping) -> None:
        """Open it.

        Raises:
            UnreadableInput: pyarrow is missing, it is no Parquet file, or it has no column for the text.
        """
        try:
            from pyarrow import ArrowException  # noqa: PLC0415 - an extra, and slow to import
            from pyarrow.parquet import ParquetFile  # noqa: PLC0415
        except ImportError:
            raise UnreadableInput(
                "Parquet needs pyarrow, which is not installed: pip install 'comment-consumer[parquet]'"
            ) from None
        self._broken: tuple[type[Exception], ...] = (ArrowException, OSError)
        try:
            self._file = ParquetFile(path)
        except self._broken as error:
            raise UnreadableInput(f"it is no Parquet file that can be read ({type(error).__name__})") from None
        there = list(self._file.schema_arrow.names)
        columns = choose_columns(there, mapping)
        self._names = [there[place] for place, _ in columns]
        self._targets = [path for _, path in columns]
        self._max_bytes = max_bytes
        self._read = 0

    @property
    def share(self) -> float | None:
        rows: int = self._file.metadata.num_rows
        return self._read / rows if rows else None

    def chunks(self) -> Iterator[list[Entry]]:
        """See :meth:`~consumer.files.entries.Reader.chunks`."""
        batches = self._file.iter_batches(batch_size=ROWS, columns=self._names)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                columns = [batch.column(name).to_pylist() for name in self._names]
            except self._broken as error:
                raise UnreadableInput(f"the file is damaged after row {self._read} ({type(error).__name__})") from None
            except (OverflowError, ValueError) as error:
                if not isinstance(error, UnicodeDecodeError):
                    why = f"a value after row {self._read} is beyond what can be read ({type(error).__name__})"
                    raise UnreadableInput(f"{why}; write the column as text") from None
                raise UnreadableInput(f"a text after row {self._read} is not UTF-8; write the file anew") from None
            entries = []
            for row in zip(*columns, strict=True):
                self._read += 1
                values = [(path, value) for path, value in zip(self._targets, row, strict=True) if value is not None]
                entries.append(as_json(self._read, nested(values), self._max_bytes))
            yield entries
