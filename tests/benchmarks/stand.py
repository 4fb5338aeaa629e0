"""The stand that everything is measured on: a broker, a model, and the real program, on CPUs of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from tests.benchmarks import machine
from tests.benchmarks.comments import Sent
from tests.benchmarks.models import model_folder
from tests.conformance.program import Program
from tests.support.brokers import Broker, RealBroker, embedded_broker, real_broker
from tests.support.traffic import Topics, read_all, unique_topics

PARTITIONS = 4


@dataclass
class Stand:
    """``cpus`` are those of the program; ``settings`` are given to it."""

    broker: Broker
    model: Path
    cpus: Sequence[int]
    settings: dict[str, object] = field(default_factory=dict)

    def topics(self) -> Topics:
        """New topics; outputs carry the time at which the broker wrote them."""
        names = unique_topics()
        self.broker.create_topic(names.input, PARTITIONS)
        self.broker.create_topic(names.output, PARTITIONS, message_timestamp_type="LogAppendTime")
        self.broker.create_topic(names.dead_letters, 1, message_timestamp_type="LogAppendTime")
        return names

    @contextmanager
    def program(self, topics: Topics, **settings: object) -> Iterator[Program]:
        """The program, ready, on the stand's CPUs, with as many threads for the model as it would take by itself."""
        values: dict[str, object] = {"model.source": self.model, "model.threads": len(self.cpus)}
        values |= self.settings | settings
        program = Program(self.broker.bootstrap, topics, **values)
        with machine.spawning_on(self.cpus):
            program.__enter__()
        try:
            yield program
        finally:
            program.__exit__(None, None, None)

    def fill(self, topic: str, comments: Iterable[Sent]) -> None:
        """Write all of them and wait for their acknowledgements."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 20, "compression.type": "lz4"})
        failed: list[object] = []

        def delivered(error: object, message: Message) -> None:
            if error is not None:
                failed.append(error)

        for comment in comments:
            while True:
                try:
                    producer.produce(topic, comment.value, comment.key, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert not producer.flush(60)
        assert not failed, failed

    def outputs(self, topics: Topics) -> int:
        """Messages written so far: labeled events and dead letters."""
        where = [TopicPartition(topics.dead_letters, 0)]
        where += [TopicPartition(topics.output, number) for number in range(PARTITIONS)]
        return sum(self._asking.get_watermark_offsets(each, timeout=30)[1] for each in where)

    @cached_property
    def _asking(self) -> Consumer:
        """One client for all looks: connecting anew each time would be a load of its own."""
        return Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "nobody"})

    def await_outputs(self, topics: Topics, count: int, seconds: float, look: Callable[[int], None] = lambda _: None):
        """Wait until so many are written; ``look`` is called with the number at every look, twice a second."""
        deadline = time.monotonic() + seconds
        while (written := self.outputs(topics)) < count:
            assert time.monotonic() < deadline, f"{written} of {count} outputs after {seconds:g} s"
            look(written)
            time.sleep(0.5)
        look(written)

    def written(self, topics: Topics) -> list[Message]:
        """Every output, in the order of their times."""
        messages = read_all(self.broker.bootstrap, topics.output, timeout=120)
        messages += read_all(self.broker.bootstrap, topics.dead_letters, timeout=60)
        messages.sort(key=lambda message: message.timestamp()[1])
        return messages

    @property
    def broker_pid(self) -> int | None:
        """The container's first process; ``None`` for the embedded broker."""
        return machine.container_pid(self.broker._container_id) if isinstance(self.broker, RealBroker) else None


@contextmanager
def stand(
    broker: str, model: str, cpus: Sequence[int], settings: dict[str, object], broker_cpus: Sequence[int] = ()
) -> Iterator[Stand]:
    """Set one up; the broker shares the program's CPUs if it is given none of its own."""
    with model_folder(model) as folder, ExitStack() as stack:
        with machine.spawning_on(broker_cpus or cpus):
            running = stack.enter_context(_broker(broker))
        if isinstance(running, RealBroker):
            machine.pin_container(running._container_id, broker_cpus or cpus)
        yield Stand(running, folder, cpus, settings)


@contextmanager
def _broker(kind: str) -> Iterator[Broker]:
    if kind == "mock":
        with embedded_broker() as embedded:
            yield embedded
    else:
        with real_broker() as real:
            yield real


def labeled_events(messages: Iterable[Message]) -> Iterator[tuple[dict[str, object], int]]:
    """The labeled events among outputs, and when each was written (ms since the epoch)."""
    for message in messages:
        value = message.value()
        if message.error() is None and value is not None and b'"schema_version"' in value:
            yield json.loads(value), message.timestamp()[1]
