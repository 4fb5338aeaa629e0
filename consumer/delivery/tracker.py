"""Which received offsets are complete, for each partition and assignment epoch. No I/O.

The committed offset of a partition is the one after the longest completed prefix of *received* offsets. Offsets are
not assumed to be dense: compaction and transaction markers leave gaps, and a gap is nothing to wait for.

A partition that is far behind may be divided (see :mod:`consumer.delivery.spans`): then live reading and a backlog
below it go on side by side, and what is complete above the committed offset is stored with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from consumer.delivery.backlog import BacklogProgress
from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Partition
from consumer.delivery.spans import Division, Span


class Watermark(NamedTuple):
    """The next offset to read once everything below it is done, and the leader epoch it was read under.

    ``above`` is what is done beyond it, while a backlog is caught up with.
    """

    offset: int
    leader_epoch: int | None
    above: tuple[Span, ...] = ()


class Progress(NamedTuple):
    """How far one partition is, in times: of the oldest record that is not complete (``None``: there is none) when it
    was received (the protocol's clock) and written, and when the newest one received was written (ms since the epoch).
    """

    oldest_received_at: float | None = None
    oldest_timestamp_ms: int | None = None
    newest_timestamp_ms: int | None = None


class _Received(NamedTuple):
    offset: int
    leader_epoch: int | None
    received_at: float
    timestamp_ms: int | None


class Assignment:
    """One partition during one assignment epoch. Rows keep a reference to it: it *is* their epoch.

    ``outstanding`` counts rows that were received and neither completed nor dropped. A dropped row stays incomplete
    for ever, so the watermark never passes it. ``watermark`` is that of live reading, which is all there is unless
    there is a backlog; :meth:`position` is what may be committed.
    """

    __slots__ = (
        *("_backlog", "_incomplete", "_newest_ms", "_received"),
        *("epoch", "fenced", "outstanding", "partition", "watermark"),
    )

    def __init__(self, partition: Partition, epoch: int) -> None:
        self.partition = partition
        self.epoch = epoch
        self.fenced = False
        self.outstanding = 0
        self.watermark: Watermark | None = None
        self._received: deque[_Received] = deque()
        self._newest_ms: int | None = None
        self._incomplete: set[int] = set()
        self._backlog: BacklogProgress | None = None

    @property
    def head(self) -> int | None:
        """The oldest received offset that is not complete: what the watermark waits for."""
        return self._received[0].offset if self._received else None

    @property
    def progress(self) -> Progress:
        """How far it is; a dropped row counts as not complete. A backlog is as old as what was seen of it so far."""
        oldest = self._received[0] if self._received else None
        at = [] if oldest is None else [oldest.received_at]
        written = [] if oldest is None or oldest.timestamp_ms is None else [oldest.timestamp_ms]
        if self._backlog is not None:
            at += self._backlog.received_at
            written += [] if self._backlog.oldest_ms is None else [self._backlog.oldest_ms]
        return Progress(min(at, default=None), min(written, default=None), self._newest_ms)

    def receive(
        self, offset: int, leader_epoch: int | None, received_at: float = 0.0, timestamp_ms: int | None = None
    ) -> None:
        """Register a received offset, and when it was received and written.

        Raises:
            SourceFailed: the log went back, so an earlier completed prefix means nothing any more.
        """
        if self._backlog is not None and offset < self._backlog.live:
            self._backlog.receive(offset, leader_epoch, received_at, timestamp_ms)
            self.outstanding += 1
            return
        last = self._received[-1].offset if self._received else self.watermark.offset - 1 if self.watermark else -1
        if offset <= last:
            raise SourceFailed(
                f"{self.partition.topic}/{self.partition.number}: offset {offset} arrived after {last}; the topic was "
                "truncated or made anew. Reset the group's offsets for it, then start again."
            )
        self._received.append(_Received(offset, leader_epoch, received_at, timestamp_ms))
        self._newest_ms = timestamp_ms
        self._incomplete.add(offset)
        self.outstanding += 1

    def complete(self, offset: int) -> bool:
        """Mark an offset complete; return whether the watermark moved. Late news of a fenced epoch changes nothing."""
        if self.fenced:
            return False
        if self._backlog is not None and offset < self._backlog.live:
            self.outstanding -= 1
            return self._backlog.complete(offset)
        self._incomplete.remove(offset)  # KeyError: completed twice, or never received
        self.outstanding -= 1
        moved = False
        while self._received and self._received[0].offset not in self._incomplete:
            done = self._received.popleft()
            self.watermark = Watermark(done.offset + 1, done.leader_epoch)
            moved = True
        return moved

    def drop(self) -> None:
        """Give one row up: it will be read again by whoever owns the partition next."""
        self.outstanding -= 1

    # ---- While there is a backlog --------------------------------------------------------------------------------

    @property
    def divided(self) -> bool:
        """Whether there is a backlog below what is read live."""
        return self._backlog is not None

    def is_backlog(self, offset: int) -> bool:
        """Whether this offset is read as part of a backlog."""
        return self._backlog is not None and offset < self._backlog.live

    def divide(self, division: Division) -> None:
        """Read on in two parts from now on. Nothing was received yet."""
        assert not self._received
        assert self.watermark is None
        self._backlog = BacklogProgress(self.partition, division)

    def passed(self, span: Span) -> None:
        """A chunk of the backlog was read to its end."""
        assert self._backlog is not None
        self._backlog.passed(span)

    def position(self) -> Watermark | None:
        """What may be committed now; ``None``: nothing is complete yet. A backlog that is complete ends here."""
        if self._backlog is None:
            return self.watermark
        live = self.watermark
        covered = self._backlog.covered(live.offset if live else None, live.leader_epoch if live else None)
        position = Watermark(*covered)
        if self._backlog.finished:
            assert not position.above
            self._backlog = None
            self.watermark = position
        return position


class Tracker:
    """The current assignments, and which of their watermarks moved since they were last stored."""

    def __init__(self) -> None:
        self._assignments: dict[Partition, Assignment] = {}
        self._moved: dict[Partition, Assignment] = {}
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._assignments)

    @property
    def partitions(self) -> Sequence[Partition]:
        return tuple(self._assignments)

    def assign(self, partition: Partition) -> None:
        """Begin a new epoch for a partition; an epoch still open for it is fenced."""
        self.fence((partition,))
        self._epoch += 1
        self._assignments[partition] = Assignment(partition, self._epoch)

    def fence(self, partitions: Iterable[Partition]) -> None:
        """End the epochs of these partitions: what is still on its way for them counts for nothing."""
        for partition in partitions:
            assignment = self._assignments.pop(partition, None)
            self._moved.pop(partition, None)
            if assignment is not None:
                assignment.fenced = True

    @property
    def progress(self) -> dict[Partition, Progress]:
        """How far each partition is."""
        return {partition: assignment.progress for partition, assignment in self._assignments.items()}

    def find(self, partition: Partition) -> Assignment | None:
        return self._assignments.get(partition)

    def among(self, partitions: Iterable[Partition]) -> list[Assignment]:
        """The open assignments of these partitions."""
        return [a for p in partitions if (a := self._assignments.get(p)) is not None]

    def complete(self, assignment: Assignment, offset: int) -> None:
        if assignment.complete(offset):
            self._moved[assignment.partition] = assignment

    @property
    def divided(self) -> bool:
        """Whether any partition has a backlog."""
        return any(assignment.divided for assignment in self._assignments.values())

    def divide(self, partition: Partition, division: Division) -> None:
        """A partition just assigned is read in two parts."""
        self._assignments[partition].divide(division)

    def passed(self, partition: Partition, span: Span) -> None:
        """A chunk of a partition's backlog was read to its end."""
        assignment = self._assignments[partition]
        assignment.passed(span)
        self._moved[partition] = assignment

    def moved(self) -> Iterator[tuple[Partition, Watermark]]:
        """The watermarks that moved since the last call."""
        moved, self._moved = self._moved, {}
        for partition, assignment in moved.items():
            position = assignment.position()
            assert position is not None
            yield partition, position
