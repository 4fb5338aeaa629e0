"""The output topics: what arrives, what happens while brokers are away, and what each refusal is taken for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import structlog
from confluent_kafka import KafkaError

from consumer.delivery.errors import OutputRefused
from consumer.delivery.ports import Acknowledgement, Delivery
from consumer.delivery.records import Destination, Headers, Message
from consumer.kafka.producer import KafkaSink
from consumer.kafka.settings import Connection, Outputs
from tests.support.brokers import Broker, MockBroker, RealBroker
from tests.support.traffic import Topics, read_all, unique_topics

pytestmark = pytest.mark.broker


def sink_on(broker: Broker, topics: Topics, **options: str) -> KafkaSink[int]:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaSink(Connection(broker.bootstrap, options=named), Outputs(topics.output, topics.dead_letters))


def labeled(value: bytes | None, key: bytes | None = b"key", headers: Headers = ()) -> Message:
    return Message(Destination.LABELED, key, value, headers)


def pump(sink: KafkaSink[int], until: Callable[[], bool], seconds: float = 30.0) -> list[Acknowledgement[int]]:
    known: list[Acknowledgement[int]] = []
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"nothing happened in time; known so far: {known}"
        known += sink.acknowledgements(0.02)
    return known


def fates(sink: KafkaSink[int], count: int, seconds: float = 30.0) -> list[Acknowledgement[int]]:
    """The first ``count`` acknowledgements."""
    known: list[Acknowledgement[int]] = []
    deadline = time.monotonic() + seconds
    while len(known) < count:
        assert time.monotonic() < deadline, f"{len(known)} of {count} acknowledgements came: {known}"
        known += sink.acknowledgements(0.05)
    return known


def deliveries(known: Sequence[Acknowledgement[int]]) -> dict[int, Delivery]:
    assert len({each.receipt for each in known}) == len(known), "a receipt came back twice"
    return {each.receipt: each.delivery for each in known}


@pytest.fixture
def one_partition(mock_broker: MockBroker) -> Topics:
    """An output topic of one partition, with the client connected to it."""
    topics = unique_topics()
    mock_broker.create_topic(topics.output, 1)
    mock_broker.create_topic(topics.dead_letters, 1)
    return topics


def connected(sink: KafkaSink[int]) -> KafkaSink[int]:
    """The sink after a first message, so that an injected error meets the next batch and nothing else."""
    sink.publish(labeled(b"first"), -1)
    assert deliveries(fates(sink, 1)) == {-1: Delivery.ACKNOWLEDGED}
    return sink


# ---- What arrives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"key", b"value", ()),
        (b"key", None, ()),
        (None, b"value", ()),
        (b"", b"", ()),
        (b"\x00\xff", b"\xff\x00", (("name", b"\x00\xff"),)),
        (b"key", b"value", (("none", None), ("empty", b""), ("", b"nameless"))),
        (b"key", b"value", (("twice", b"1"), ("other", b"2"), ("twice", b"3"), ("twice", b"3"))),
    ],
    ids=["plain", "tombstone", "no-key", "empty", "bytes", "odd-headers", "repeated-headers"],
)
def test_a_message_arrives_as_it_is(
    broker: Broker, topics: Topics, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    sink = sink_on(broker, topics)
    sink.publish(labeled(value, key, headers), 7)
    assert fates(sink, 1) == [Acknowledgement(7, Delivery.ACKNOWLEDGED)]
    (found,) = read_all(broker.bootstrap, topics.output)
    assert (found.key(), found.value(), tuple(found.headers() or ())) == (key, value, headers)
    assert sink.close(10)


def test_each_destination_has_its_topic(broker: Broker, topics: Topics) -> None:
    sink = sink_on(broker, topics)
    sink.publish(labeled(b"label"), 1)
    sink.publish(Message(Destination.DEAD_LETTER, b"key", b"dead", ()), 2)
    assert deliveries(fates(sink, 2)) == {1: Delivery.ACKNOWLEDGED, 2: Delivery.ACKNOWLEDGED}
    assert [found.value() for found in read_all(broker.bootstrap, topics.output)] == [b"label"]
    assert [found.value() for found in read_all(broker.bootstrap, topics.dead_letters)] == [b"dead"]
    assert sink.close(10)


def test_a_partition_keeps_the_order_of_publishing(broker: Broker, topics: Topics) -> None:
    sink = sink_on(broker, topics)
    for number in range(3000):
        sink.publish(labeled(b"%d" % number, b"key-%d" % (number % 17)), number)
    assert set(deliveries(fates(sink, 3000)).values()) == {Delivery.ACKNOWLEDGED}
    by_partition: dict[int | None, list[int]] = {}
    for found in read_all(broker.bootstrap, topics.output):
        by_partition.setdefault(found.partition(), []).append(int(found.value() or b""))
    assert len(by_partition) == 2
    assert all(numbers == sorted(numbers) for numbers in by_partition.values())
    assert sorted(number for numbers in by_partition.values() for number in numbers) == list(range(3000))
    assert sink.close(10)


@pytest.mark.parametrize(("key", "murmur2"), [(b"foobar", -790332482), (b"abc", 479470107)])
def test_keys_go_where_java_clients_put_them(broker: Broker, topics: Topics, key: bytes, murmur2: int) -> None:
    """The hashes are those of Kafka's own tests; librdkafka's default would choose the other partition for both."""
    sink = sink_on(broker, topics)
    sink.publish(labeled(b"x", key), 1)
    fates(sink, 1)
    assert [found.partition() for found in read_all(broker.bootstrap, topics.output)] == [(murmur2 & 0x7FFFFFFF) % 2]
    assert sink.close(10)


def test_waiting_for_acknowledgements_ends_in_time_when_none_are_due(broker: Broker, topics: Topics) -> None:
    sink = sink_on(broker, topics)
    began = time.monotonic()
    assert list(sink.acknowledgements(0.2)) == []
    assert time.monotonic() - began < 2
    assert sink.close(10)


# ---- Brokers away ----------------------------------------------------------------------------------------------------


def test_an_outage_is_sat_out_without_an_error_or_a_loss(mock_broker: MockBroker, one_partition: Topics) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.cut()
    for number in range(100):
        sink.publish(labeled(b"%d" % number), number)
    known = pump(sink, lambda: sink.brokers_down)
    known += pump(sink, after(3.0))  # attempts go on and fail meanwhile
    assert known == []
    assert sink.alive
    mock_broker.heal()
    known = fates(sink, 100)
    assert [each.receipt for each in known] == list(range(100))
    assert {each.delivery for each in known} == {Delivery.ACKNOWLEDGED}
    found = read_all(mock_broker.bootstrap, one_partition.output)
    assert [each.value() for each in found] == [b"first", *(b"%d" % number for number in range(100))]
    assert sink.close(10)


def test_an_acknowledgement_after_an_outage_tells_that_a_broker_is_back(
    mock_broker: MockBroker, one_partition: Topics
) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    assert not sink.brokers_down
    mock_broker.cut()
    sink.publish(labeled(b"x"), 1)
    pump(sink, lambda: sink.brokers_down)
    pump(sink, after(1.5))
    assert sink.brokers_down  # failed attempts, reported later, are no good news
    mock_broker.heal()
    fates(sink, 1)
    assert not sink.brokers_down
    assert sink.close(10)


def test_a_full_queue_keeps_order_and_loses_nothing(mock_broker: MockBroker, one_partition: Topics) -> None:
    sink = connected(sink_on(mock_broker, one_partition, queue_buffering_max_messages="7"))
    mock_broker.cut()
    for number in range(200):
        sink.publish(labeled(b"%d" % number), number)
        assert list(sink.acknowledgements(0)) == []
    mock_broker.heal()
    known = fates(sink, 200)
    assert [each.receipt for each in known] == list(range(200))
    assert {each.delivery for each in known} == {Delivery.ACKNOWLEDGED}
    found = read_all(mock_broker.bootstrap, one_partition.output)
    assert [each.value() for each in found[1:]] == [b"%d" % number for number in range(200)]
    assert sink.close(10)


def test_a_small_message_does_not_slip_past_a_large_one_that_waits(
    mock_broker: MockBroker, one_partition: Topics
) -> None:
    sink = connected(sink_on(mock_broker, one_partition, queue_buffering_max_kbytes="64"))
    mock_broker.cut()
    values = [b"x" * 40_000, b"y" * 40_000, b"z"]  # the second does not fit beside the first; the third would
    for number, value in enumerate(values):
        sink.publish(labeled(value), number)
    mock_broker.heal()
    fates(sink, 3)
    found = read_all(mock_broker.bootstrap, one_partition.output)
    assert [each.value() for each in found[1:]] == values
    assert sink.close(10)


def test_closing_sends_what_waits_behind_a_full_queue(mock_broker: MockBroker, one_partition: Topics) -> None:
    sink = sink_on(mock_broker, one_partition, queue_buffering_max_messages="7")
    for number in range(50):
        sink.publish(labeled(b"%d" % number), number)
    assert sink.close(20)
    found = read_all(mock_broker.bootstrap, one_partition.output)
    assert [each.value() for each in found] == [b"%d" % number for number in range(50)]


def test_closing_takes_no_longer_than_allowed_and_says_that_something_is_left(
    mock_broker: MockBroker, one_partition: Topics
) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.cut()
    sink.publish(labeled(b"x"), 1)
    began = time.monotonic()
    assert not sink.close(1.0)
    assert time.monotonic() - began < 3
    mock_broker.heal()


# ---- Refusals --------------------------------------------------------------------------------------------------------


def test_a_message_over_the_client_limit_is_too_large_and_alone(broker: Broker, topics: Topics) -> None:
    sink = sink_on(broker, topics, message_max_bytes="2000")
    for number, size in enumerate((10, 5000, 10)):
        sink.publish(labeled(b"x" * size), number)
    assert deliveries(fates(sink, 3)) == {
        0: Delivery.ACKNOWLEDGED,
        1: Delivery.TOO_LARGE,
        2: Delivery.ACKNOWLEDGED,
    }
    assert sink.close(10)


@pytest.mark.container
def test_a_message_over_the_topic_limit_does_not_take_its_batch_with_it(container_broker: RealBroker) -> None:
    """The broker refuses whole batches."""
    topics = unique_topics()
    container_broker.create_topic(topics.output, 1, max_message_bytes="2000")
    sink = sink_on(container_broker, topics)
    connected(sink)
    values = [os.urandom(size) for size in (100, 5000, 100, 900, 900, 900)]
    for number, value in enumerate(values):
        sink.publish(labeled(value), number)
    assert deliveries(fates(sink, 6)) == {
        number: Delivery.TOO_LARGE if number == 1 else Delivery.ACKNOWLEDGED for number in range(6)
    }
    found = [each.value() for each in read_all(container_broker.bootstrap, topics.output)]
    assert found == [b"first", values[0], *values[2:]]
    sink.publish(labeled(b"later"), 9)
    assert deliveries(fates(sink, 1)) == {9: Delivery.ACKNOWLEDGED}
    assert sink.close(10)


@pytest.mark.container
def test_records_that_a_compacted_topic_refuses_do_not_take_their_batch_with_them(container_broker: RealBroker) -> None:
    topics = unique_topics()
    container_broker.create_topic(topics.output, 1, cleanup_policy="compact")
    sink = connected(sink_on(container_broker, topics))
    keys = [b"a", None, b"b", None, b"c"]
    for number, key in enumerate(keys):
        sink.publish(labeled(b"x", key), number)
    assert deliveries(fates(sink, 5)) == {
        number: Delivery.REJECTED if key is None else Delivery.ACKNOWLEDGED for number, key in enumerate(keys)
    }
    assert sink.close(10)


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Delivery.TOO_LARGE),
        (KafkaError.INVALID_RECORD, Delivery.REJECTED),
    ],
)
def test_a_refused_batch_is_tried_again_one_by_one_in_order(
    mock_broker: MockBroker, one_partition: Topics, code: int, fate: Delivery
) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.embedded.push_errors("Produce", [code, KafkaError.NO_ERROR, code, KafkaError.NO_ERROR])
    for number in range(3):
        sink.publish(labeled(b"%d" % number), number)
    known = fates(sink, 3)
    assert deliveries(known) == {0: Delivery.ACKNOWLEDGED, 1: fate, 2: Delivery.ACKNOWLEDGED}
    sink.publish(labeled(b"3"), 3)
    fates(sink, 1)
    found = [each.value() for each in read_all(mock_broker.bootstrap, one_partition.output)]
    assert found == [b"first", b"0", b"2", b"3"]
    assert sink.close(10)


def test_what_is_published_while_a_refused_batch_is_tried_again_waits_its_turn(
    mock_broker: MockBroker, one_partition: Topics
) -> None:
    sink = connected(sink_on(mock_broker, one_partition, linger_ms="100"))  # all 20 travel in one batch
    mock_broker.embedded.push_errors("Produce", [KafkaError.MSG_SIZE_TOO_LARGE])
    for number in range(20):
        sink.publish(labeled(b"%d" % number), number)
    known = fates(sink, 1)
    for number in range(20, 40):
        sink.publish(labeled(b"%d" % number), number)
    known += fates(sink, 40 - len(known))
    assert set(deliveries(known).values()) == {Delivery.ACKNOWLEDGED}
    found = read_all(mock_broker.bootstrap, one_partition.output)
    assert [each.value() for each in found[1:]] == [b"%d" % number for number in range(40)]
    assert sink.close(10)


def test_a_missing_right_is_a_refusal_that_names_the_remedy(mock_broker: MockBroker, one_partition: Topics) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.embedded.push_errors("Produce", [KafkaError.TOPIC_AUTHORIZATION_FAILED])
    sink.publish(labeled(b"secret"), 1)
    (answer,) = fates(sink, 1)
    assert answer.delivery is Delivery.REFUSED
    assert f"--add --allow-principal User:NAME --operation Write --topic {one_partition.output}" in (answer.detail)
    assert "secret" not in answer.detail
    sink.publish(labeled(b"next"), 2)  # refused at once by the client now
    (answer,) = fates(sink, 1)
    assert (answer.receipt, answer.delivery) == (2, Delivery.REFUSED)
    assert "kafka-acls" in answer.detail
    assert sink.close(10)


def test_a_topic_that_does_not_exist_is_refused_and_not_made(broker: Broker) -> None:
    topics = unique_topics()
    sink = sink_on(broker, topics, topic_metadata_propagation_max_ms="1000")
    sink.publish(labeled(b"x"), 1)
    (answer,) = fates(sink, 1)
    assert answer.delivery is Delivery.REFUSED
    assert "create the topic" in answer.detail
    assert sink.close(10)


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_PRODUCER_ID, KafkaError.INVALID_PRODUCER_EPOCH])
def test_a_forgotten_producer_recovers_by_itself_or_asks_for_the_message_again(
    mock_broker: MockBroker, one_partition: Topics, code: int
) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.embedded.push_errors("Produce", [code])
    left = {number: b"%d" % number for number in range(5)}
    for number, value in left.items():
        sink.publish(labeled(value), number)
    while left:
        for each in fates(sink, 1):
            if each.delivery is Delivery.RETRY:
                sink.publish(labeled(left[each.receipt]), each.receipt)
            else:
                assert each.delivery is Delivery.ACKNOWLEDGED
                del left[each.receipt]
    assert sink.alive
    found = {each.value() for each in read_all(mock_broker.bootstrap, one_partition.output)}
    assert found == {b"first", *(b"%d" % number for number in range(5))}
    assert sink.close(10)


@pytest.mark.parametrize("code", [KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_LEADER_FOR_PARTITION])
def test_what_passes_by_itself_is_never_seen(mock_broker: MockBroker, one_partition: Topics, code: int) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.embedded.push_errors("Produce", [code] * 3)
    sink.publish(labeled(b"x"), 1)
    assert fates(sink, 1) == [Acknowledgement(1, Delivery.ACKNOWLEDGED)]
    assert sink.close(10)


def test_a_dead_producer_says_so_and_never_as_a_bare_system_error(
    mock_broker: MockBroker, one_partition: Topics
) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.embedded.push_errors("Produce", [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])
    for number in range(3):
        sink.publish(labeled(b"%d" % number), number)
    with pytest.raises(OutputRefused, match="restart the process"):
        pump(sink, lambda: False)
    assert not sink.alive
    sink.publish(labeled(b"too late"), 9)  # raises nothing: its fate comes with its receipt, or the sink says why not
    with pytest.raises(OutputRefused, match="restart the process"):
        pump(sink, lambda: False)
    began = time.monotonic()
    sink.close(2.0)
    assert time.monotonic() - began < 4


@pytest.fixture
def broken_log() -> Iterator[None]:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[fail], cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("broken_log")
def test_a_log_that_cannot_be_written_does_not_end_the_producer(mock_broker: MockBroker, one_partition: Topics) -> None:
    sink = connected(sink_on(mock_broker, one_partition))
    mock_broker.cut()
    sink.publish(labeled(b"x"), 1)
    pump(sink, lambda: sink.brokers_down)
    mock_broker.heal()
    assert deliveries(fates(sink, 1)) == {1: Delivery.ACKNOWLEDGED}
    assert sink.close(10)


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
