"""A topic read from given offsets to its end as it was at the start. No group is joined, nothing is committed.

The end is known by the client's end-of-partition event as well as by offsets: transaction markers and compaction leave
gaps, so the last offset before an end may belong to no record. One thread calls everything here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.records import Record
from consumer.delivery.spans import Span
from consumer.kafka.config import ConfigValue, consumer_config
from consumer.kafka.errors import Severity, advise, find_kafka_error, severity_of
from consumer.kafka.received import partition_of, record_of
from consumer.kafka.settings import Connection, Membership

ASK_TIMEOUT: Final = 10.0  # seconds for one question to the brokers

log = structlog.get_logger()


def reader_config(connection: Connection, group: str, topic: str) -> dict[str, ConfigValue]:
    """The consumer's configuration, for reading without a group; nothing is committed by itself."""
    return consumer_config(connection, Membership(group, topic)) | {
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }


def whole_topic(consumer: Consumer, topic: str) -> dict[int, Span]:
    """All partitions of a topic as they are now; committed records only.

    Raises:
        KafkaException: the brokers do not answer, or refuse.
    """
    metadata = consumer.list_topics(topic, timeout=ASK_TIMEOUT).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    spans = {}
    for number in sorted(metadata.partitions):
        found = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ASK_TIMEOUT)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        spans[number] = Span(*found)
    return spans


class BoundedReader:
    """Reads spans of one topic's partitions, each once. ``group`` is ``None`` where none is used for anything."""

    def __init__(self, consumer: Consumer, topic: str, group: str | None) -> None:
        self.consumer = consumer
        self.topic = topic
        self._group = group
        self._ends: dict[int, int] = {}
        self._open: set[int] = set()
        self._ended: list[int] = []

    def begin(self, spans: Mapping[int, Span]) -> None:
        """Read these spans from now on."""
        self._ends = {number: span.end for number, span in spans.items()}
        self._open = {number for number, span in spans.items() if span.start < span.end}
        self._ended = [number for number in spans if number not in self._open]
        self.consumer.assign([TopicPartition(self.topic, number, spans[number].start) for number in sorted(self._open)])

    @property
    def done(self) -> bool:
        """Whether everything was returned."""
        return not self._open

    @property
    def open_partitions(self) -> Sequence[int]:
        """The partitions that may bring more."""
        return tuple(self._open)

    def take_ended(self) -> list[int]:
        """The partitions of which everything was returned, and that were not told of yet."""
        ended, self._ended = self._ended, []
        return ended

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Return at most ``limit`` records, waiting at most ``timeout`` seconds for the first.

        Raises:
            SourceFailed: the brokers refuse; the message says what to do.
            OffsetOutOfRange: records were deleted before they were read.
        """
        if not self._open:
            return []
        try:
            first = self.consumer.poll(timeout)
            messages = [] if first is None else [first, *self.consumer.consume(limit - 1, 0)] if limit > 1 else [first]
        except Exception as error:  # what was taken is lost to this process, so it must not go on
            raise SourceFailed(
                f"reading {self.topic} failed ({type(error).__name__}); run the command again"
            ) from error
        return [record for message in messages if (record := self._take(message)) is not None]

    def _take(self, message: Message) -> Record | None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            self._judge(error)
            return None
        number, offset = partition_of(message).number, message.offset()
        assert offset is not None
        if number not in self._open:
            return None
        end = self._ends[number]
        if error is None:
            if offset + 1 >= end:
                self._close(number)
            return record_of(message) if offset < end else None
        if offset >= end:  # the end of the partition as it is now
            self._close(number)
        return None

    def _close(self, number: int) -> None:
        self._open.discard(number)
        self._ended.append(number)
        self.consumer.pause([TopicPartition(self.topic, number)])

    def _judge(self, error: KafkaError) -> None:
        if self._group is None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # the client asks for its group's coordinator even where it has nothing to ask it
        severity = severity_of(error)
        if severity is Severity.NO_OFFSET:
            raise OffsetOutOfRange(
                f"records of {self.topic} were deleted before they were read: its retention is too short for this. "
                "Run the command again for what is left"
            )
        if severity is Severity.STOP:
            advice = advise(error, topic=self.topic, group=self._group or "GROUP")
            raise SourceFailed(f"reading {self.topic} is not possible: {advice}")
        log.warning("kafka consumer event", error=error.name(), detail=error.str())


def kafka_trouble(failed: BaseException, *, topic: str, group: str = "GROUP", operation: str = "Read") -> str:
    """One line about a failed question to the brokers, and what to do."""
    error = find_kafka_error(failed)
    if error is None:
        return type(failed).__name__
    return advise(error, topic=topic, group=group, operation=operation)
