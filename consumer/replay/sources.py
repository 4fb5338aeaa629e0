"""The record that a stub stands for, read again from where it failed, as long as the input topic keeps it."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.delivery.deadline import Deadline
from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Record
from consumer.kafka.errors import Severity, advise, severity_of
from consumer.kafka.received import record_of
from consumer.kafka.settings import Connection
from consumer.replay.bounded import kafka_trouble, reader_config
from consumer.replay.letters import Letter, is_record_of

FETCH_TIMEOUT: Final = 10.0  # seconds for one record

GONE: Final = "no_longer_in_the_input"
CHANGED: Final = "not_the_record_that_failed"
UNREADABLE: Final = "header_names_unreadable"


class Unobtainable(Exception):
    """The record cannot be had; ``reason`` is one of the words above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sources:
    """Reads single records of the input topic."""

    def __init__(self, connection: Connection, group: str, topic: str) -> None:
        one_at_a_time = {"queued.min.messages": 1, "fetch.wait.max.ms": 20}
        self._consumer = Consumer(reader_config(connection, group, topic) | one_at_a_time)
        self._topic = topic

    def fetch(self, letter: Letter) -> Record:
        """The record of this letter, the very one.

        Raises:
            Unobtainable: it is gone, or another one stands there now, or it cannot be written again as it was.
            SourceFailed: the brokers refuse, or do not answer in time.
        """
        try:
            found = self._read(letter.source.number, letter.says.source_offset)
        except KafkaException as failed:
            raise SourceFailed(f"reading {self._topic} failed: {kafka_trouble(failed, topic=self._topic)}") from failed
        if found is None:
            raise Unobtainable(GONE)
        if not is_record_of(letter, found):
            raise Unobtainable(CHANGED)
        if found.headers is None:
            raise Unobtainable(UNREADABLE)
        return found

    def _read(self, number: int, offset: int) -> Record | None:
        self._consumer.assign([TopicPartition(self._topic, number, offset)])
        deadline = Deadline(time.monotonic, FETCH_TIMEOUT)
        while not deadline.passed:
            message = self._consumer.poll(0.1)
            if message is None or message.partition() != number:
                continue
            error = message.error()
            if error is None:
                return record_of(message) if message.offset() == offset else None
            if error.code() == KafkaError._PARTITION_EOF or severity_of(error) is Severity.NO_OFFSET:
                return None
            if error.code() == KafkaError._UNKNOWN_PARTITION:
                return None
            if severity_of(error) is Severity.STOP and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise SourceFailed(f"reading {self._topic} is not possible: {advise(error, topic=self._topic)}")
        raise SourceFailed(f"{self._topic}/{number} cannot be read at {offset} within {FETCH_TIMEOUT:g} s")

    def close(self) -> None:
        """Forget the consumer."""
        self._consumer.close()
