"""Whether a partition that was just assigned is far behind, and how it is then divided. It may ask the brokers."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumer.delivery.records import Partition
from consumer.delivery.spans import Division
from consumer.kafka.offset_metadata import spans_in
from consumer.kafka.settings import CatchUp
from consumer.kafka.span_metadata import read_spans

log = structlog.get_logger()


class Divider:
    """Divides partitions of one consumer by its settings; ``wall`` is the time of day in seconds since the epoch."""

    def __init__(self, consumer: Consumer, catch_up: CatchUp, wall: Callable[[], float], timeout: float) -> None:
        self._consumer = consumer
        self._catch_up = catch_up
        self._wall = wall
        self._timeout = timeout

    def divide(self, partition: Partition, begin: int, metadata: str | None, high: int) -> Division | None:
        """How to read a partition from its committed offset ``begin`` on, when its log ends at ``high``.

        What its last owner did above that offset stands in its ``metadata``. ``None``: as usual, from ``begin`` on.

        Raises:
            KafkaException: a broker did not answer.
        """
        done = read_spans(partition, begin, spans_in(metadata))
        if done and done[-1].end > high:
            log.warning("metadata of the committed offset is not of this log", partition=partition.number)
            done = ()
        top = done[-1].end if done else begin
        live = high if self._is_far_behind(partition, top, high) else top
        if live == begin:
            return None
        return Division(begin, live, done, self._catch_up.chunk)

    def _is_far_behind(self, partition: Partition, position: int, high: int) -> bool:
        if high - position <= self._catch_up.chunk:
            return False
        if self._catch_up.behind <= 0:
            return True
        oldest = int((self._wall() - self._catch_up.behind) * 1000)
        asked = TopicPartition(partition.topic, partition.number, oldest)
        (found,) = self._consumer.offsets_for_times([asked], timeout=self._timeout)
        if found.error is not None:
            raise KafkaException(found.error)
        return found.offset < 0 or found.offset > position  # nothing is that young, or it comes later
