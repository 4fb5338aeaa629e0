"""The broker that the demo and the tests bring along."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from consumer.demo import broker as broker_module
from consumer.demo.broker import BrokerFailed, EmbeddedBroker, serve
from consumer.demo.mock_cluster import MockClusterMissing
from tests.support.brokers import MockBroker

pytestmark = pytest.mark.broker


def test_its_topics_have_the_partitions_asked_for() -> None:
    with EmbeddedBroker({"one": 1, "three": 3}, brokers=2) as broker:
        assert len(broker.bootstrap.split(",")) == 2
        topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics
        assert {name: len(topic.partitions) for name, topic in topics.items()} == {"one": 1, "three": 3}


def test_a_command_that_fails_is_told_and_the_broker_lives_on(mock_broker: MockBroker) -> None:
    with pytest.raises(BrokerFailed, match="push_errors"):
        mock_broker.embedded.push_errors("NoSuchRequest", [KafkaError.UNKNOWN])
    mock_broker.create_topic("twice")
    with pytest.raises(BrokerFailed, match="twice"):
        mock_broker.create_topic("twice")
    mock_broker.create_topic("after")
    assert "after" in AdminClient({"bootstrap.servers": mock_broker.bootstrap}).list_topics(timeout=10).topics


def test_it_ends_when_nobody_holds_its_input_any_more() -> None:
    """So a killed test or demo leaves no broker behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer.demo.broker", "1", "in=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["bootstrap"]
    process.stdin.close()
    assert process.wait(15) == 0
    process.stdout.close()


def test_a_client_library_without_the_mock_cluster_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(brokers: int) -> None:
        raise MockClusterMissing("this librdkafka does not export rd_kafka_mock_cluster_new")

    monkeypatch.setattr(broker_module, "MockCluster", missing)
    assert serve(1, {}) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "this librdkafka does not export rd_kafka_mock_cluster_new"}
