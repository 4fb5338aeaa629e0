"""Puts synthetic comments into the input topic, at a rate or as fast as they are answered."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.demo.audit import Coordinates, Fed
from consumer.demo.traffic import Event

_FLUSH_TIMEOUT = 20.0


class Feeder(threading.Thread):
    """Feeds events in a thread of its own until they end or :meth:`stop` is called.

    It never runs more than ``ahead`` events before what was answered (:meth:`answered`): the embedded broker keeps
    only the last few megabytes of a partition and would silently drop what nobody has read yet.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        events: Iterable[Event],
        *,
        rate: float | None,
        ahead: int,
        fed: queue.SimpleQueue[Fed],
        client: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Make a feeder.

        Args:
            bootstrap: the broker's address.
            topic: the input topic.
            events: what to feed, in this order.
            rate: events a second, or ``None`` for as fast as they are answered.
            ahead: most events on their way at once.
            fed: each event is told here once the broker has taken it.
            client: librdkafka's options for a broker that is not the embedded one.
        """
        super().__init__(name="demo-feeder", daemon=True)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "demo-feeder",
                "enable.idempotence": True,
                "linger.ms": 2,
                "partitioner": "murmur2_random",
                "log_level": 2,
                **client,
            }
        )
        self._topic = topic
        self._events = events
        self._rate = rate
        self._room = threading.Semaphore(ahead)
        self._fed = fed
        self._stopped = threading.Event()
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why feeding ended before its time."""
        return self._failure

    def answered(self, count: int) -> None:
        """Tell that ``count`` more events have come out at the other end."""
        if count:
            self._room.release(count)

    def stop(self) -> None:
        """Feed nothing more; the thread ends when the broker has taken what was sent."""
        self._stopped.set()

    def run(self) -> None:
        """Feed."""
        try:
            self._feed()
            left = self._producer.flush(_FLUSH_TIMEOUT)
            if left and self._failure is None:
                self._failure = f"the broker did not take {left} comments within {_FLUSH_TIMEOUT:.0f} s"
        except KafkaException as error:
            self._failure = str(error)

    def _feed(self) -> None:
        start = time.monotonic()
        for number, event in enumerate(self._events):
            while not self._room.acquire(timeout=0.05):
                self._producer.poll(0)
                if self._stopped.is_set():
                    return
            if self._rate is not None:
                self._stopped.wait(max(0.0, start + number / self._rate - time.monotonic()))
            if self._stopped.is_set() or self._failure is not None:
                return
            self._send(event)
            self._producer.poll(0)

    def _send(self, event: Event) -> None:
        at = time.monotonic()

        def taken(error: KafkaError | None, message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if error is not None or partition is None or offset is None:
                self._failure = f"the broker refused a comment: {error}"
            else:
                self._fed.put(Fed(Coordinates(partition, offset), event.fate, at))

        self._producer.produce(self._topic, value=event.value, key=event.key, on_delivery=taken)
