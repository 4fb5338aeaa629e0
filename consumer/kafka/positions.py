"""Where to read a partition that has no valid position. Asked rarely; it waits for the brokers, but not long.

``auto.offset.reset=error`` makes the client report both cases instead of deciding by itself: the group has no offset
there yet, or its offset is no longer in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.ports import Clock
from consumer.delivery.records import Partition
from consumer.delivery.spans import Division
from consumer.kafka.divisions import Divider
from consumer.kafka.errors import Severity, advise, find_kafka_error, severity_of
from consumer.kafka.grants import Grantee
from consumer.kafka.settings import Membership

LOOKUP_TIMEOUT = 3.0  # seconds for one question to the brokers
LOOKUP_BACKOFF = 1.0  # seconds until it is asked again

log = structlog.get_logger()


class Found(NamedTuple):
    """Where to read a partition.

    ``begins`` says that the group begins there: that offset is to be committed. ``division``: it is read in two parts.
    """

    partition: Partition
    offset: int
    begins: bool = True
    division: Division | None = None


class Positions:
    """Finds positions for one consumer, by the settings of its membership."""

    def __init__(
        self,
        consumer: Consumer,
        membership: Membership,
        clock: Clock,
        divider: Divider | None = None,
        grantee: Grantee = Grantee(),  # noqa: B008
    ) -> None:
        self._consumer = consumer
        self._divider = divider
        self._membership = membership
        self._clock = clock
        self._grantee = grantee
        self._wanted: dict[Partition, float] = {}  # partitions without a position, and when to ask for one
        self._begun: dict[Partition, int] = {}  # where owned partitions were begun; that may not be committed yet
        self._new: set[Partition] = set()  # wanted ones of which nothing was read yet

    def look_for(self, partition: Partition, *, new: bool = False) -> None:
        """Find a position for this partition, or stop: never silently. A ``new`` one may be divided."""
        self._wanted[partition] = self._clock()
        if new:
            self._new.add(partition)

    def forget(self, partition: Partition) -> None:
        """The partition is owned no longer."""
        self._wanted.pop(partition, None)
        self._begun.pop(partition, None)
        self._new.discard(partition)

    def found(self) -> Iterator[Found]:
        """Yield the positions that are known now. While the brokers do not answer, ask again later.

        Raises:
            OffsetOutOfRange: there was a position and it is gone from the log, and the settings do not allow that.
            SourceFailed: the brokers refuse to tell.
        """
        for partition, due in tuple(self._wanted.items()):
            if due > self._clock():
                continue
            try:
                found = self._find(partition)
            except KafkaException as failed:
                self._wanted[partition] = self._clock() + LOOKUP_BACKOFF
                self._raise_if_final(partition, failed)
                return  # each unanswered question takes its time, and there may be many partitions: one a call
            del self._wanted[partition]
            self._new.discard(partition)
            self._begun[partition] = found.offset
            yield found

    def _raise_if_final(self, partition: Partition, failed: KafkaException) -> None:
        error = find_kafka_error(failed)
        if error is not None and severity_of(error) is not Severity.STOP:
            log.warning("no start position yet", error=error.name(), partition=partition.number)
            return
        group = self._membership.group_id
        reason = "" if error is None else advise(error, topic=partition.topic, group=group, to=self._grantee)
        raise SourceFailed(f"no start position for {partition.topic}/{partition.number}: {reason}") from failed

    def _find(self, partition: Partition) -> Found:
        where = TopicPartition(partition.topic, partition.number)
        (committed,) = self._consumer.committed([where], timeout=LOOKUP_TIMEOUT)
        if committed.error is not None:
            raise KafkaException(committed.error)  # its offset means nothing then, not "there is none"
        low, high = self._log_range(where)
        had = committed.offset if committed.offset >= 0 else self._begun.get(partition)
        if had is not None:
            offset = self._after_a_gap(partition, had, low, high)
        else:
            offset = self._start(where, low, high)
            log.info("group has no offset", partition=partition.number, begins_at=offset)
        if self._divider is None or partition not in self._new:
            return Found(partition, offset)
        begins = offset != committed.offset
        division = self._divider.divide(partition, offset, None if begins else committed.metadata, high)
        return Found(partition, offset, begins, division)

    def _after_a_gap(self, partition: Partition, had: int, low: int, high: int) -> int:
        if low <= had <= high:
            (position,) = self._consumer.position([TopicPartition(partition.topic, partition.number)])
            if position.offset < 0 or partition in self._new:
                return had  # nothing was read yet: its last owner's commit came in a moment ago
            raise SourceFailed(
                f"{partition.topic}/{partition.number}: the log ends at {high}, before what was read already: the "
                "topic was made anew, or cut by an unclean leader election. Start again: a topic made anew is told "
                "then as such, and one that was cut is read from the committed offset"
            )
        allowed = self._membership.out_of_range
        if allowed == "stop":
            raise OffsetOutOfRange(
                f"{partition.topic}/{partition.number}: offset {had} is committed, but the log holds {low} to {high}. "
                "Records between were deleted before they were read (or the topic was made anew). Accept it with "
                "kafka.out_of_range=earliest or latest, or reset the group's offsets."
            )
        target = low if allowed == "earliest" else high
        log.error("offset out of range", partition=partition.number, committed=had, goes_on_at=target)
        return target

    def _start(self, where: TopicPartition, low: int, high: int) -> int:
        """The first offset to read for a group without offsets."""
        start = self._membership.start
        if start.kind == "earliest":
            return low
        if start.kind == "latest":
            return high
        asked = TopicPartition(where.topic, where.partition, start.timestamp_ms)
        (found,) = self._consumer.offsets_for_times([asked], timeout=LOOKUP_TIMEOUT)
        if found.error is not None:
            raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else high  # nothing is that young: from the end

    def _log_range(self, where: TopicPartition) -> tuple[int, int]:
        found = self._consumer.get_watermark_offsets(where, timeout=LOOKUP_TIMEOUT)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return found
