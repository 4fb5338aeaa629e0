"""A window of the input topic as the delivery protocol's source, with progress under a group of the run's own.

The group is never joined: all partitions are this process's, from the start to the end, so there is no rebalance.
Offsets are stored and committed by the client within a second, each with the window beside it (see
:mod:`consumer.replay.window`): the first run commits the starts before it reads anything, and whoever goes on later
finds the same window there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.deadline import Deadline
from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.ports import RebalanceListener
from consumer.delivery.records import Partition, Record
from consumer.delivery.spans import Span
from consumer.kafka.errors import Severity, severity_of
from consumer.kafka.settings import Connection
from consumer.replay.bounded import ASK_TIMEOUT, BoundedReader, kafka_trouble, reader_config, whole_topic
from consumer.replay.window import Note

COMMIT_TIMEOUT: Final = 30.0  # seconds for the first commit and for the last one


class OtherRun(Exception):
    """The group's notes are of a run that was begun with something else."""


class WindowSource:
    """Implements :class:`consumer.delivery.ports.Source`. One thread calls everything here.

    Args:
        connection: How to reach the cluster.
        group: The run's own; nobody else's.
        topic: The input topic.
        made_of: Fingerprint of all that decides what the run writes.
    """

    def __init__(self, connection: Connection, group: str, topic: str, made_of: str) -> None:
        config = reader_config(connection, group, topic) | {"enable.auto.commit": True}
        self._committed: dict[int, int] = {}  # offsets that the brokers have confirmed
        self._refused: KafkaError | None = None
        self._consumer = Consumer({**config, "on_commit": self._on_commit})
        self._reader = BoundedReader(self._consumer, topic, group)
        self._group = group
        self._topic = topic
        self._made_of = made_of
        self._spans: dict[int, Span] = {}
        self._positions: dict[int, int] = {}  # the next offset to do, as stored
        self._received: dict[int, int] = {}  # the last offset that was handed over
        self._read: set[int] = set()  # partitions of which everything was handed over
        self._paused = False

    # ---- The window ----------------------------------------------------------------------------------------------

    def recall(self) -> bool:
        """Find the window and the positions of an earlier process of this run; return whether there was one.

        Raises:
            OtherRun: the run was begun with another model, policy, window or target.
            OffsetOutOfRange: records of the window were deleted before they were read.
            KafkaException: the brokers do not answer, or refuse.
        """
        there = whole_topic(self._consumer, self._topic)
        asked = [TopicPartition(self._topic, number) for number in there]
        for found in self._committed_before(asked):
            if found.error is not None:
                raise KafkaException(found.error)
            note = Note.read(found.metadata)
            if found.offset < 0 or note is None:
                continue
            if note.made_of != self._made_of:
                raise OtherRun
            low = there[found.partition].start
            if found.offset < min(low, note.span.end):
                raise OffsetOutOfRange(
                    f"{self._topic}/{found.partition}: the run stopped at {found.offset}, and the log begins at {low} "
                    "now: records of the window were deleted. Begin anew with another --run-id"
                )
            self._spans[found.partition] = note.span
            self._positions[found.partition] = found.offset
        return bool(self._spans)

    def _committed_before(self, asked: list[TopicPartition]) -> list[TopicPartition]:
        try:
            found: list[TopicPartition] = self._consumer.committed(asked, timeout=ASK_TIMEOUT)
        except KafkaException:
            # A missing right looks like a broker that does not answer, but for an event that comes with a poll.
            event = self._consumer.poll(ASK_TIMEOUT)
            reason = event.error() if event is not None else None
            if reason is not None and severity_of(reason) is Severity.STOP:
                raise KafkaException(reason) from None
            raise
        return found

    def capture(self, since_ms: int | None, until_ms: int | None) -> None:
        """Take the window from the topic as it is now, and commit its starts.

        Raises:
            KafkaException: the brokers do not answer, or refuse.
        """
        there = whole_topic(self._consumer, self._topic)
        starts = self._offsets_for(since_ms, there) if since_ms is not None else {}
        ends = self._offsets_for(until_ms, there) if until_ms is not None else {}
        for number, (low, high) in there.items():
            end = min(high, ends.get(number, high))
            start = min(end, max(low, starts.get(number, low)))
            self._spans[number] = Span(start, end)
            self._positions[number] = start
        self._commit_all()

    def _offsets_for(self, timestamp_ms: int, there: Mapping[int, Span]) -> dict[int, int]:
        """The first offset of each partition whose record is that young; its end if there is none."""
        asked = [TopicPartition(self._topic, number, timestamp_ms) for number in there]
        offsets = {}
        for found in self._consumer.offsets_for_times(asked, timeout=ASK_TIMEOUT):
            if found.error is not None:
                raise KafkaException(found.error)
            offsets[found.partition] = found.offset if found.offset >= 0 else there[found.partition].end
        return offsets

    @property
    def total(self) -> int:
        """Offsets in the window."""
        return sum(end - start for start, end in self._spans.values())

    @property
    def done(self) -> int:
        """Offsets of the window that are complete: their outputs are acknowledged."""
        return sum(self._positions[number] - span.start for number, span in self._spans.items())

    @property
    def finished(self) -> bool:
        """Whether every partition is complete to its captured end."""
        return self.done == self.total

    def join(self, listener: RebalanceListener) -> None:
        """Begin to read where the run stands."""
        spans = {number: Span(self._positions[number], span.end) for number, span in self._spans.items()}
        self._reader.begin(spans)
        listener.assigned([Partition(self._topic, number) for number in self._reader.open_partitions])

    # ---- The port ------------------------------------------------------------------------------------------------

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        """See :meth:`consumer.delivery.ports.Source.receive`. After the window's end it returns nothing."""
        if self._reader.done:
            self._consumer.poll(timeout)  # all is paused: this serves commits, and waits as it should
        records = self._reader.read(limit, timeout)
        for record in records:
            self._received[record.partition.number] = record.offset
        for number in self._reader.take_ended():
            self._read.add(number)
            self._settle(number)
        return records

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        """See :meth:`consumer.delivery.ports.Source.store`. The client commits it within a second."""
        self._store(partition.number, offset, leader_epoch)
        self._settle(partition.number)

    def _settle(self, number: int) -> None:
        """Move a partition to its captured end once its last record is done: after that come only gaps."""
        end = self._spans[number].end
        last = self._received.get(number)
        done = last is None or self._positions[number] == last + 1
        if number in self._read and done and self._positions[number] < end:
            self._store(number, end, None)

    def _store(self, number: int, offset: int, leader_epoch: int | None) -> None:
        try:
            self._consumer.store_offsets(offsets=[self._where(number, offset, leader_epoch)])
        except KafkaException as refused:
            raise SourceFailed(f"the offset of {self._topic}/{number} cannot be stored") from refused
        self._positions[number] = offset

    def pause(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.pause`."""
        self._paused = True
        self._consumer.pause(self._open())

    def resume(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.resume`."""
        self._paused = False
        self._consumer.resume(self._open())

    def _open(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in self._reader.open_partitions]

    # ---- Commits -------------------------------------------------------------------------------------------------

    def confirm(self) -> bool:
        """Commit where the run stands and wait for the answer; return whether it was yes in time."""
        try:
            self._commit_all()
        except KafkaException:
            return False
        return True

    def _commit_all(self) -> None:
        """Commit every position, with its note.

        Raises:
            KafkaException: refused, or no answer in time.
        """
        self._committed.clear()
        self._refused = None
        where = [self._where(number, offset) for number, offset in self._positions.items()]
        if not where:
            return
        wanted = dict(self._positions)
        self._consumer.commit(offsets=where, asynchronous=True)
        deadline = Deadline(time.monotonic, COMMIT_TIMEOUT)
        while self._committed != wanted:  # an automatic commit may answer first, for some of them
            if self._refused is not None:
                raise KafkaException(self._refused)
            if deadline.passed:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            self._consumer.poll(0.05)

    def _where(self, number: int, offset: int, leader_epoch: int | None = None) -> TopicPartition:
        note = Note(self._spans[number], self._made_of).written()
        if leader_epoch is None:
            return TopicPartition(self._topic, number, offset, note)
        return TopicPartition(self._topic, number, offset, note, leader_epoch)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        # Runs inside poll(): note only.
        if error is not None:
            if error.code() != KafkaError._NO_OFFSET:
                self._refused = error
            return
        for partition in partitions:
            if partition.error is not None:
                self._refused = partition.error
            elif partition.offset >= 0:
                self._committed[partition.partition] = partition.offset

    def trouble(self, failed: KafkaException) -> str:
        """One line about a question that failed."""
        return kafka_trouble(failed, topic=self._topic, group=self._group)

    def close(self, timeout: float) -> bool:
        """Commit what is stored; return whether that was done within ``timeout`` seconds."""
        closing = threading.Thread(target=self._consumer.close, name="kafka-close", daemon=True)
        closing.start()
        closing.join(timeout)
        return not closing.is_alive()
