"""A topic is read from where it was asked to its end as it was then: no less, and nothing that came later."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer

from consumer.delivery.errors import OffsetOutOfRange
from consumer.delivery.records import Record
from consumer.delivery.spans import Span
from consumer.kafka.settings import Connection
from consumer.replay.bounded import BoundedReader, reader_config, whole_topic
from tests.support.brokers import Broker
from tests.support.traffic import Topics, produce


@pytest.fixture
def reader(broker: Broker, topics: Topics) -> Iterator[BoundedReader]:
    connection = Connection(broker.bootstrap, options={"check.crcs": "false"} if broker.kind == "mock" else {})
    consumer = Consumer(reader_config(connection, topics.group, topics.input))
    yield BoundedReader(consumer, topics.input, topics.group)
    consumer.close()


def read(reader: BoundedReader, limit: int = 100) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 30
    while not reader.done:
        assert time.monotonic() < deadline, "the end was not found"
        some = reader.read(limit, 0.1)
        assert len(some) <= limit
        records += some
    assert reader.read(limit, 0.0) == []
    return records


def in_a_transaction(broker: Broker, topics: Topics, value: bytes, *, partition: int) -> None:
    """One record, with a marker at the offset after it."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topics.group})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topics.input, value, partition=partition)
    producer.commit_transaction(30)


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_everything_is_read_and_each_partition_is_told_to_have_ended(
    broker: Broker, topics: Topics, reader: BoundedReader, limit: int
) -> None:
    for number in (0, 2):
        produce(broker.bootstrap, topics.input, [b"%d" % n for n in range(20)], partition=number)
    spans = whole_topic(reader.consumer, topics.input)
    assert spans == {0: Span(0, 20), 1: Span(0, 0), 2: Span(0, 20), 3: Span(0, 0)}
    reader.begin(spans)
    assert [(r.partition.number, r.offset) for r in sorted(read(reader, limit))] == [
        (number, offset) for number in (0, 2) for offset in range(20)
    ]
    assert sorted(reader.take_ended()) == [0, 1, 2, 3]
    assert reader.take_ended() == []


def test_what_came_after_the_end_is_not_read_even_if_the_end_is_a_gap(
    broker: Broker, topics: Topics, reader: BoundedReader
) -> None:
    in_a_transaction(broker, topics, b"before", partition=1)
    spans = whole_topic(reader.consumer, topics.input)
    assert spans[1] == Span(0, 2)
    produce(broker.bootstrap, topics.input, [b"after"] * 3, partition=1)
    reader.begin(spans)
    assert [record.value for record in read(reader)] == [b"before"]


def test_an_end_that_is_a_gap_is_found_where_nothing_comes_after_it(
    broker: Broker, topics: Topics, reader: BoundedReader
) -> None:
    in_a_transaction(broker, topics, b"last", partition=1)
    reader.begin(whole_topic(reader.consumer, topics.input))
    assert [record.value for record in read(reader)] == [b"last"]


def test_offsets_that_are_not_there_are_an_error_and_not_skipped(
    broker: Broker, topics: Topics, reader: BoundedReader
) -> None:
    produce(broker.bootstrap, topics.input, [b"1"], partition=0)
    reader.begin({0: Span(50, 60)})
    with pytest.raises(OffsetOutOfRange, match="were deleted before they were read"):
        read(reader)
