"""The embedded broker: a process that answers, and that never outlives who started it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from consumer.demo import broker as broker_module
from consumer.demo.broker import BrokerFailed, EmbeddedBroker, serve
from consumer.demo.mock_cluster import MockClusterMissing
from tests.support.traffic import produce, read_all

pytestmark = pytest.mark.broker


def broker_processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "consumer.demo.broker" in each.cmdline()]


def test_it_has_the_topics_it_was_asked_for() -> None:
    with EmbeddedBroker({"one": 1, "four": 4}) as broker:
        broker.create_topic("later", 2)
        found = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics
        assert {name: len(topic.partitions) for name, topic in found.items()} == {"one": 1, "four": 4, "later": 2}


def test_it_keeps_what_is_produced() -> None:
    with EmbeddedBroker({"in": 2}) as broker:
        produce(broker.bootstrap, "in", [b"a", None, b""], key=b"k", headers=[("name", None)])
        found = read_all(broker.bootstrap, "in")
        assert [(each.key(), each.value(), each.headers()) for each in found] == [
            (b"k", b"a", [("name", None)]),
            (b"k", None, [("name", None)]),
            (b"k", b"", [("name", None)]),
        ]


def test_it_may_have_several_brokers() -> None:
    with EmbeddedBroker({"in": 3}, brokers=3) as broker:
        assert len(broker.bootstrap.split(",")) == 3
        found = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10)
        assert len(found.brokers) == 3
        assert {len(partition.replicas) for partition in found.topics["in"].partitions.values()} == {3}
        broker.set_coordinator("group", 2)
        broker.set_round_trip(1, broker=2)


def test_every_fault_is_answered() -> None:
    with EmbeddedBroker({"in": 1}) as broker:
        broker.push_errors("Produce", [KafkaError.NOT_LEADER_FOR_PARTITION])
        broker.clear_errors("Produce")
        broker.set_down()
        broker.set_up()
        produce(broker.bootstrap, "in", [b"x"])


@pytest.mark.parametrize(
    "fault",
    [
        lambda broker: broker.push_errors("NoSuchRequest", [1]),
        lambda broker: broker.create_topic("in", 1),
    ],
    ids=["unknown-request", "topic-exists"],
)
def test_a_command_that_fails_says_so_and_leaves_the_broker_running(fault: Callable[[EmbeddedBroker], None]) -> None:
    with EmbeddedBroker({"in": 1}) as broker:
        with pytest.raises(BrokerFailed):
            fault(broker)
        produce(broker.bootstrap, "in", [b"x"])


def test_its_process_is_gone_afterwards() -> None:
    with EmbeddedBroker({"in": 1}):
        (process,) = broker_processes()
    assert not process.is_running()


def test_its_process_is_gone_after_a_failure_as_well() -> None:
    started: list[psutil.Process] = []

    def fail() -> None:
        started.extend(broker_processes())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), EmbeddedBroker({"in": 1}):
        fail()
    (process,) = started
    assert not process.is_running()


def test_a_broker_that_dies_is_told_by_the_next_command() -> None:
    with EmbeddedBroker({"in": 1}) as broker:
        (process,) = broker_processes()
        process.kill()
        process.wait(10)
        with pytest.raises(BrokerFailed):
            broker.create_topic("later", 1)


def test_a_broker_that_cannot_start_says_so() -> None:
    with pytest.raises(BrokerFailed), EmbeddedBroker({"in": -1}):
        pass
    assert broker_processes() == []


def test_it_ends_with_its_input_whoever_started_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer.demo.broker", "1", "in=1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert json.loads(process.stdout.readline())["bootstrap"].startswith("127.0.0.1:")
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_client_library_without_the_mock_cluster_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(brokers: int) -> None:
        raise MockClusterMissing("this librdkafka does not export rd_kafka_mock_cluster_new")

    monkeypatch.setattr(broker_module, "MockCluster", missing)
    assert serve(1, {}) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "this librdkafka does not export rd_kafka_mock_cluster_new"}
