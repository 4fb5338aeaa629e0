"""The input topic read by hand: a source on a broker, a listener that writes down, and polling until."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from consumer.delivery.records import Partition, Record
from consumer.delivery.spans import Division, Span
from consumer.kafka.consumer import KafkaSource
from consumer.kafka.settings import Connection, Membership
from tests.support.brokers import Broker
from tests.support.traffic import Topics

PROTOCOLS = ("classic", "consumer")


class Notes:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Partition, ...]]] = []
        self.divisions: dict[Partition, Division] = {}
        self.chunks: list[tuple[Partition, Span]] = []

    def assigned(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("assigned", tuple(sorted(partitions))))

    def revoked(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("revoked", tuple(sorted(partitions))))

    def lost(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("lost", tuple(sorted(partitions))))

    def divided(self, partition: Partition, division: Division) -> None:
        self.divisions[partition] = division

    def passed(self, partition: Partition, chunk: Span) -> None:
        self.chunks.append((partition, chunk))

    def kinds(self) -> list[str]:
        return [kind for kind, partitions in self.told if partitions]


def source_on(broker: Broker, topics: Topics, **membership: object) -> KafkaSource:
    """A source with short timeouts."""
    options = {"max.poll.interval.ms": "6000", "session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    if membership.get("protocol") == "consumer":
        options = {}
    return KafkaSource(
        Connection(broker.bootstrap, options=options),
        Membership(topics.group, topics.input, **membership),  # type: ignore[arg-type]
    )


def receive(source: KafkaSource, count: int, seconds: float = 30.0) -> list[Record]:
    """Poll until ``count`` records came or time is up."""
    records: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(records) < count and time.monotonic() < deadline:
        records += source.receive(500, 0.05)
    return records


def poll_until(source: KafkaSource, condition: Callable[[], bool], seconds: float = 30.0) -> list[Record]:
    """Poll until ``condition`` holds."""
    records: list[Record] = []
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        records += source.receive(500, 0.05)
    return records
