"""From settings to Kafka clients, and the whole program on the embedded broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import CollectorRegistry

from consumer.delivery.ports import Acknowledgement, Delivery
from consumer.delivery.records import Destination, Message
from consumer.demo.broker import BrokerFailed, EmbeddedBroker
from consumer.kafka.settings import CatchUp, StartPosition
from consumer.service.kafka import catch_up_of, connection_of, membership_of, start_of
from consumer.service.metrics import Metrics
from consumer.service.timed import TIMED, TimedSink
from consumer.settings.catch_up import CatchUpSettings
from consumer.settings.kafka import KafkaSettings

MODEL = files("consumer.demo") / "model"
COMMENTS = 400


def test_settings_become_librdkafkas_names_and_secrets_are_not_shown():
    settings = KafkaSettings.model_validate(
        {
            "bootstrap_servers": "one.example:9093",
            "security_protocol": "sasl_ssl",
            "sasl_mechanism": "PLAIN",
            "sasl_username": "labels",
            "sasl_password": "hunter2",
            "extra": {"fetch.wait.max.ms": 5, "check.crcs": False},
        }
    )
    connection = connection_of(settings)
    assert connection.security == {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "labels",
        "sasl.password": "hunter2",
    }
    assert connection.options == {"fetch.wait.max.ms": "5", "check.crcs": "false"}
    assert "hunter2" not in repr(connection)


def test_membership_is_taken_over_whole():
    membership = membership_of(
        KafkaSettings.model_validate(
            {
                "bootstrap_servers": "localhost:1",
                "group_id": "g",
                "input_topic": "t",
                "group_protocol": "consumer",
                "group_instance_id": "pod-0",
                "start_position": "latest",
                "out_of_range": "earliest",
            }
        )
    )
    assert (membership.group_id, membership.topic, membership.protocol) == ("g", "t", "consumer")
    assert (membership.instance_id, membership.out_of_range) == ("pod-0", "earliest")
    assert membership.start == StartPosition("latest")


def test_catching_up_newest_first_is_off_unless_asked_for():
    assert catch_up_of(CatchUpSettings(chunk=5)) is None
    assert catch_up_of(CatchUpSettings(order="newest_first", behind=5, chunk=7)) == CatchUp(5, 7)


def test_a_start_time_becomes_milliseconds():
    assert start_of(datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)) == StartPosition("timestamp", 1500)
    assert start_of("earliest") == StartPosition("earliest")


def test_acknowledgements_are_timed_by_sample_and_passed_on_unchanged():
    now = [100.0]

    class Later:
        def __init__(self) -> None:
            self.receipts: list[object] = []

        def publish(self, message: Message, receipt: object) -> None:
            self.receipts.append(receipt)

        def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[object]]:
            return [Acknowledgement(receipt, Delivery.ACKNOWLEDGED) for receipt in self.receipts]

    metrics = Metrics(CollectorRegistry())
    sink = TimedSink(Later(), metrics, lambda: now[0])
    receipts = [object() for _ in range(2 * TIMED)]
    for receipt in receipts:
        sink.publish(Message(Destination.LABELED, None, None, ()), receipt)
    now[0] += 3.0
    assert [each.receipt for each in sink.acknowledgements(0)] == receipts
    sample = metrics.registry.get_sample_value
    assert sample("comment_consumer_acknowledge_seconds_count") == 2
    assert sample("comment_consumer_acknowledge_seconds_sum") == 6.0


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker({"comments": 2, "labeled-comments": 2, "comments-dead-letters": 1})
    try:
        broker.__enter__()
    except BrokerFailed as failed:
        pytest.skip(f"no embedded broker here: {failed}")
    yield broker
    broker.__exit__(None, None, None)


def feed(broker: EmbeddedBroker) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(COMMENTS):
        value = json.dumps({"id": str(number), "text": f"加油{number % 50}"}).encode() if number % 100 else b"no json"
        producer.produce("comments", value, key=str(number % 5).encode())
    assert producer.flush(20) == 0


def outputs(broker: EmbeddedBroker, patience: float) -> dict[tuple[int, int], int]:
    """How often each input coordinate of a label was seen, read until all are there or ``patience`` seconds passed."""
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition("labeled-comments", number, 0) for number in range(2)])
    seen: dict[tuple[int, int], int] = {}
    end = time.monotonic() + patience
    while len(seen) < COMMENTS - 4 and time.monotonic() < end:
        message = reader.poll(0.2)
        if message is not None and message.error() is None:
            source = json.loads(message.value() or b"")["source"]
            where = source["partition"], source["offset"]
            seen[where] = seen.get(where, 0) + 1
    reader.close()
    return seen


def committed(broker: EmbeddedBroker) -> int:
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "comment-consumer"})
    partitions = reader.committed([TopicPartition("comments", number) for number in range(2)], timeout=10)
    reader.close()
    return sum(max(0, partition.offset) for partition in partitions)


@pytest.mark.skipif(not MODEL.is_dir(), reason="the demo model is not in this checkout")
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_run_labels_everything_once_commits_it_and_ends_with_0_on_sigterm(broker: EmbeddedBroker, protocol: str):
    feed(broker)
    settings = {
        "KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
        "KAFKA__GROUP_PROTOCOL": protocol,
        "MODEL__SOURCE": str(MODEL),
        "MODEL__THREADS": "1",
        "MODEL__DEVICE": "cpu",
        "HTTP__PORT": "0",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")}
    worker = subprocess.Popen(
        [sys.executable, "-m", "consumer", "run"],
        env=environment | {f"CONSUMER_{name}": value for name, value in settings.items()},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        seen = outputs(broker, 90)
        worker.send_signal(signal.SIGTERM)
        _, err = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert worker.returncode == 0, err
    assert len(seen) == COMMENTS - 4
    assert set(seen.values()) == {1}
    assert committed(broker) == COMMENTS
    assert "加油" not in err
    assert json.loads(err.splitlines()[-1])["exit_code"] == 0
