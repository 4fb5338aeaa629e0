import itertools
import json
import threading

import pytest
from confluent_kafka import Consumer, Producer

from consumer.classifier.preprocessing import seed as preprocess
from consumer.delivery.records import Failure, Partition, Record, Skipped
from consumer.demo.worker import WorkerFailed
from consumer.events.decode import Decoder
from schemas.dead_letter import SOURCE_OFFSET_HEADER, SOURCE_PARTITION_HEADER


@pytest.fixture
def bootstrap():
    """The address of a fresh mock cluster in this process; topics have four partitions."""
    broker = Producer({"bootstrap.servers": "ignored", "test.mock.num.brokers": 1, "log_level": 2})
    found = broker.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{each.host}:{each.port}" for each in found)
    del broker


class StandIn:
    """Stands in for the worker process: a thread that answers comments without a model, and has a flaw if told to."""

    def __init__(self, settings, flaw=None, at=100):
        self.settings = settings
        self.flaw = flaw
        self.at = at
        self._stopping = threading.Event()
        self._assigned = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()

    def ready(self):
        return self._assigned.is_set()

    def check(self):
        if self.flaw == "dies" and not self._thread.is_alive():
            raise WorkerFailed("the consumer ended with exit code 1")

    def metrics(self):
        return "# TYPE comment_consumer_cache_hits_total counter\ncomment_consumer_cache_hits_total 7\n"

    def stop(self):
        self._stopping.set()
        self._thread.join()

    def _run(self):
        address = {"bootstrap.servers": self.settings["kafka.bootstrap_servers"], "log_level": 2}
        consumer = Consumer(
            address
            | {
                "group.id": self.settings["kafka.group_id"],
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        producer = Producer(address | {"linger.ms": 1})
        consumer.subscribe([self.settings["kafka.input_topic"]], on_assign=lambda *_: self._assigned.set())
        decoder = Decoder(preprocess=preprocess, max_tokens=512, max_bytes=100_000)
        numbers = itertools.count()
        while not self._stopping.is_set():
            first = consumer.poll(0.02)
            for message in [first, *consumer.consume(500, 0)] if first else ():
                number = next(numbers)
                if number == self.at and self.flaw == "dies":
                    consumer.close()
                    return
                if number == self.at and self.flaw == "loses one":
                    continue
                for _ in range(2 if number == self.at and self.flaw == "doubles one" else 1):
                    self._answer(producer, decoder, message)
            if first:
                producer.flush()
                if self.flaw != "commits nothing":
                    consumer.commit(asynchronous=False)
        consumer.close()

    def _answer(self, producer, decoder, message):
        record = Record(Partition("", message.partition()), message.offset(), 0, message.key(), message.value())
        (decoded,) = decoder.decode([record])
        if isinstance(decoded, Failure):
            headers = [
                (SOURCE_PARTITION_HEADER, str(message.partition()).encode()),
                (SOURCE_OFFSET_HEADER, str(message.offset()).encode()),
            ]
            topic = self.settings["kafka.dead_letter_topic"]
            producer.produce(topic, key=message.key(), value=message.value(), headers=headers)
            return
        skipped = isinstance(decoded, Skipped)
        event = {
            "status": "skipped" if skipped else "labeled",
            "source": {"partition": message.partition(), "offset": message.offset()},
            "labels": [] if skipped else [{"label": "Cheer", "flagged": True}, {"label": "Chat", "flagged": False}],
        }
        producer.produce(self.settings["kafka.output_topic"], key=message.key(), value=json.dumps(event).encode())


@pytest.fixture
def stand_in():
    return StandIn
