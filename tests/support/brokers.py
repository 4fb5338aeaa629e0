"""The two brokers that tests run on, behind one face: librdkafka's mock cluster, and a real Kafka in a container."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from confluent_kafka.admin import AdminClient, NewTopic

from consumer.demo.broker import EmbeddedBroker

DEFAULT_IMAGE = "confluentinc/cp-kafka:8.1.0"


class Broker(Protocol):
    """What a test may do to either broker."""

    kind: str

    @property
    def bootstrap(self) -> str: ...

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None: ...

    def cut(self) -> None:
        """Make the broker unreachable."""

    def heal(self) -> None: ...


class MockBroker:
    """The embedded broker; topic settings do not exist there."""

    kind = "mock"

    def __init__(self, embedded: EmbeddedBroker) -> None:
        self.embedded = embedded

    @property
    def bootstrap(self) -> str:
        return self.embedded.bootstrap

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        self.embedded.create_topic(name, partitions)

    def cut(self) -> None:
        self.embedded.set_down()

    def heal(self) -> None:
        self.embedded.set_up()


class RealBroker:
    """Kafka in a container."""

    kind = "real"

    def __init__(self, bootstrap: str, container_id: str) -> None:
        self.bootstrap = bootstrap
        self._container_id = container_id
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        topic = NewTopic(name, partitions, 1, config={key.replace("_", "."): value for key, value in config.items()})
        for future in self.admin.create_topics([topic]).values():
            future.result(30)
        # Created is not yet known to every part of the broker: wait until its partitions have leaders.
        deadline = time.monotonic() + 30
        while True:
            found = self.admin.list_topics(name, timeout=10).topics[name]
            if len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions.values()):
                return
            assert time.monotonic() < deadline, f"the topic {name} does not come up"

    def delete_topic(self, name: str) -> None:
        for future in self.admin.delete_topics([name]).values():
            future.result(30)

    def cut(self) -> None:
        self._docker("pause")

    def heal(self) -> None:
        self._docker("unpause")

    def _docker(self, verb: str) -> None:
        subprocess.run(["docker", verb, self._container_id], check=True, capture_output=True)


@contextmanager
def embedded_broker() -> Iterator[MockBroker]:
    with EmbeddedBroker({}) as embedded:
        yield MockBroker(embedded)


def why_no_container() -> str | None:
    """Why a container cannot be started here, or None."""
    try:
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "no Docker daemon answers"
    image = os.environ.get("KAFKA_TEST_IMAGE", DEFAULT_IMAGE)
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0:
        return None
    if subprocess.run(["docker", "pull", image], capture_output=True, check=False, timeout=600).returncode == 0:
        return None
    return f"the image {image} is neither here nor to be pulled (KAFKA_TEST_IMAGE names another one)"


@contextmanager
def real_broker(**environment: str) -> Iterator[RealBroker]:
    """A broker in a container; ``environment`` is added to its own, in cp-kafka's spelling."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    from testcontainers.community.kafka import KafkaContainer

    container = (
        KafkaContainer(os.environ.get("KAFKA_TEST_IMAGE", DEFAULT_IMAGE))
        .with_kraft()
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    )
    for name, value in environment.items():
        container.with_env(name, value)
    with container as running:
        yield RealBroker(running.get_bootstrap_server(), running.get_wrapped_container().id)
