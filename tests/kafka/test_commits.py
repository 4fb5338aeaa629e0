"""Commits that the group refuses: the source survives or loses its partitions, and commits again afterwards."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import KafkaError

from consumer.kafka.consumer import KafkaSource
from consumer.kafka.settings import Connection, Membership
from tests.support.brokers import Broker, MockBroker
from tests.support.sources import Notes, poll_until, receive
from tests.support.traffic import Topics, committed, produce, unique_topics

pytestmark = pytest.mark.broker


@pytest.fixture
def one_partition(mock_broker: MockBroker) -> Topics:
    topics = unique_topics()
    mock_broker.create_topic(topics.input, 1)
    produce(mock_broker.bootstrap, topics.input, [b"%d" % number for number in range(10)])
    return topics


def member(broker: Broker, topics: Topics, protocol: str) -> tuple[KafkaSource, Notes]:
    options = {"auto.commit.interval.ms": "100", "reconnect.backoff.max.ms": "500"}
    if protocol == "classic":
        options |= {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    source, notes = (
        KafkaSource(
            Connection(broker.bootstrap, options=options),
            Membership(topics.group, topics.input, protocol=protocol),  # type: ignore[arg-type]
        ),
        Notes(),
    )
    source.join(notes)
    return source, notes


def with_a_first_commit(broker: Broker, topics: Topics, protocol: str) -> tuple[KafkaSource, Notes]:
    """A member that has read everything and committed offset 2."""
    source, notes = member(broker, topics, protocol)
    records = receive(source, 10)
    assert len(records) == 10
    source.store(records[1].partition, 2, records[1].leader_epoch)
    poll_until(source, lambda: committed(broker.bootstrap, topics.group, topics.input, 1) == {0: 2})
    return source, notes


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize(
    "code",
    [
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    ],
)
def test_what_passes_by_itself_costs_nothing(
    mock_broker: MockBroker, one_partition: Topics, protocol: str, code: int
) -> None:
    source, notes = with_a_first_commit(mock_broker, one_partition, protocol)
    mock_broker.embedded.push_errors("OffsetCommit", [code])
    (partition,) = source.partitions
    source.store(partition, 5, None)
    poll_until(source, lambda: committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) == {0: 5})
    assert notes.kinds() == ["assigned"]
    assert source.close(20)


@pytest.mark.parametrize(
    ("protocol", "code"),
    [
        ("classic", KafkaError.REBALANCE_IN_PROGRESS),
        ("consumer", KafkaError.STALE_MEMBER_EPOCH),
    ],
)
def test_a_commit_refused_in_passing_keeps_the_partitions_and_is_made_again(
    mock_broker: MockBroker, one_partition: Topics, protocol: str, code: int
) -> None:
    source, notes = with_a_first_commit(mock_broker, one_partition, protocol)
    mock_broker.embedded.push_errors("OffsetCommit", [code])
    (partition,) = source.partitions
    source.store(partition, 5, None)
    if protocol == "classic":  # the newer protocol's client tries again by itself and says nothing
        poll_until(source, lambda: source.counts.commit_errors == 1)
    # Without another store: a quiet topic must not stay uncommitted until its next record.
    poll_until(source, lambda: committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) == {0: 5})
    source.store(partition, 7, None)
    poll_until(source, lambda: committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) == {0: 7})
    assert notes.kinds() == ["assigned"]
    assert source.partitions == (partition,)
    assert source.close(20)


@pytest.mark.parametrize(
    ("protocol", "code"),
    [
        ("classic", KafkaError.ILLEGAL_GENERATION),
        ("classic", KafkaError.UNKNOWN_MEMBER_ID),
        ("consumer", KafkaError.UNKNOWN_MEMBER_ID),
    ],
)
def test_a_member_that_the_group_no_longer_knows_comes_back_and_loses_nothing(
    mock_broker: MockBroker, one_partition: Topics, protocol: str, code: int
) -> None:
    source, notes = with_a_first_commit(mock_broker, one_partition, protocol)
    mock_broker.embedded.push_errors("OffsetCommit", [code])
    (partition,) = source.partitions
    source.store(partition, 5, None)
    records = poll_until(source, lambda: source.counts.commit_errors >= 1)
    if protocol == "classic":
        records += poll_until(source, lambda: notes.kinds()[:3] == ["assigned", "lost", "assigned"])
        assert "revoked" not in notes.kinds()
        records += receive(source, 8 - len(records))
        assert [record.offset for record in records] == list(range(2, 10))  # from the committed offset
    source.store(partition, 9, None)
    poll_until(source, lambda: committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) == {0: 9})
    assert source.close(20)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_what_is_stored_before_an_outage_is_committed_after_it(
    mock_broker: MockBroker, one_partition: Topics, protocol: str
) -> None:
    source, _ = with_a_first_commit(mock_broker, one_partition, protocol)
    mock_broker.cut()
    (partition,) = source.partitions
    source.store(partition, 6, None)
    poll_until(source, lambda: source.brokers_down)
    mock_broker.heal()
    produce(mock_broker.bootstrap, one_partition.input, [b"later"])
    poll_until(source, lambda: source.counts.commits >= 2, seconds=60)
    deadline = time.monotonic() + 30
    while committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) != {0: 6}:
        assert time.monotonic() < deadline
        source.receive(10, 0.05)
    assert source.close(20)


def test_an_offset_is_never_committed_backwards(mock_broker: MockBroker, one_partition: Topics) -> None:
    source, _ = with_a_first_commit(mock_broker, one_partition, "classic")
    (partition,) = source.partitions
    source.store(partition, 8, None)
    poll_until(source, lambda: committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) == {0: 8})
    commits = source.counts.commits
    source.store(partition, 3, None)
    source.store(partition, 9, None)
    poll_until(source, lambda: source.counts.commits > commits)
    assert source.close(20)
    assert committed(mock_broker.bootstrap, one_partition.group, one_partition.input, 1) == {0: 9}
