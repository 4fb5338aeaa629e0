"""Records sent in transactions: all of a batch or nothing, whatever happens to this process.

One transactional id for everybody who writes the same ledger: opening a sender ends an earlier one's open transaction
and fences it, so two runs at the same time never both send the same letter. What a killed run had committed is seen by
the next one, which reads the ledger after it has opened its sender.

After anything that is not a plain "yes" the producer is thrown away. Where it is not known whether a transaction was
committed, the run ends: the next one finds the answer in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.delivery.deadline import Deadline
from consumer.delivery.errors import OutputRefused
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Headers
from consumer.kafka.config import ConfigValue, producer_config
from consumer.kafka.errors import advise, delivery_of, find_kafka_error, is_fatal
from consumer.kafka.settings import Connection

TRANSACTION_TIMEOUT: Final = 15.0
"""Seconds until the broker aborts the transaction of a killed run; until then readers of the input wait behind it."""
OPEN_TIMEOUT: Final = 60.0  # seconds to open; longer than an earlier run's transaction can be in the way
END_TIMEOUT: Final = 30.0  # seconds for a commit or an abort
_LARGEST: Final = 1_000_000_000  # the client's own limit; the topic's decides

_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)
_AGAIN: Final = "what was committed is in the ledger: run the same command again, nothing is sent twice"


class Outgoing(NamedTuple):
    """One record to write; ``partition`` -1 leaves it to the key."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class BatchRefused(Exception):
    """The topic takes none of this batch because of what is in it; nothing of it was written."""


class TransactionalSender:
    """Sends batches, each in a transaction of its own. One thread calls everything here."""

    def __init__(self, connection: Connection, transactional_id: str) -> None:
        """Make the client; no broker is asked yet.

        Raises:
            ConfigError: an option is on the deny list.
            KafkaException: the client refuses an option.
        """
        config: dict[str, ConfigValue] = {"message.max.bytes": _LARGEST} | producer_config(connection)
        self._config = config | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": int(TRANSACTION_TIMEOUT * 1000),
            "message.timeout.ms": int(TRANSACTION_TIMEOUT * 1000),
        }
        self._transactional_id = transactional_id
        self._producer = Producer(self._config)
        self._failed: list[tuple[str, KafkaError]] = []
        self._topics: set[str] = set()

    def open(self) -> None:
        """End what an earlier sender left open, and fence it.

        Raises:
            OutputRefused: it cannot be done; the message says what to do.
        """
        try:
            self._producer.init_transactions(OPEN_TIMEOUT)
        except KafkaException as failed:
            raise self._stopped("transactions cannot be begun", failed, "") from failed

    def send(self, records: Sequence[Outgoing]) -> None:
        """Write all of these, or none.

        Raises:
            BatchRefused: a topic takes no such record; none was written, and the next batch may be sent.
            OutputRefused: nothing can be sent any more, or it is not known whether this was.
        """
        self._failed.clear()
        self._topics = {record.topic for record in records}
        try:
            self._producer.begin_transaction()
            self._produce(records)
            self._producer.commit_transaction(END_TIMEOUT)
        except (KafkaException, SystemError) as failed:
            self._after_failure(failed)

    def _produce(self, records: Sequence[Outgoing]) -> None:
        deadline = Deadline(time.monotonic, TRANSACTION_TIMEOUT)
        for record in records:
            while True:
                try:
                    self._producer.produce(
                        record.topic,
                        record.value,
                        record.key,
                        partition=record.partition,
                        headers=list(record.headers) or None,
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:
                    if deadline.passed:
                        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
                    self._producer.poll(0.05)
                except KafkaException as refused:
                    error = find_kafka_error(refused)
                    if error is not None:
                        self._failed.append((record.topic, error))
                    raise

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        # Runs inside the client, perhaps with an error pending: note only.
        if error is not None:
            self._failed.append((message.topic() or "", error))

    def _after_failure(self, failed: Exception) -> None:
        """Raise what a failed transaction means, after it was aborted if that is known to be possible."""
        error = find_kafka_error(failed)
        blamed = next((each for each in self._failed if not _is_echo(each[1])), None)
        if error is None or is_fatal(error) or error.code() in _FENCED or blamed is None:
            raise self._stopped("a transaction failed", failed) from failed
        topic, reason = blamed
        if delivery_of(reason) not in (Delivery.TOO_LARGE, Delivery.REJECTED):
            raise OutputRefused(f"{topic}: {advise(reason, topic=topic, operation='Write')}; {_AGAIN}") from failed
        # A new producer under the same id aborts what this one left open, and cannot be reached by its stragglers.
        try:
            self._producer.purge()
            self._producer.abort_transaction(END_TIMEOUT)
        except (KafkaException, SystemError):
            pass
        self._producer = Producer(self._config)
        self.open()
        raise BatchRefused(f"{topic}: {reason.name()}: {reason.str()}") from failed

    def _stopped(self, what: str, failed: Exception, again: str = f"; {_AGAIN}") -> OutputRefused:
        error = find_kafka_error(failed)
        if error is None:
            return OutputRefused(f"{what} ({type(failed).__name__}){again}")
        if error.code() in _FENCED:
            return OutputRefused(
                f"{what}: another replay with this ledger has begun, or the brokers gave this one up{again}"
            )
        topics = " --topic ".join(sorted(self._topics))  # the client does not say which of them it is about
        advice = advise(error, topic=topics, operation="Write", transactional_id=self._transactional_id)
        return OutputRefused(f"{what}: {advice}{again}")

    def close(self) -> None:
        """Forget the producer; what is not committed never becomes visible."""
        try:
            self._producer.purge()
            self._producer.poll(0)
        except (KafkaException, SystemError):
            pass


def _is_echo(error: KafkaError) -> bool:
    """Whether a message failed only because its transaction did."""
    return error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._STATE)
