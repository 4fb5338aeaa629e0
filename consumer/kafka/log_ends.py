"""Where partitions end, asked for without waiting. One thread calls everything here.

A consumer learns the end of a partition from what it fetches, and a paused one fetches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ListOffsetsResultInfo,
    OffsetSpec,
)

from consumer.delivery.records import Partition

PATIENCE = 5.0  # seconds that the brokers may take


class LogEnds:
    """The last known ends; an answer is taken in by the first :meth:`look` after it came."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin
        self._asked: dict[Partition, Future[ListOffsetsResultInfo]] = {}
        self._ends: dict[Partition, int] = {}

    def look(self, partitions: Sequence[Partition], *, asking: bool) -> Mapping[Partition, int]:
        """The ends of these partitions as far as they were ever known; those of others are forgotten.

        ``asking`` asks for them anew, unless that is still under way.
        """
        if all(answer.done() for answer in self._asked.values()):
            for partition, answer in self._asked.items():
                end = -1 if answer.exception() is not None else answer.result().offset
                if end >= 0:  # else what was known stays: a broker that just came up may not know
                    self._ends[partition] = end
            self._asked = {}
            if asking:
                self._ask(partitions)
        self._ends = {partition: self._ends[partition] for partition in partitions if partition in self._ends}
        return self._ends

    def _ask(self, partitions: Sequence[Partition]) -> None:
        wanted = {TopicPartition(each.topic, each.number): OffsetSpec.latest() for each in partitions}  # type: ignore[no-untyped-call]
        if wanted:
            with suppress(KafkaException):
                asked = self._admin.list_offsets(wanted, request_timeout=PATIENCE)
                self._asked = {Partition(where.topic, where.partition): answer for where, answer in asked.items()}
