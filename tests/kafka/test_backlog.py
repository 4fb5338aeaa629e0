"""A divided partition read by two clients: in which order, to which end, and what is never passed over silently."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from consumer.delivery.backlog import BacklogLimits
from consumer.delivery.errors import OffsetOutOfRange
from consumer.delivery.records import Partition, Record
from consumer.delivery.spans import Division, Span
from consumer.kafka.consumer import KafkaSource
from consumer.kafka.settings import CatchUp
from consumer.kafka.span_metadata import read_spans
from tests.support.brokers import Broker, RealBroker
from tests.support.sources import PROTOCOLS, Notes, source_on
from tests.support.traffic import Topics, produce, unique_topics

NEWEST_FIRST = CatchUp(behind=0.0, chunk=10)
PLENTY = BacklogLimits(share=0, spare=500)


def one_partition(broker: Broker) -> Topics:
    topics = unique_topics()
    broker.create_topic(topics.input, 1)
    return topics


def numbered(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def take(
    source: KafkaSource, until: Callable[[list[int]], bool], limits: BacklogLimits = PLENTY, seconds: float = 30.0
) -> list[int]:
    """The offsets that come until the condition holds for them."""
    offsets: list[int] = []
    deadline = time.monotonic() + seconds
    while not until(offsets):
        assert time.monotonic() < deadline, f"only {offsets} came"
        offsets += [record.offset for record in source.receive(500, 0.02, limits)]
    return offsets


def in_group(broker: Broker, topics: Topics) -> TopicPartition:
    asking = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topics.group, "enable.auto.commit": False})
    try:
        return asking.committed([TopicPartition(topics.input, 0)], timeout=30)[0]
    finally:
        asking.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_new_records_come_beside_the_backlog_and_that_newest_chunk_first(broker: Broker, protocol: str) -> None:
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(25)))
    source, notes = source_on(broker, topics, protocol=protocol, catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    where = Partition(topics.input, 0)
    assert take(source, lambda _: where in notes.divisions, BacklogLimits(0, 0)) == []
    assert notes.divisions[where] == Division(0, 25, (), 10)
    assert source.counts.divided == 1
    assert source.lag() == {where: 25}, "the backlog is part of the lag"
    produce(broker.bootstrap, topics.input, numbered(*range(25, 30)))
    assert take(source, lambda got: len(got) == 5, BacklogLimits(0, 0)) == [25, 26, 27, 28, 29]
    assert source.lag() == {where: 25}
    assert take(source, lambda got: len(got) == 25) == [*range(15, 25), *range(5, 15), *range(5)]
    take(source, lambda _: len(notes.chunks) == 3)
    assert notes.chunks == [(where, Span(15, 25)), (where, Span(5, 15)), (where, Span(0, 5))]
    take(source, lambda _: source.lag() == {where: 0})
    produce(broker.bootstrap, topics.input, numbered(30))
    assert take(source, lambda got: bool(got)) == [30], "on as usual"
    assert source.close(20)


def test_a_share_of_the_backlog_comes_even_if_there_is_no_other_room(broker: Broker) -> None:
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(12)))
    source, notes = source_on(broker, topics, catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    take(source, lambda _: bool(notes.divisions), BacklogLimits(0, 0))
    deadline = time.monotonic() + 20
    got: list[Record] = []
    while len(got) < 3:
        assert time.monotonic() < deadline
        polled = source.receive(1, 0.02, BacklogLimits(share=1, spare=0))
        assert len(polled) <= 1, "more than the room there is"
        got += polled
    assert [record.offset for record in got] == [2, 3, 4]
    assert source.close(20)


def test_a_pause_holds_for_the_backlog_too(broker: Broker) -> None:
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(12)))
    source, notes = source_on(broker, topics, catch_up=NEWEST_FIRST), Notes()
    source.pause()
    source.join(notes)
    take(source, lambda _: bool(notes.divisions))
    produce(broker.bootstrap, topics.input, numbered(12))
    assert [source.receive(500, 0.02, PLENTY) for _ in range(20)] == [[]] * 20
    source.resume()
    assert sorted(take(source, lambda got: len(got) == 13)) == list(range(13))
    assert source.close(20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_done_above_is_known_to_the_next_owner(broker: Broker, protocol: str) -> None:
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(25)))
    source, notes = source_on(broker, topics, protocol=protocol, catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    take(source, lambda got: len(got) >= 10)
    where = Partition(topics.input, 0)
    source.store(where, 0, None, (Span(15, 25),))
    take(source, lambda _: read_spans(where, 0, in_group(broker, topics).metadata) == (Span(15, 25),))
    source.store(where, 0, None, (Span(12, 25),))
    assert source.close(20), "and what was not yet committed is, at the end"

    next_one, told = source_on(broker, topics, protocol=protocol, catch_up=NEWEST_FIRST), Notes()
    next_one.join(told)
    assert take(next_one, lambda got: len(got) == 12) == [*range(2, 12), 0, 1]
    assert told.divisions == {where: Division(0, 25, (Span(12, 25),), 10)}
    next_one.store(where, 25, None)
    take(next_one, lambda _: in_group(broker, topics).offset == 25)
    produce(broker.bootstrap, topics.input, numbered(25))
    assert take(next_one, lambda got: bool(got)) == [25]
    next_one.store(where, 26, None)
    take(next_one, lambda _: in_group(broker, topics).offset == 26)
    assert not in_group(broker, topics).metadata
    assert next_one.close(20)


def test_a_group_that_is_not_far_behind_is_read_as_usual(broker: Broker) -> None:
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(10)))
    source, notes = source_on(broker, topics, catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    records = take(source, lambda got: len(got) == 10)
    assert records == list(range(10))
    assert (notes.divisions, source.counts.divided, source.counts.begun) == ({}, 0, 1)
    source.store(Partition(topics.input, 0), 4, None)
    assert source.close(20)
    again = source_on(broker, topics, catch_up=NEWEST_FIRST)
    again.join(Notes())
    assert take(again, lambda got: len(got) == 6) == [4, 5, 6, 7, 8, 9]
    assert again.close(20)


def test_after_newest_first_was_switched_off_nothing_is_lost(broker: Broker) -> None:
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(25)))
    source = source_on(broker, topics, catch_up=NEWEST_FIRST)
    source.join(Notes())
    take(source, lambda got: len(got) >= 10)
    source.store(Partition(topics.input, 0), 0, None, (Span(15, 25),))
    assert source.close(20)
    usual = source_on(broker, topics)
    usual.join(Notes())
    assert take(usual, lambda got: len(got) == 25) == list(range(25))
    assert usual.close(20)


@pytest.mark.container
def test_only_what_is_old_enough_is_divided(container_broker: RealBroker) -> None:
    now = int(time.time() * 1000)
    for age_ms, divided in ((600_000, 1), (1_000, 0)):
        topics = one_partition(container_broker)
        producer = Producer({"bootstrap.servers": container_broker.bootstrap})
        for number in range(25):
            producer.produce(topics.input, b"x", partition=0, timestamp=now - age_ms + number)
        assert producer.flush(30) == 0
        source = source_on(container_broker, topics, catch_up=CatchUp(behind=300.0, chunk=10))
        source.join(Notes())
        assert sorted(take(source, lambda got: len(got) == 25)) == list(range(25))
        assert source.counts.divided == divided
        assert source.close(20)


@pytest.mark.container
def test_transaction_markers_and_aborted_records_at_the_seams_are_nothing_to_wait_for(
    container_broker: RealBroker,
) -> None:
    """The last offsets below the end, and below each chunk's end, hold no record that is ever delivered."""
    topics = one_partition(container_broker)
    producer = Producer({"bootstrap.servers": container_broker.bootstrap, "transactional.id": topics.group})
    producer.init_transactions(30)
    for number in range(6):
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(topics.input, b"x", partition=0)
        if number % 2:
            producer.flush(30)
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    visible = {24 // 6 * number + at for number in (0, 2, 4) for at in range(3)}
    source, notes = source_on(container_broker, topics, catch_up=CatchUp(behind=0.0, chunk=4)), Notes()
    source.join(notes)
    got = take(source, lambda _: len(notes.chunks) == 6)
    assert sorted(got) == sorted(visible)
    assert [chunk for _, chunk in notes.chunks] == [Span(at, at + 4) for at in (20, 16, 12, 8, 4, 0)]
    assert source.close(20)


def half_done(broker: RealBroker) -> Topics:
    """A partition of 45 records, of which those from 35 on are done, as the metadata of offset 2 says."""
    topics = one_partition(broker)
    produce(broker.bootstrap, topics.input, numbered(*range(45)))
    source = source_on(broker, topics, catch_up=NEWEST_FIRST)
    source.join(Notes())
    take(source, lambda got: len(got) >= 10)
    source.store(Partition(topics.input, 0), 2, None, (Span(35, 45),))
    assert source.close(20)
    return topics


def delete_below_18(broker: RealBroker, topics: Topics) -> None:
    for future in broker.admin.delete_records([TopicPartition(topics.input, 0, 18)]).values():
        future.result(30)


@pytest.mark.container
@pytest.mark.parametrize("when", ["before the division", "in the catch-up"])
def test_records_deleted_below_the_position_stop_the_program(container_broker: RealBroker, when: str) -> None:
    topics = half_done(container_broker)
    if when == "before the division":
        delete_below_18(container_broker, topics)
    source, notes = source_on(container_broker, topics, catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    if when == "in the catch-up":
        take(source, lambda _: bool(notes.divisions), BacklogLimits(0, 0))
        delete_below_18(container_broker, topics)
    with pytest.raises(OffsetOutOfRange, match="the log holds 18 to 45"):
        take(source, lambda got: False)
    source.close(20)


@pytest.mark.container
@pytest.mark.parametrize("allowed", ["earliest", "latest"])
def test_if_that_is_allowed_the_catch_up_goes_on_above_them(container_broker: RealBroker, allowed: str) -> None:
    topics = half_done(container_broker)
    source, notes = source_on(container_broker, topics, out_of_range=allowed, catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    take(source, lambda _: bool(notes.divisions), BacklogLimits(0, 0))
    delete_below_18(container_broker, topics)
    assert sorted(take(source, lambda got: len(got) == 17)) == list(range(18, 35))
    take(source, lambda _: len(notes.chunks) == 4)
    assert [chunk for _, chunk in notes.chunks] == [Span(25, 35), Span(15, 25), Span(5, 15), Span(2, 5)]
    assert source.close(20)


@pytest.mark.container
def test_a_start_above_what_was_deleted_may_be_divided_too(container_broker: RealBroker) -> None:
    topics = half_done(container_broker)
    delete_below_18(container_broker, topics)
    source, notes = source_on(container_broker, topics, out_of_range="earliest", catch_up=NEWEST_FIRST), Notes()
    source.join(notes)
    assert sorted(take(source, lambda got: len(got) == 27)) == list(range(18, 45))
    assert notes.divisions == {Partition(topics.input, 0): Division(18, 45, (), 10)}
    assert source.close(20)


def test_many_chunks_deliver_every_record_once(broker: Broker, topics: Topics) -> None:
    """What was fetched beyond a chunk's end must neither be delivered twice nor be taken for the next chunk's end."""
    for number in range(4):
        produce(broker.bootstrap, topics.input, numbered(*range(300)), partition=number)
    source = source_on(broker, topics, catch_up=CatchUp(behind=0.0, chunk=7))
    source.join(Notes())
    got: list[tuple[int, int]] = []
    deadline = time.monotonic() + 60
    sizes = itertools.cycle((1, 3, 50))
    while len(got) < 1200:
        assert time.monotonic() < deadline
        got += [(r.partition.number, r.offset) for r in source.receive(500, 0.0, BacklogLimits(0, next(sizes)))]
    for _ in range(20):
        got += [(r.partition.number, r.offset) for r in source.receive(500, 0.01, PLENTY)]
    assert sorted(got) == [(number, offset) for number in range(4) for offset in range(300)]
    assert source.close(20)
