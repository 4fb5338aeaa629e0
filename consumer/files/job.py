"""One input labeled from its beginning to its end.

    reader thread ─► chunks (a few) ─► decode ─► batches ─► tokeniser and model threads ─► lines ─► output

Threads meet at queues: the reader's here, the model's in :class:`~consumer.service.model_pipeline.ModelPipeline`.
"""

from __future__ import annotations

import codecs
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Protocol

import orjson

from consumer.delivery.records import Decoded, Failure, Partition, Record
from consumer.files.encoding import Lines
from consumer.files.entries import Entry, Reader
from consumer.files.labeler import Labeler
from consumer.files.outputs import Output

CHUNKS = 8  # read ahead
CLOSED = 4  # batches that wait for the model before reading pauses
SHORT = 0.01  # seconds to wait for one of the two sides
LONG = 0.05


class Decodes(Protocol):
    """What is needed of :class:`consumer.events.decode.Decoder`."""

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]: ...


@dataclass(slots=True)
class Counts:
    """What was written so far."""

    records: int = 0
    labeled: int = 0
    skipped: int = 0
    rejected: int = 0


class Watching(Protocol):
    """Told how it goes, a few times a second."""

    def rejected(self, number: int, failure: Failure) -> None: ...

    def update(self, counts: Counts, share: float | None) -> None:
        """``share`` is how much of the input is done, 0 to 1, where that is known."""


class Stopped(Exception):
    """The run was asked to end before its input did."""


class Ids:
    """Decodes entries; a comment that has no id, where no setting says where ids are, is given its line's number."""

    def __init__(self, decoder: Decodes, input_name: str, *, fill_in: bool) -> None:
        self._decoder = decoder
        self._partition = Partition(input_name, 0)
        self._fill_in = fill_in

    def decode(self, entries: Sequence[Entry]) -> list[Decoded]:
        """One result an entry, in order."""
        good = [entry for entry in entries if entry.failure is None]
        found = iter(self._decode(good))
        return [next(found) if entry.failure is None else entry.failure for entry in entries]

    def _decode(self, entries: Sequence[Entry]) -> list[Decoded]:
        decoded = list(self._decoder.decode([self._record(entry.number, entry.value) for entry in entries]))
        if self._fill_in:
            for place, (entry, result) in enumerate(zip(entries, decoded, strict=True)):
                if isinstance(result, Failure) and result.type in ("missing_field", "invalid_field"):
                    event: dict[str, object] = orjson.loads(entry.value.removeprefix(codecs.BOM_UTF8))
                    if event.get("id") is None:
                        named = orjson.dumps(event | {"id": str(entry.number)})
                        decoded[place] = self._decoder.decode([self._record(entry.number, named)])[0]
        return decoded

    def _record(self, number: int, value: bytes) -> Record:
        return Record(self._partition, number, None, None, value)


class Job:
    """Reads, labels, writes. :meth:`run` is its life."""

    def __init__(
        self,
        *,
        reader: Reader,
        ids: Ids,
        labeler: Labeler,
        lines: Lines,
        output: Output,
        report: Output | None,
        clock: Callable[[], float],
        asked_to_stop: Callable[[], bool],
        watching: Watching,
    ) -> None:
        self._reader = reader
        self._ids = ids
        self._labeler = labeler
        self._lines = lines
        self._output = output
        self._report = report
        self._clock = clock
        self._asked_to_stop = asked_to_stop
        self._watching = watching
        self._chunks: Queue[tuple[list[Entry], float | None] | Exception | None] = Queue(CHUNKS)
        self._marks: deque[tuple[int, float | None]] = deque()  # last entry of a chunk, and how far that was
        self._share: float | None = None
        self._over = threading.Event()
        self.counts = Counts()

    def run(self) -> Counts:
        """Label everything.

        Raises:
            Stopped: it was asked to end.
            UnreadableInput: the input turned out not to be what it should.
            OSError: reading or writing failed.
            ModelBroken: the model fails on everything.
        """
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            self._output.write(self._lines.header)
            self._label()
            self._output.finish()
            if self._report is not None:
                self._report.finish()
        finally:
            self._over.set()
        return self.counts

    def _label(self) -> None:
        labeler = self._labeler
        ended = False
        while not (ended and labeler.empty):
            if self._asked_to_stop():
                raise Stopped
            room = not ended and labeler.waiting < CLOSED
            wait = 0.0 if labeler.busy and labeler.waiting else SHORT if labeler.busy else LONG
            took = False
            while room:
                try:
                    chunk = self._chunks.get_nowait() if took or not wait else self._chunks.get(timeout=wait)
                except Empty:
                    break
                took = True
                if isinstance(chunk, Exception):
                    raise chunk
                ended = chunk is None
                if chunk is not None:
                    self._add(*chunk)
                room = not ended and labeler.waiting < CLOSED
            labeler.feed(self._clock(), ended=ended)
            if labeler.busy:
                self._write(0.0 if took else SHORT)

    def _add(self, entries: list[Entry], share: float | None) -> None:
        if entries:
            self._marks.append((entries[-1].number, share))
        now = self._clock()
        for entry, decoded in zip(entries, self._ids.decode(entries), strict=True):
            self._labeler.add(entry.number, decoded, now)

    def _write(self, timeout: float) -> None:
        rows = self._labeler.finished(timeout)
        if not rows:
            return
        written = self._lines.write(rows)
        self._output.write(written.events)
        if self._report is not None:
            self._report.write(written.rejects)
        counts = self.counts
        counts.records += len(rows)
        counts.labeled += written.labeled
        counts.skipped += written.skipped
        counts.rejected += len(written.rejected)
        for number, failure in written.rejected:
            self._watching.rejected(number, failure)
        while self._marks and self._marks[0][0] <= rows[-1].number:
            self._share = self._marks.popleft()[1]
        self._watching.update(counts, self._share)

    def _read(self) -> None:
        try:
            for chunk in self._reader.chunks():
                self._put((chunk, self._reader.share))
                if self._over.is_set():
                    return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, chunk: tuple[list[Entry], float | None] | Exception | None) -> None:
        while not self._over.is_set():
            try:
                self._chunks.put(chunk, timeout=LONG)
            except Full:
                continue
            return
