"""The output and dead-letter topics through one idempotent producer. One thread calls everything here."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Generic

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.delivery import records
from consumer.delivery.errors import OutputRefused
from consumer.delivery.ports import Acknowledgement, Delivery, ReceiptT
from consumer.kafka.config import producer_config
from consumer.kafka.errors import advise, delivery_of, find_kafka_error
from consumer.kafka.settings import Connection, Outputs

log = structlog.get_logger()


class KafkaSink(Generic[ReceiptT]):
    """Implements :class:`consumer.delivery.ports.Sink`.

    The client's queue is larger than what may be in flight, so it is full only when the brokers are away; then
    messages wait here, in order, in a backlog that the flow limits bound.
    """

    def __init__(self, connection: Connection, outputs: Outputs) -> None:
        self._topics: Mapping[records.Destination, str] = {
            records.Destination.LABELED: outputs.labeled,
            records.Destination.DEAD_LETTER: outputs.dead_letters,
        }
        self._producer = Producer({**producer_config(connection), "error_cb": self._on_error})
        self._known: deque[Acknowledgement[ReceiptT]] = deque()
        self._backlog: deque[tuple[records.Message, ReceiptT]] = deque()
        self._fatal: KafkaError | None = None
        self.brokers_down = False

    @property
    def alive(self) -> bool:
        """False once the producer can never publish again."""
        return self._fatal is None

    def publish(self, message: records.Message, receipt: ReceiptT) -> None:
        """See :meth:`consumer.delivery.ports.Sink.publish`."""
        if self._backlog or not self._produce(message, receipt):
            self._backlog.append((message, receipt))

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[ReceiptT]]:
        """See :meth:`consumer.delivery.ports.Sink.acknowledgements`.

        Raises:
            OutputRefused: the producer is dead; what it had is published again after a restart.
        """
        self._serve(0.0 if self._known else timeout)
        while self._backlog and self._produce(*self._backlog[0]):
            self._backlog.popleft()
        known = list(self._known)
        self._known.clear()
        return known

    def close(self, timeout: float) -> bool:
        """Wait for what is on its way; return whether nothing is left."""
        try:
            return not self._producer.flush(timeout) and not self._backlog
        except (KafkaException, SystemError):
            return False

    def _produce(self, message: records.Message, receipt: ReceiptT) -> bool:
        """Hand a message to the client; return False if its queue is full."""
        try:
            self._producer.produce(
                self._topics[message.destination],
                message.value,
                message.key,
                on_delivery=partial(self._delivered, receipt),
                headers=list(message.headers) or None,
            )
        except BufferError:
            return False
        except KafkaException as refused:
            error = find_kafka_error(refused)
            self._settle(receipt, error, self._topics[message.destination])
        return True

    def _serve(self, timeout: float) -> None:
        try:
            self._producer.poll(timeout)
        except (KafkaException, SystemError) as error:  # SystemError: how some fatal errors surface
            raise OutputRefused(
                f"the Kafka producer failed ({type(error).__name__}); restart the process: what was not acknowledged "
                "is published again"
            ) from error
        if self._fatal is not None:
            raise OutputRefused(f"the Kafka producer is dead: {advise(self._fatal)}; restart the process")

    def _delivered(self, receipt: ReceiptT, error: KafkaError | None, message: Message) -> None:
        # Runs inside poll(): an exception here would leave it.
        if error is None:
            self._known.append(Acknowledgement(receipt, Delivery.ACKNOWLEDGED))
        else:
            self._settle(receipt, error, message.topic() or "")

    def _settle(self, receipt: ReceiptT, error: KafkaError | None, topic: str) -> None:
        if error is None:
            self._known.append(Acknowledgement(receipt, Delivery.REFUSED, "the client refused the message"))
            return
        detail = advise(error, topic=topic, operation="Write")
        self._known.append(Acknowledgement(receipt, delivery_of(error), detail))

    def _on_error(self, error: KafkaError) -> None:
        self.brokers_down = error.code() == KafkaError._ALL_BROKERS_DOWN
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = error
        log.warning("kafka producer", error=error.name(), detail=error.str())
