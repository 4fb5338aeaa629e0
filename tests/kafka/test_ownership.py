"""Partitions that are owned no longer, starts that must not move, and brokers that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import structlog
from confluent_kafka import KafkaError, TopicPartition

from consumer.delivery.backlog import BacklogLimits
from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Partition, Record
from consumer.kafka.consumer import KafkaSource
from consumer.kafka.settings import Connection, Membership, StartPosition
from tests.support.brokers import Broker, MockBroker
from tests.support.sources import PROTOCOLS, Notes, poll_until, receive, source_on
from tests.support.traffic import Topics, committed, end_offsets, produce


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_late_store_never_moves_the_offset_of_the_next_owner(broker: Broker, topics: Topics, protocol: str) -> None:
    """A commit with explicit offsets would be accepted, and take the next owner back."""
    for number in range(4):
        produce(broker.bootstrap, topics.input, [b"x"] * 9, partition=number)
    first, second = (source_on(broker, topics, protocol=protocol) for _ in range(2))
    first.join(Notes())
    assert len(receive(first, 36)) == 36
    second.join(Notes())
    poll_until_shared(first, second)
    moved = second.partitions[0]
    second.store(moved, 9, None)
    first.store(moved, 3, None)
    assert first.counts.stores_refused == 1
    assert first.close(20)
    poll_until(second, lambda: committed(broker.bootstrap, topics.group, topics.input, 4)[moved.number] == 9)
    assert second.close(20)
    assert committed(broker.bootstrap, topics.group, topics.input, 4)[moved.number] == 9


def poll_until_shared(first: KafkaSource, second: KafkaSource, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not second.partitions or len(first.partitions) + len(second.partitions) != 4:
        assert time.monotonic() < deadline, "the partitions were not shared in time"
        first.receive(100, 0.05)
        second.receive(100, 0.05)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_start_is_committed_at_once_so_that_a_crash_cannot_move_it(
    broker: Broker, topics: Topics, protocol: str, start: str
) -> None:
    produce(broker.bootstrap, topics.input, [b"old"] * 3, partition=0)
    source = KafkaSource(
        Connection(broker.bootstrap, options={"auto.commit.interval.ms": "3600000"}),  # it would come too late
        Membership(topics.group, topics.input, protocol=protocol, start=StartPosition(start)),  # type: ignore[arg-type]
    )
    source.join(Notes())
    expected = dict.fromkeys(range(4), 0)
    if start == "latest":
        expected = end_offsets(broker.bootstrap, topics.input, 4)
    poll_until(source, lambda: committed(broker.bootstrap, topics.group, topics.input, 4) == expected)
    source.close(20)


class Scripted:
    """A consumer that returns what it is told, and may be revoked of partitions in the middle of ``consume``."""

    def __init__(self, first: object, rest: list[object], meanwhile: Callable[[], None] = lambda: None) -> None:
        self._first, self._rest, self._meanwhile = first, rest, meanwhile

    def poll(self, timeout: float) -> object:
        return self._first

    def consume(self, limit: int, timeout: float) -> list[object]:
        self._meanwhile()
        return self._rest

    def resume(self, partitions: list[TopicPartition]) -> None:
        pass


class Taken:
    """A message as the client returns it."""

    def __init__(self, number: int, offset: int, error: KafkaError | None = None) -> None:
        self._number, self._offset, self._error = number, offset, error

    def topic(self) -> str:
        return "in"

    def partition(self) -> int:
        return self._number

    def offset(self) -> int:
        return self._offset

    def error(self) -> KafkaError | None:
        return self._error

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def leader_epoch(self) -> None:
        return None


class AskedFor:
    """Notes the partitions whose position is asked for, and never finds one."""

    def __init__(self) -> None:
        self.partitions: list[Partition] = []

    def look_for(self, partition: Partition) -> None:
        self.partitions.append(partition)

    def found(self) -> tuple[()]:
        return ()


def scripted_source(*numbers: int, clock: Callable[[], float] = time.monotonic) -> KafkaSource:
    source = KafkaSource(Connection("127.0.0.1:1"), Membership("g", "in"), clock)
    source._listener = Notes()
    source._on_assign(source._consumer, [TopicPartition("in", number) for number in numbers])
    return source


@pytest.mark.parametrize(("seconds", "told"), [(299.0, "revoked"), (301.0, "lost")])
def test_a_revoke_after_the_poll_interval_was_overrun_may_hide_that_all_is_lost(seconds: float, told: str) -> None:
    """librdkafka #5604: whoever was thrown out must not store what somebody else owns by now."""
    now = [100.0]
    source = scripted_source(0, clock=lambda: now[0])
    now[0] += seconds
    source._on_revoke(source._consumer, [TopicPartition("in", 0)])
    notes = source._listener
    assert isinstance(notes, Notes)
    assert notes.kinds() == ["assigned", told]


def test_a_record_of_a_partition_that_was_revoked_behind_it_is_left_to_the_next_owner() -> None:
    source = scripted_source(0, 1)
    client = source._consumer
    source._consumer = Scripted(  # type: ignore[assignment]
        Taken(0, 5), [Taken(1, 7)], lambda: source._on_revoke(client, [TopicPartition("in", 0)])
    )
    assert [(r.partition, r.offset) for r in source.receive(10, 0)] == [(Partition("in", 1), 7)]


def test_it_is_left_out_even_if_the_partition_came_straight_back() -> None:
    """Its new assignment reads on from the committed offset, so the record would stand out of order."""
    source = scripted_source(0)
    client = source._consumer
    mine = [TopicPartition("in", 0)]

    def there_and_back() -> None:
        source._on_revoke(client, mine)
        source._on_assign(client, mine)

    source._consumer = Scripted(Taken(0, 5), [Taken(0, 3)], there_and_back)  # type: ignore[assignment]
    assert [record.offset for record in source.receive(10, 0)] == [3]


def test_a_revoke_before_the_record_was_taken_costs_nothing() -> None:
    source = scripted_source(0, 1)
    client = source._consumer

    class Revoking(Scripted):
        def poll(self, timeout: float) -> object:
            source._on_revoke(client, [TopicPartition("in", 0)])
            source._on_assign(client, [TopicPartition("in", 0)])
            return Taken(0, 5)

    source._consumer = Revoking(None, [])  # type: ignore[assignment]
    assert [record.offset for record in source.receive(10, 0)] == [5]


def test_a_missing_position_of_a_partition_that_moved_on_is_the_next_owners_affair() -> None:
    source = scripted_source(0)
    missing = Taken(3, -1001, KafkaError(KafkaError._AUTO_OFFSET_RESET))
    source._consumer = Scripted(missing, [])  # type: ignore[assignment]
    source._positions = AskedFor()  # type: ignore[assignment]
    assert list(source.receive(10, 0)) == []
    assert source._positions.partitions == []
    source._consumer = Scripted(Taken(0, -1001, missing.error()), [])  # type: ignore[assignment]
    source.receive(10, 0)
    assert source._positions.partitions == [Partition("in", 0)]


class BacklogToCome:
    """The backlog of partition 0, of which nothing is here yet, and one record taken early if it is to be."""

    def __init__(self, *taken: Record) -> None:
        self._readings = {Partition("in", 0)}
        self._taken = list(taken)

    def __contains__(self, partition: object) -> bool:
        return partition in self._readings

    def __len__(self) -> int:
        return 1

    def passed(self) -> tuple[()]:
        return ()

    def take(self, limit: int) -> list[Record]:
        taken, self._taken = self._taken, []
        return taken

    def left(self, partition: Partition) -> int:
        return 0

    def forget(self, partition: Partition) -> None:
        self._readings.discard(partition)


def test_what_comes_before_it_is_known_where_to_begin_is_thrown_away() -> None:
    """It is read again from where the partition is then begun; delivered now, it would come twice or out of order."""
    source = scripted_source(0, 1)
    source._owned.waiting.add(Partition("in", 0))
    source._consumer = Scripted(Taken(0, 5), [Taken(1, 7), Taken(0, 6)])  # type: ignore[assignment]
    assert [(r.partition.number, r.offset) for r in source.receive(10, 0)] == [(1, 7)]


def test_a_live_position_that_is_gone_from_the_log_in_a_catch_up_ends_the_process() -> None:
    """Beginning elsewhere would leave a hole above the backlog; a restart divides anew, by the settings."""
    source = scripted_source(0)
    source._backlog = BacklogToCome()  # type: ignore[assignment]
    gone = Taken(0, -1001, KafkaError(KafkaError._AUTO_OFFSET_RESET))
    source._consumer = Scripted(gone, [])  # type: ignore[assignment]
    with pytest.raises(SourceFailed, match="in/0: what is read live is not in the log any more"):
        source.receive(10, 0, BacklogLimits(0, 10))


def test_a_backlog_record_of_a_partition_that_moves_on_in_the_same_poll_is_left_to_the_next_owner() -> None:
    source = scripted_source(0, 1)
    client = source._consumer
    source._backlog = BacklogToCome(Record(Partition("in", 0), 2, None, None, b"x"))  # type: ignore[assignment]
    source._consumer = Scripted(  # type: ignore[assignment]
        Taken(1, 5), [], lambda: source._on_revoke(client, [TopicPartition("in", 0)])
    )
    records = source.receive(10, 0, BacklogLimits(share=1, spare=0))
    assert [(r.partition.number, r.offset) for r in records] == [(1, 5)]


@pytest.mark.broker
def test_lost_brokers_are_told_until_one_is_heard_of_again(mock_broker: MockBroker) -> None:
    mock_broker.create_topic("in", 1)
    source = source_on(mock_broker, Topics("in", "", "", "g"))
    source.join(Notes())
    poll_until(source, lambda: source.counts.begun == 1)
    assert not source.brokers_down
    mock_broker.cut()
    poll_until(source, lambda: source.brokers_down)
    attempts = time.monotonic() + 1.5
    while time.monotonic() < attempts:  # every failed attempt is reported, and none of them is good news
        source.receive(10, 0.05)
        assert source.brokers_down
    mock_broker.heal()
    produce(mock_broker.bootstrap, "in", [b"x"])
    assert len(receive(source, 1)) == 1
    assert not source.brokers_down
    assert source.close(20)


@contextmanager
def broken_log() -> Iterator[None]:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[fail], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


@pytest.mark.broker
def test_a_log_that_cannot_be_written_does_not_make_a_poll_fail(mock_broker: MockBroker) -> None:
    """Whatever a callback raises leaves the poll, and takes the records of that poll with it."""
    mock_broker.create_topic("in", 1)
    produce(mock_broker.bootstrap, "in", [b"x"])
    source = source_on(mock_broker, Topics("in", "", "", "g"))
    source.join(Notes())
    (record,) = receive(source, 1)
    with broken_log():
        mock_broker.embedded.push_errors("OffsetCommit", [KafkaError.REBALANCE_IN_PROGRESS])
        source.store(record.partition, 1, None)
        poll_until(source, lambda: source.counts.commit_errors == 1)
        mock_broker.cut()
        poll_until(source, lambda: source.brokers_down)
        mock_broker.heal()
        produce(mock_broker.bootstrap, "in", [b"y"])
        assert [record.value for record in receive(source, 1)] == [b"y"]
    source.close(20)
