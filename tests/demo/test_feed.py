"""``python -m consumer.demo.feed``, as a process of its own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from consumer.demo.traffic import events
from tests.support.brokers import MockBroker

pytestmark = pytest.mark.broker


@pytest.fixture
def bootstrap(mock_broker: MockBroker) -> str:
    """It makes no topics by itself, as brokers in production do not."""
    mock_broker.create_topic("in", 4)
    return mock_broker.bootstrap


def start(bootstrap: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")}
    environment |= {"CONSUMER_KAFKA__BOOTSTRAP_SERVERS": bootstrap, "CONSUMER_KAFKA__INPUT_TOPIC": "in"}
    return subprocess.Popen(
        [sys.executable, "-m", "consumer.demo.feed", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(bootstrap: str, count: int) -> list[bytes]:
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "r", "enable.auto.commit": False, "log_level": 2})
    reader.assign([TopicPartition("in", number, 0) for number in range(4)])
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += [message.value() or b"" for message in reader.consume(count, 0.2) if message.error() is None]
    reader.close()
    return found


def test_as_many_comments_as_asked_for_are_on_the_topic(bootstrap: str) -> None:
    feeding = start(bootstrap, "--comments", "60", "--rate", "1000")
    said, complaints = feeding.communicate(timeout=60)
    assert (feeding.returncode, said.splitlines()[-1], complaints) == (0, "60 comments fed", "")
    assert sorted(read(bootstrap, 60)) == sorted(event.value for event in itertools.islice(events(1), 60))


def test_a_signal_ends_it_in_order(bootstrap: str) -> None:
    feeding = start(bootstrap, "--rate", "200")
    assert read(bootstrap, 20), "it feeds"
    feeding.send_signal(signal.SIGTERM)
    said, _ = feeding.communicate(timeout=60)
    assert feeding.returncode == 0
    count = int(said.splitlines()[-1].split()[0])
    assert len(read(bootstrap, count)) == count


def test_it_ends_after_its_time(bootstrap: str) -> None:
    feeding = start(bootstrap, "--seconds", "0.3", "--rate", "50")
    said, _ = feeding.communicate(timeout=60)
    assert feeding.returncode == 0
    assert 0 < int(said.splitlines()[-1].split()[0]) < 200


def test_what_is_wrong_is_told_in_a_line(bootstrap: str) -> None:
    feeding = start("broker:9092")
    _, complaints = feeding.communicate(timeout=60)
    assert feeding.returncode == 2
    assert complaints.startswith("comment-consumer: kafka: security_protocol is plaintext")
    feeding = start(bootstrap, "--kafka.input-topic", "nowhere", "--comments", "1", "--kafka.group", "x")
    _, complaints = feeding.communicate(timeout=60)
    assert feeding.returncode == 2
    assert "--kafka.group: there is no such setting" in complaints
