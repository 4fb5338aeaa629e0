"""The output and dead-letter topics through one idempotent producer. One thread calls everything here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Generic

import structlog
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
# Answers that the broker gives to a whole batch when one of its messages, or only their sum, deserves them.
_OF_A_BATCH = frozenset({Delivery.TOO_LARGE, Delivery.REJECTED})
RETRY_PAUSE = 0.05  # seconds until a message is offered again to a client whose queue is full

log = structlog.get_logger()


class KafkaSink(Generic[ReceiptT]):
    """Implements :class:`consumer.delivery.ports.Sink`.

    The client's queue is larger than what may be in flight, so it is full only when the brokers are away; then
    messages wait here, in order, in a backlog that the flow limits bound.

    A broker refuses a whole batch as too large or invalid, though one message may be to blame, or none: a topic's
    ``max.message.bytes`` bounds the batch. Its messages are then sent again one at a time, and only what is refused
    alone is reported as refused. Batches that were on their way already may overtake them.
    """

    def __init__(self, connection: Connection, outputs: Outputs) -> None:
        self._topics: Mapping[records.Destination, str] = {
            records.Destination.LABELED: outputs.labeled,
            records.Destination.DEAD_LETTER: outputs.dead_letters,
        }
        self._grantee = connection.grantee
        self._brokers = BrokerState("producer")
        self._producer = Producer({**producer_config(connection), "error_cb": self._brokers.on_error})
        self._known: deque[Acknowledgement[ReceiptT]] = deque()
        self._failed: deque[tuple[records.Message, ReceiptT, KafkaError, bool]] = deque()
        self._backlog: deque[tuple[records.Message, ReceiptT]] = deque()
        self._doubted: deque[tuple[records.Message, ReceiptT]] = deque()  # refused in a batch; to be sent alone
        self._under_way = 0
        self._isolating = False  # from the first doubted message until the last one's answer
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

    def set_credentials(self, user: str, password: str) -> None:
        """Log in with these from now on; connections that stand are kept."""
        self._producer.set_sasl_credentials(user, password)

    def publish(self, message: records.Message, receipt: ReceiptT) -> None:
        """See :meth:`consumer.delivery.ports.Sink.publish`."""
        if self._backlog or self._isolating or not self._produce(message, receipt):
            self._backlog.append((message, receipt))

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[ReceiptT]]:
        """See :meth:`consumer.delivery.ports.Sink.acknowledgements`.

        Raises:
            OutputRefused: the producer is dead; what it had is published again after a restart.
        """
        self._serve(0.0 if self._known or self._failed else timeout)
        self._judge_failed()
        self._send_backlog()
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
            while (self._backlog or self._isolating) and not deadline.passed:
                self._serve(min(RETRY_PAUSE, deadline.remaining))
                self._judge_failed()
                self._send_backlog()
            left = self._producer.flush(deadline.remaining)
        except (KafkaException, SystemError, OutputRefused):
            return False
        return not left and not self._backlog and not self._doubted

    def _send_backlog(self) -> None:
        if self._isolating and not self._under_way:
            if self._doubted:
                if self._produce(*self._doubted[0], alone=True):
                    self._doubted.popleft()
                return
            self._isolating = False
        while not self._isolating and self._backlog and self._produce(*self._backlog[0]):
            self._backlog.popleft()

    def _produce(self, message: records.Message, receipt: ReceiptT, *, alone: bool = False) -> bool:
        """Hand a message to the client; return False if its queue is full."""
        topic = self._topics[message.destination]
        try:
            self._producer.produce(
                topic,
                message.value,
                message.key,
                on_delivery=partial(self._delivered, message, receipt, alone),
                headers=list(message.headers) or None,
            )
        except BufferError:
            return False
        except KafkaException as refused:
            error = find_kafka_error(refused)
            assert error is not None  # produce() raises it with one
            self._failed.append((message, receipt, error, True))
            return True
        except SystemError:  # how some fatal errors surface
            self._dead = True
            return True
        self._under_way += 1
        return True

    def _serve(self, timeout: float) -> None:
        try:
            self._producer.poll(timeout)
        except (KafkaException, SystemError) as error:
            self._dead = True
            raise OutputRefused(
                f"the Kafka producer is dead ({type(error).__name__}); restart the process: {_AGAIN}"
            ) from error

    def _delivered(
        self, message: records.Message, receipt: ReceiptT, alone: bool, error: KafkaError | None, sent: Message
    ) -> None:
        # Runs inside poll(), perhaps with a fatal error pending that makes every call into the client fail: note only.
        self._under_way -= 1
        if error is None:
            self._known.append(Acknowledgement(receipt, Delivery.ACKNOWLEDGED))
        else:
            self._failed.append((message, receipt, error, alone))

    def _judge_failed(self) -> None:
        if self._known:
            self._brokers.heard()
        while self._failed:
            message, receipt, error, alone = self._failed.popleft()
            if is_fatal(error):
                self._dead = True
                self._brokers.fatal = self._brokers.fatal or error
            delivery = delivery_of(error)
            if not alone and (delivery in _OF_A_BATCH or error.code() == KafkaError._INVALID_DIFFERENT_RECORD):
                self._doubt(message, receipt, error)
                continue
            topic = self._topics[message.destination]
            detail = advise(error, topic=topic, operation="Write", to=self._grantee)
            self._known.append(Acknowledgement(receipt, delivery, detail))

    def _doubt(self, message: records.Message, receipt: ReceiptT, error: KafkaError) -> None:
        if not self._isolating:
            self._isolating = True
            topic = self._topics[message.destination]
            log.warning("batch refused; its messages go again one by one", error=error.name(), topic=topic)
        self._doubted.append((message, receipt))
