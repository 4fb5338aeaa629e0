"""The output and dead-letter topics through one idempotent producer. One thread calls everything here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Generic

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.delivery import records
from consumer.delivery.deadline import Deadline
from consumer.delivery.errors import OutputRefused
from consumer.delivery.ports import Acknowledgement, Delivery, ReceiptT
from consumer.kafka.broker_state import BrokerState
from consumer.kafka.config import producer_config
from consumer.kafka.errors import advise, delivery_of, find_kafka_error, is_fatal
from consumer.kafka.settings import Connection, Outputs

_AGAIN = "what was not acknowledged is published again"
RETRY_PAUSE = 0.05  # seconds until a message is offered again to a client whose queue is full


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
        self._brokers = BrokerState("producer")
        self._producer = Producer({**producer_config(connection), "error_cb": self._brokers.on_error})
        self._known: deque[Acknowledgement[ReceiptT]] = deque()
        self._failed: deque[tuple[ReceiptT, KafkaError, str]] = deque()
        self._backlog: deque[tuple[records.Message, ReceiptT]] = deque()
        self._dead = False

    @property
    def alive(self) -> bool:
        """False once the producer can never publish again."""
        return not self._dead and self._brokers.fatal is None

    @property
    def brokers_down(self) -> bool:
        """Whether no broker could be reached, and none was heard of since."""
        return self._brokers.down

    def heard_of_brokers(self) -> None:
        """Somebody else found that a broker answers; an idle producer would not notice by itself."""
        self._brokers.heard()

    def publish(self, message: records.Message, receipt: ReceiptT) -> None:
        """See :meth:`consumer.delivery.ports.Sink.publish`."""
        if self._backlog or not self._produce(message, receipt):
            self._backlog.append((message, receipt))

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[ReceiptT]]:
        """See :meth:`consumer.delivery.ports.Sink.acknowledgements`.

        Raises:
            OutputRefused: the producer is dead; what it had is published again after a restart.
        """
        self._serve(0.0 if self._known or self._failed else timeout)
        self._send_backlog()
        self._judge_failed()
        if not self.alive:
            fatal = self._brokers.fatal
            reason = advise(fatal) if fatal is not None else "the client does not say why"
            raise OutputRefused(f"the Kafka producer is dead: {reason}; restart the process: {_AGAIN}")
        if not self._known:
            return ()
        known = list(self._known)
        self._known.clear()
        return known

    def close(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for what is on its way; return whether nothing is left.

        What becomes known meanwhile is still there for :meth:`acknowledgements`.
        """
        deadline = Deadline(time.monotonic, timeout)
        try:
            while self._backlog and not deadline.passed:
                self._serve(min(RETRY_PAUSE, deadline.remaining))
                self._send_backlog()
            left = self._producer.flush(deadline.remaining)
        except (KafkaException, SystemError, OutputRefused):
            return False
        return not left and not self._backlog

    def _send_backlog(self) -> None:
        while self._backlog and self._produce(*self._backlog[0]):
            self._backlog.popleft()

    def _produce(self, message: records.Message, receipt: ReceiptT) -> bool:
        """Hand a message to the client; return False if its queue is full."""
        topic = self._topics[message.destination]
        try:
            self._producer.produce(
                topic,
                message.value,
                message.key,
                on_delivery=partial(self._delivered, receipt, topic),
                headers=list(message.headers) or None,
            )
        except BufferError:
            return False
        except KafkaException as refused:
            error = find_kafka_error(refused)
            assert error is not None  # produce() raises it with one
            self._failed.append((receipt, error, topic))
        except SystemError:  # how some fatal errors surface
            self._dead = True
        return True

    def _serve(self, timeout: float) -> None:
        try:
            self._producer.poll(timeout)
        except (KafkaException, SystemError) as error:
            self._dead = True
            raise OutputRefused(
                f"the Kafka producer is dead ({type(error).__name__}); restart the process: {_AGAIN}"
            ) from error

    def _delivered(self, receipt: ReceiptT, topic: str, error: KafkaError | None, message: Message) -> None:
        # Runs inside poll(), perhaps with a fatal error pending that makes every call into the client fail: note only.
        if error is None:
            self._known.append(Acknowledgement(receipt, Delivery.ACKNOWLEDGED))
        else:
            self._failed.append((receipt, error, topic))

    def _judge_failed(self) -> None:
        if self._known:
            self._brokers.heard()
        while self._failed:
            receipt, error, topic = self._failed.popleft()
            if is_fatal(error):
                self._dead = True
                self._brokers.fatal = self._brokers.fatal or error
            detail = advise(error, topic=topic, operation="Write")
            self._known.append(Acknowledgement(receipt, delivery_of(error), detail))
