"""How many records wait, as far as the client knows."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from consumer.delivery.records import Partition
from consumer.kafka.log_ends import LogEnds
from tests.conformance.program import until
from tests.support.brokers import Broker, RealBroker
from tests.support.sources import Notes, poll_until, receive, source_on
from tests.support.traffic import Topics, end_offsets, produce, unique_topics


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_an_empty_partition_is_known_to_have_no_lag_and_what_is_not_read_counts(
    broker: Broker, topics: Topics, protocol: str
):
    source = source_on(broker, topics, protocol=protocol)
    source.join(Notes())
    everywhere = {Partition(topics.input, number): 0 for number in range(4)}
    poll_until(source, lambda: source.lag() == everywhere)
    produce(broker.bootstrap, topics.input, [b"x"] * 30, partition=2)
    until(lambda: len(source.receive(1, 0.05)) == 1, 30, "received")
    until(lambda: source.lag() == everywhere | {Partition(topics.input, 2): 29}, 30, "known to wait")
    assert len(receive(source, 29)) == 29
    poll_until(source, lambda: source.lag() == everywhere)
    source.close(10)


def test_while_the_input_is_paused_the_end_is_asked_for(broker: Broker, topics: Topics):
    source = source_on(broker, topics)
    source.join(Notes())
    produce(broker.bootstrap, topics.input, [b"x"], partition=2)
    assert len(receive(source, 1)) == 1
    ends = LogEnds(AdminClient({"bootstrap.servers": broker.bootstrap}))
    here = Partition(topics.input, 2)
    source.pause()
    poll_until(source, lambda: source.lag(ends.look(source.partitions, asking=True)).get(here) == 0)
    produce(broker.bootstrap, topics.input, [b"x"] * 30, partition=2)
    poll_until(source, lambda: source.lag(ends.look(source.partitions, asking=True)).get(here) == 30)
    broker.cut()
    assert ends.look(source.partitions, asking=True)[here] == 31, "what was known stays"
    broker.heal()
    source.resume()
    assert source.lag(ends.look(source.partitions, asking=False))[here] == 30, "also until the next fetch"
    assert not ends.look([], asking=False)
    source.close(10)


@pytest.mark.broker
@pytest.mark.container
def test_markers_of_transactions_at_the_end_are_no_lag(container_broker: RealBroker):
    topics = unique_topics()
    container_broker.create_topic(topics.input, 1)
    producer = Producer({"bootstrap.servers": container_broker.bootstrap, "transactional.id": topics.group})
    producer.init_transactions(30)
    for abort in (False, True):
        producer.begin_transaction()
        for number in range(5):
            producer.produce(topics.input, str(number))
        producer.flush(30)
        if abort:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    source = source_on(container_broker, topics)
    source.join(Notes())
    assert len(receive(source, 5)) == 5
    (end,) = end_offsets(container_broker.bootstrap, topics.input, 1).values()
    assert end == 12, "five records and a marker, twice"
    here = Partition(topics.input, 0)
    poll_until(source, lambda: source.lag() == {here: 0})
    source.close(10)
