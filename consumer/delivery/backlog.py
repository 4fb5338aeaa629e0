"""How far a divided partition's backlog is complete. No I/O.

Each chunk is read in ascending order and has a completed prefix of its own. Offsets are not dense, so what was received
never tells that a chunk is at its end: only its reader can, whose position passed it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Partition
from consumer.delivery.spans import Division, Span, gaps, merged


class Covered(NamedTuple):
    """What is complete of a divided partition: all below ``offset``, and the spans ``above`` it, ascending.

    ``leader_epoch`` is that of the record below ``offset``, or ``None`` where it is not known.
    """

    offset: int
    leader_epoch: int | None
    above: tuple[Span, ...]


class _Chunk:
    """One chunk being read."""

    __slots__ = ("_complete", "_epochs", "_received", "last", "leader_epoch", "passed", "span", "upto")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.upto = span.start  # everything below is complete
        self.leader_epoch: int | None = None  # of the record below `upto`
        self.passed = False
        self.last = span.start - 1
        self._received: deque[tuple[int, int | None, float]] = deque()
        self._complete: set[int] = set()

    @property
    def finished(self) -> bool:
        """Whether it was read to its end and all of it is complete."""
        return self.passed and not self._received

    @property
    def received_at(self) -> float | None:
        """When the oldest record was received that is not complete."""
        return self._received[0][2] if self._received else None

    def receive(self, offset: int, leader_epoch: int | None, received_at: float) -> None:
        self._received.append((offset, leader_epoch, received_at))
        self.last = offset

    def complete(self, offset: int) -> bool:
        assert offset >= self.upto, "completed twice"
        assert offset not in self._complete, "completed twice"
        before = self.upto
        self._complete.add(offset)
        while self._received and self._received[0][0] in self._complete:
            done, self.leader_epoch, _ = self._received.popleft()
            self._complete.remove(done)
            self.upto = done + 1
        return self.upto > before


class BacklogProgress:
    """What of one division is complete."""

    def __init__(self, partition: Partition, division: Division) -> None:
        self._partition = partition
        self._division = division
        self._done = division.done
        self._chunks: list[_Chunk] = []
        self.oldest_ms: int | None = None  # of all records received so far; what was not read yet is older still

    @property
    def received_at(self) -> list[float]:
        """When the records were received that chunks wait for."""
        return [at for chunk in self._chunks if (at := chunk.received_at) is not None]

    @property
    def live(self) -> int:
        """Where live reading began; what is below belongs here."""
        return self._division.live

    @property
    def finished(self) -> bool:
        """Whether all of the backlog is complete."""
        return not self._chunks and not gaps(Span(self._division.begin, self._division.live), self._done)

    def receive(
        self, offset: int, leader_epoch: int | None, received_at: float = 0.0, timestamp_ms: int | None = None
    ) -> None:
        """Register a received offset below :attr:`live`, and when it was received and written.

        Raises:
            SourceFailed: it is not in the backlog, or was read before.
        """
        chunk = self._chunk_at(offset)
        if chunk is None:
            span = self._division.chunk_of(offset)
            if span is None or any(done.start <= offset < done.end for done in self._done):
                raise SourceFailed(f"{self._where}: offset {offset} of the backlog arrived, but it is done already")
            chunk = _Chunk(span)
            self._chunks.append(chunk)
        if offset <= chunk.last or chunk.passed:
            raise SourceFailed(f"{self._where}: offset {offset} of the backlog arrived after {chunk.last}")
        chunk.receive(offset, leader_epoch, received_at)
        if timestamp_ms is not None:
            self.oldest_ms = timestamp_ms if self.oldest_ms is None else min(self.oldest_ms, timestamp_ms)

    def complete(self, offset: int) -> bool:
        """Mark a received offset complete; return whether more is covered now."""
        chunk = self._chunk_at(offset)
        assert chunk is not None, "completed twice, or never received"
        moved = chunk.complete(offset)
        self._fold(chunk)
        return moved

    def passed(self, span: Span) -> None:
        """The reader's position passed the end of this chunk: nothing more of it will come."""
        chunk = self._chunk_at(span.start)
        if chunk is None:  # nothing of it is there any more
            chunk = _Chunk(span)
            self._chunks.append(chunk)
        chunk.passed = True
        self._fold(chunk)

    def covered(self, live_upto: int | None, live_epoch: int | None) -> Covered:
        """What is complete, when live reading is complete up to ``live_upto`` (``None``: nothing of it is)."""
        begin, live = self._division.begin, self._division.live
        parts = [*self._done, *(Span(chunk.span.start, chunk.upto) for chunk in self._chunks)]
        epochs = {chunk.upto: chunk.leader_epoch for chunk in self._chunks}
        if live_upto is not None:
            parts.append(Span(live, live_upto))
            epochs[live_upto] = live_epoch
        lowest, *above = merged([Span(begin - 1, begin), *parts])  # what is below `begin` is complete as well
        return Covered(lowest.end, epochs.get(lowest.end), tuple(above))

    def _fold(self, chunk: _Chunk) -> None:
        if chunk.finished:
            self._chunks.remove(chunk)
            self._done = merged([*self._done, chunk.span])

    def _chunk_at(self, offset: int) -> _Chunk | None:
        return next((c for c in self._chunks if c.span.start <= offset < c.span.end), None)

    @property
    def _where(self) -> str:
        return f"{self._partition.topic}/{self._partition.number}"


class BacklogLimits(NamedTuple):
    """How many records of backlogs one poll may bring: ``share`` even before live ones, ``spare`` more after them."""

    share: int
    spare: int


NO_BACKLOG = BacklogLimits(0, 0)


class BacklogTurns:
    """How backlogs and live reading take turns.

    Live records go first, and no more of a backlog stands in line than keeps the model busy, so that a live record
    never waits behind much of it. A live stream that takes all the room must still not starve a backlog for ever: for
    every ``every`` live records, one of a backlog goes before them.
    """

    def __init__(self, line: int, every: int = 8) -> None:
        self._line = line  # rows that may wait for the model before no more of a backlog is taken
        self._every = every
        self._owed = 0  # live records since a backlog had its share

    def limits(self, waiting: int) -> BacklogLimits:
        """What the next poll may bring while ``waiting`` rows stand in line."""
        return BacklogLimits(self._owed // self._every, max(0, self._line - waiting))

    def took(self, live: int, backlog: int) -> None:
        """A poll brought so many of each."""
        most = self._line * self._every  # what is owed does not pile up while there is nothing to give
        self._owed = min(most, max(0, self._owed + live - backlog * self._every))
