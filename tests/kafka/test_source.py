"""The input topic: what arrives, where reading begins, and what ends the process. On both brokers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import OffsetSpec  # noqa: F401  (the real broker's admin client is imported with it)

from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.records import Partition
from consumer.kafka.consumer import KafkaSource
from consumer.kafka.settings import Connection, Membership, StartPosition
from tests.support.brokers import Broker, MockBroker, RealBroker
from tests.support.sources import PROTOCOLS, Notes, poll_until, receive, source_on
from tests.support.traffic import Topics, committed, produce, produce_with_raw_header


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_without_offsets_reads_from_the_beginning(broker: Broker, topics: Topics, protocol: str) -> None:
    produce(broker.bootstrap, topics.input, [b"a", b"b", b"c"], key=b"k", headers=[("name", b"value")])
    source = source_on(broker, topics, protocol=protocol)
    source.join(Notes())
    records = receive(source, 3)
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert records[0].key == b"k"
    assert records[0].headers == (("name", b"value"),)
    assert records[0].timestamp_ms is not None
    assert source.joined
    assert source.close(20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_stored_is_committed_when_the_source_closes(broker: Broker, topics: Topics, protocol: str) -> None:
    produce(broker.bootstrap, topics.input, [b"x"] * 5, partition=2)
    source = source_on(broker, topics, protocol=protocol)
    source.join(Notes())
    records = receive(source, 5)
    source.store(records[2].partition, records[2].offset + 1, records[2].leader_epoch)
    assert source.close(20)
    assert committed(broker.bootstrap, topics.group, topics.input, 4)[2] == 3

    again = source_on(broker, topics, protocol=protocol)
    again.join(Notes())
    assert [record.offset for record in receive(again, 2)] == [3, 4]
    assert again.close(20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_latest_skips_what_was_there_and_is_remembered_before_the_first_record(
    broker: Broker, topics: Topics, protocol: str
) -> None:
    produce(broker.bootstrap, topics.input, [b"old"] * 4, partition=0)
    source = source_on(broker, topics, protocol=protocol, start=StartPosition("latest"))
    source.join(Notes())
    poll_until(source, lambda: source.counts.begun == 4)
    assert source.close(20)  # a stop before anything was read ...
    produce(broker.bootstrap, topics.input, [b"new"], partition=0)
    again = source_on(broker, topics, protocol=protocol, start=StartPosition("latest"))
    again.join(Notes())
    assert [record.value for record in receive(again, 1)] == [b"new"]  # ... skips nothing
    assert again.close(20)


@pytest.mark.container
def test_a_timestamp_is_where_a_group_without_offsets_begins(container_broker: RealBroker) -> None:
    topics = Topics("ts-in", "ts-out", "ts-dead", "ts-group")
    container_broker.create_topic(topics.input, 1)
    produce(container_broker.bootstrap, topics.input, [b"before"])
    between = int(time.time() * 1000) + 5
    while time.time() * 1000 <= between:
        pass
    produce(container_broker.bootstrap, topics.input, [b"after"])
    source = source_on(container_broker, topics, start=StartPosition("timestamp", between))
    source.join(Notes())
    assert [record.value for record in receive(source, 1)] == [b"after"]
    assert source.close(20)


@pytest.mark.container
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_committed_offset_out_of_range_stops_unless_allowed(container_broker: RealBroker, protocol: str) -> None:
    topics = Topics(f"range-in-{protocol}", "", "", f"range-group-{protocol}")
    container_broker.create_topic(topics.input, 1)
    produce(container_broker.bootstrap, topics.input, [b"x"] * 10)
    source = source_on(container_broker, topics, protocol=protocol)
    source.join(Notes())
    records = receive(source, 10)
    source.store(records[1].partition, 2, None)
    assert source.close(20)
    for future in container_broker.admin.delete_records([TopicPartition(topics.input, 0, 6)]).values():
        future.result(30)

    stopped = source_on(container_broker, topics, protocol=protocol)
    stopped.join(Notes())
    with pytest.raises(OffsetOutOfRange, match="offset 2 is committed, but the log holds 6 to 10"):
        receive(stopped, 1)
    stopped.close(20)

    allowed = source_on(container_broker, topics, protocol=protocol, out_of_range="earliest")
    allowed.join(Notes())
    assert receive(allowed, 4)[0].offset == 6
    assert allowed.close(20)


def test_a_header_name_that_is_not_utf8_is_marked_unreadable_and_harmless(broker: Broker, topics: Topics) -> None:
    # Enough good ones first that CPython specialises the call: only then does the error stay pending, unraised.
    produce(broker.bootstrap, topics.input, [b"good"] * 300, partition=0, headers=[("ok", b"1")])
    produce_with_raw_header(broker.bootstrap, topics.input, b"hostile", b"\xff\xfe")
    produce(broker.bootstrap, topics.input, [b"next"], partition=0, headers=[("ok", b"1")])
    source = source_on(broker, topics)
    source.join(Notes())
    *good, hostile, following = receive(source, 302)
    assert all(record.headers == (("ok", b"1"),) for record in good)
    assert (hostile.value, hostile.headers) == (b"hostile", None)
    assert following.headers == (("ok", b"1"),)
    assert source.counts.headers_unreadable == 1
    assert source.close(20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pause_is_set_anew_after_a_reassignment(broker: Broker, topics: Topics, protocol: str) -> None:
    """A paused partition that leaves and comes back would stay paused in the client, and deliver nothing for ever."""
    source, notes = source_on(broker, topics, protocol=protocol), Notes()
    source.join(notes)
    poll_until(source, lambda: len(source.partitions) == 4)
    source.pause()
    other = source_on(broker, topics, protocol=protocol)
    other.join(Notes())
    deadline = time.monotonic() + 30
    while not other.partitions or len(source.partitions) == 4:
        assert time.monotonic() < deadline
        source.receive(10, 0.05)
        other.receive(10, 0.05)
    assert other.close(20)
    source.resume()  # while only some of the partitions are here
    poll_until(source, lambda: len(source.partitions) == 4)
    for partition in range(4):
        produce(broker.bootstrap, topics.input, [b"x"], partition=partition)
    assert {record.partition.number for record in receive(source, 4)} == {0, 1, 2, 3}
    assert source.close(20)


def test_a_paused_source_delivers_nothing_even_from_partitions_assigned_later(broker: Broker, topics: Topics) -> None:
    produce(broker.bootstrap, topics.input, [b"x"] * 3, partition=1)
    source = source_on(broker, topics)
    source.pause()
    source.join(Notes())
    records = poll_until(source, lambda: len(source.partitions) == 4)
    for _ in range(10):
        records += source.receive(10, 0.05)
    assert len(records) <= 1  # the poll that brought the assignment may bring its first record
    source.resume()
    assert len(records) + len(receive(source, 3 - len(records))) == 3
    assert source.close(20)


def test_an_offset_for_a_partition_that_moved_on_is_not_stored(broker: Broker, topics: Topics) -> None:
    source = source_on(broker, topics)
    source.join(Notes())
    poll_until(source, lambda: len(source.partitions) == 4)
    source.store(Partition(topics.input, 77), 5, None)
    assert source.counts.stores_refused == 1
    assert source.close(20)


def test_a_failure_in_a_rebalance_callback_ends_the_process_but_not_inside_the_callback(
    broker: Broker, topics: Topics
) -> None:
    class Failing(Notes):
        def assigned(self, partitions: Sequence[Partition]) -> None:
            raise RuntimeError("a bug")

    source = source_on(broker, topics)
    source.join(Failing())
    with pytest.raises(SourceFailed, match="RuntimeError"):
        poll_until(source, lambda: False)
    source.close(20)


def test_consume_raising_ends_the_process_because_records_may_be_gone(broker: Broker, topics: Topics) -> None:
    produce(broker.bootstrap, topics.input, [b"x"] * 5, partition=0)
    source = source_on(broker, topics)
    source.join(Notes())
    poll_until(source, lambda: len(source.partitions) == 4)

    class Raising:
        def poll(self, timeout: float) -> None:
            raise KeyboardInterrupt

    client, source._consumer = source._consumer, Raising()  # type: ignore[assignment]
    with pytest.raises(SourceFailed, match="KeyboardInterrupt"):
        source.receive(10, 0.05)
    source._consumer = client
    source.close(20)


@pytest.mark.broker
def test_a_fatal_error_that_does_not_say_so_stops(mock_broker: MockBroker) -> None:
    """A fenced instance id arrives as a message whose ``fatal()`` is False."""
    mock_broker.create_topic("in", 1)
    topics = Topics("in", "", "", "g")
    source = source_on(mock_broker, topics, instance_id="pod-0")
    source.join(Notes())
    poll_until(source, lambda: source.joined)
    mock_broker.embedded.push_errors("Heartbeat", [KafkaError.FENCED_INSTANCE_ID] * 3)
    with pytest.raises(SourceFailed, match=r"group_instance_id|_FATAL|fenced"):
        poll_until(source, lambda: False)
    source.close(5)


@pytest.mark.broker
def test_partitions_are_lost_not_revoked_when_the_group_threw_us_out(mock_broker: MockBroker) -> None:
    mock_broker.create_topic("in", 1)
    source, notes = source_on(mock_broker, Topics("in", "", "", "g")), Notes()
    source.join(notes)
    poll_until(source, lambda: bool(source.partitions))
    mock_broker.embedded.push_errors("Heartbeat", [KafkaError.UNKNOWN_MEMBER_ID])
    poll_until(source, lambda: "lost" in notes.kinds())
    poll_until(source, lambda: notes.kinds().count("assigned") == 2)
    source.close(5)


@pytest.mark.broker
def test_a_revoke_after_an_overrun_poll_interval_is_taken_as_lost(mock_broker: MockBroker) -> None:
    now = [0.0]
    mock_broker.create_topic("in", 1)
    notes = Notes()
    source = KafkaSource(Connection(mock_broker.bootstrap), Membership("g", "in"), clock=lambda: now[0])
    source.join(notes)
    poll_until(source, lambda: bool(source.partitions))
    now[0] += 301  # librdkafka #5604: the client may call this a revoke
    source._on_revoke(source._consumer, [TopicPartition("in", 0)])
    assert notes.kinds()[-1] == "lost"
    source.close(5)


@pytest.mark.broker
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_closing_takes_no_longer_than_allowed_when_the_broker_is_gone(mock_broker: MockBroker, protocol: str) -> None:
    mock_broker.create_topic("in", 1)
    produce(mock_broker.bootstrap, "in", [b"x"])
    source = source_on(mock_broker, Topics("in", "", "", "g"), protocol=protocol)
    source.join(Notes())
    (record,) = receive(source, 1)
    mock_broker.cut()
    source.store(record.partition, 1, None)
    began = time.monotonic()
    source.close(2.0)
    assert time.monotonic() - began < 4
    mock_broker.heal()
