"""Reads both output topics from their beginning, all along, as a downstream reader would."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

import orjson
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from consumer.demo.audit import Coordinates, Output
from consumer.demo.traffic import Fate
from schemas.dead_letter import SOURCE_OFFSET_HEADER, SOURCE_PARTITION_HEADER

_AT_MOST = 2000
_TIMEOUT = 10.0


class ReadBack(threading.Thread):
    """Reads in a thread of its own until :meth:`finish`. It has no group and commits nothing."""

    def __init__(
        self, bootstrap: str, labeled_topic: str, dead_letter_topic: str, outputs: queue.SimpleQueue[list[Output]]
    ) -> None:
        """Make a reader; ``outputs`` gets what was read, some at a time."""
        super().__init__(name="demo-readback", daemon=True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "demo-readback",
                "group.id": "demo-readback",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # the embedded broker dropped records that were not read yet
                "fetch.wait.max.ms": 10,
                "log_level": 2,
            }
        )
        self._labeled_topic = labeled_topic
        self._dead_letter_topic = dead_letter_topic
        self._outputs = outputs
        self._finishing = threading.Event()
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why reading ended before its time."""
        return self._failure

    def finish(self) -> None:
        """Read what the topics hold now, then end. To be called when nobody writes any more."""
        self._finishing.set()

    def run(self) -> None:
        """Read."""
        try:
            partitions = self._partitions()
            self._consumer.assign(partitions)
            while not self._finishing.is_set():
                self._read()
            ends = {(p.topic, p.partition): self._end(p) for p in partitions}
            deadline = time.monotonic() + _TIMEOUT
            while any(p.offset < ends[p.topic, p.partition] for p in self._positions(partitions)):
                if time.monotonic() > deadline:
                    self._failure = "the output topics could not be read to their end"
                    break
                self._read()
        except (KafkaException, _Unreadable) as error:
            self._failure = str(error)
        finally:
            self._consumer.close()

    def _partitions(self) -> list[TopicPartition]:
        found = []
        for topic in (self._labeled_topic, self._dead_letter_topic):
            metadata = self._consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic]
            found += [TopicPartition(topic, number, 0) for number in metadata.partitions]
        return found

    def _end(self, partition: TopicPartition) -> int:
        return int(self._consumer.get_watermark_offsets(partition, timeout=_TIMEOUT)[1])

    def _positions(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Where reading goes on; a partition that gave nothing yet is at its beginning (-1001)."""
        positions: list[TopicPartition] = self._consumer.position(list(partitions))
        return [TopicPartition(p.topic, p.partition, max(0, p.offset)) for p in positions]

    def _read(self) -> None:
        first = self._consumer.poll(0.05)
        if first is None:
            return
        at = time.monotonic()  # consume() alone would sit out its timeout
        self._outputs.put([self._output(message, at) for message in (first, *self._consumer.consume(_AT_MOST, 0))])

    def _output(self, message: Message, at: float) -> Output:
        if (error := message.error()) is not None:
            raise _Unreadable(f"an output topic cannot be read: {error}")
        if message.topic() == self._dead_letter_topic:
            return _dead_letter(message, at)
        return _labeled_event(message, at)


class _Unreadable(Exception):
    """An output is not what the program says it writes. The message holds nothing of its content."""


def _labeled_event(message: Message, at: float) -> Output:
    try:
        event = orjson.loads(message.value() or b"")
        source = event["source"]
        return Output(
            source=Coordinates(source["partition"], source["offset"]),
            fate=Fate(event["status"]),
            at=at,
            labels=tuple(label["label"] for label in event["labels"] if label["flagged"]),
            text=event.get("text") or "",
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _Unreadable(f"a labeled event is not as its schema says ({type(error).__name__})") from None


def _dead_letter(message: Message, at: float) -> Output:
    headers = dict(message.headers() or ())
    try:
        source = Coordinates(int(headers[SOURCE_PARTITION_HEADER] or b""), int(headers[SOURCE_OFFSET_HEADER] or b""))
    except (ValueError, KeyError) as error:
        raise _Unreadable(f"a dead letter's headers do not say where it is from ({type(error).__name__})") from None
    return Output(source, Fate.DEAD_LETTERED, at)
