"""The backlogs of divided partitions, read by a client of their own: it never joins the group and never commits.

The client is there only while there is a backlog. It is called on the poll thread alone.

* A chunk is begun by assigning its partition anew: nothing stays of what was fetched for the chunk before.
* Its end is reached when a record at or above it comes, or the end of the log: offsets are not dense, so the last
  record received says nothing.
* A chunk whose beginning is no longer in the log is judged as any committed offset is, by ``out_of_range``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.ports import Clock
from consumer.delivery.records import Partition, Record
from consumer.delivery.spans import Division, Span
from consumer.kafka.broker_state import BrokerState
from consumer.kafka.config import backlog_config
from consumer.kafka.errors import Severity, advise, severity_of
from consumer.kafka.positions import LOOKUP_BACKOFF, LOOKUP_TIMEOUT
from consumer.kafka.received import partition_of, record_of
from consumer.kafka.settings import Connection, Membership

log = structlog.get_logger()


@dataclass(slots=True)
class _Reading:
    """One partition's backlog: the chunks to come, the one being read, and what was read to its end."""

    chunks: Iterator[Span]
    left: int  # offsets of the backlog from here on
    chunk: Span | None = None
    position: int = 0
    passed: list[Span] = field(default_factory=list)
    look_at: float | None = None  # when to ask where the log begins: the position is not in it


class Backlog:
    """Reads the backlogs of the partitions that are opened here."""

    def __init__(self, connection: Connection, membership: Membership, clock: Clock) -> None:
        self._connection = connection
        self._membership = membership
        self._clock = clock
        self._consumer: Consumer | None = None
        self._readings: dict[Partition, _Reading] = {}

    def __contains__(self, partition: object) -> bool:
        """Whether a partition has a backlog that was not read and told of to its end."""
        return partition in self._readings

    def __len__(self) -> int:
        return len(self._readings)

    def left(self, partition: Partition) -> int:
        """How many offsets of a partition's backlog were not read yet."""
        reading = self._readings.get(partition)
        if reading is None:
            return 0
        return reading.left - (reading.position - reading.chunk.start if reading.chunk is not None else 0)

    def open(self, partition: Partition, division: Division) -> None:
        """Begin a partition's backlog with its newest chunk."""
        if self._consumer is None:
            config = backlog_config(self._connection, self._membership)
            self._consumer = Consumer({**config, "error_cb": BrokerState("consumer").on_error})
        left = sum(gap.end - gap.start for gap in division.backlog)
        self._readings[partition] = reading = _Reading(division.chunks(), left)
        self._next_chunk(partition, reading)

    def forget(self, partition: Partition) -> None:
        """The partition is owned no longer."""
        reading = self._readings.pop(partition, None)
        if reading is not None and reading.chunk is not None:
            self._unassign(partition)
        self._close_if_done()

    def passed(self) -> Iterator[tuple[Partition, Span]]:
        """The chunks whose records have all been taken, each told once."""
        for partition, reading in tuple(self._readings.items()):
            passed, reading.passed = reading.passed, []
            for chunk in passed:
                yield partition, chunk
            if reading.chunk is None:
                log.info("backlog is read", partition=partition.number)
                del self._readings[partition]
        self._close_if_done()

    def take(self, limit: int) -> list[Record]:
        """At most ``limit`` records that are here already; of each partition they ascend inside a chunk.

        Raises:
            OffsetOutOfRange: records of the backlog were deleted before they were read, and that is not allowed.
            SourceFailed: reading is not possible.
        """
        if self._consumer is None or limit < 1:
            return []
        try:
            messages = self._consumer.consume(limit, 0)
        except BaseException as error:
            raise SourceFailed(
                f"reading the backlog of {self._membership.topic} failed ({type(error).__name__}); restart the process"
            ) from error
        records = []
        ended: set[Partition] = set()
        for message in messages:
            event = message.error()
            if event is not None and event.code() != KafkaError._PARTITION_EOF:
                self._judge(message, event)
                continue
            partition = partition_of(message)
            reading = self._readings.get(partition)
            if reading is None or reading.chunk is None:
                continue
            offset = message.offset()
            assert offset is not None
            if offset >= reading.chunk.end:
                ended.add(partition)  # the next chunk is begun after this loop: what follows here is beyond, too
            elif event is None:
                reading.position = offset + 1
                records.append(record_of(message))
        for partition in ended:
            self._end_chunk(partition, self._readings[partition])
        self._look_where_logs_begin()
        return records

    def close(self) -> None:
        """Stop reading, whatever is left."""
        self._readings.clear()
        self._close_if_done()

    def _end_chunk(self, partition: Partition, reading: _Reading) -> None:
        assert reading.chunk is not None
        reading.passed.append(reading.chunk)
        reading.left -= reading.chunk.end - reading.chunk.start
        self._unassign(partition)
        self._next_chunk(partition, reading)

    def _next_chunk(self, partition: Partition, reading: _Reading) -> None:
        reading.chunk = next(reading.chunks, None)
        if reading.chunk is not None:
            self._read_from(partition, reading, reading.chunk.start)

    def _read_from(self, partition: Partition, reading: _Reading, offset: int) -> None:
        assert self._consumer is not None
        reading.position = offset
        try:
            self._consumer.incremental_assign([TopicPartition(partition.topic, partition.number, offset)])
        except KafkaException as error:
            raise SourceFailed(
                f"the backlog of {partition.topic}/{partition.number} cannot be read from {offset}; restart the process"
            ) from error

    def _unassign(self, partition: Partition) -> None:
        assert self._consumer is not None
        with suppress(KafkaException):
            self._consumer.incremental_unassign([TopicPartition(partition.topic, partition.number)])

    def _judge(self, message: Message, error: KafkaError) -> None:
        severity = severity_of(error)
        if severity is Severity.STOP:
            where = advise(error, topic=self._membership.topic, group=self._membership.group_id)
            raise SourceFailed(f"reading the backlog of {self._membership.topic} is not possible: {where}")
        if severity is Severity.NO_OFFSET:
            reading = self._readings.get(partition_of(message))
            if reading is not None:
                reading.look_at = self._clock()
            return
        log.warning("kafka backlog event", error=error.name(), detail=error.str())

    def _look_where_logs_begin(self) -> None:
        """Go on where a log begins now, if what was deleted may be."""
        for partition, reading in tuple(self._readings.items()):
            if reading.look_at is None or reading.look_at > self._clock() or reading.chunk is None:
                continue
            assert self._consumer is not None
            try:
                where = TopicPartition(partition.topic, partition.number)
                found = self._consumer.get_watermark_offsets(where, timeout=LOOKUP_TIMEOUT)
            except KafkaException:
                found = None
            if found is None:
                reading.look_at = self._clock() + LOOKUP_BACKOFF
                continue
            reading.look_at = None
            self._after_a_gap(partition, reading, *found)

    def _after_a_gap(self, partition: Partition, reading: _Reading, low: int, high: int) -> None:
        assert reading.chunk is not None
        if low <= reading.position:
            raise SourceFailed(
                f"{partition.topic}/{partition.number}: the log ends at {high}, before its backlog does (an unclean "
                "leader election?); restart the process: it goes on from the committed offset"
            )
        if self._membership.out_of_range == "stop":
            raise OffsetOutOfRange(
                f"{partition.topic}/{partition.number}: the backlog is read at {reading.position}, but the log holds "
                f"{low} to {high}. Records between were deleted before they were read. Accept it with "
                "kafka.out_of_range=earliest or latest, or reset the group's offsets."
            )
        log.error("backlog out of range", partition=partition.number, at=reading.position, goes_on_at=low)
        self._unassign(partition)
        while reading.chunk is not None and reading.chunk.end <= low:  # nothing of it is left
            reading.passed.append(reading.chunk)
            reading.left -= reading.chunk.end - reading.chunk.start
            reading.chunk = next(reading.chunks, None)
        if reading.chunk is not None:
            self._read_from(partition, reading, max(low, reading.chunk.start))

    def _close_if_done(self) -> None:
        if self._consumer is None or self._readings:
            return
        client, self._consumer = self._consumer, None
        # It has no timeout of its own, and nothing depends on it.
        threading.Thread(target=client.close, name="kafka-backlog-close", daemon=True).start()
