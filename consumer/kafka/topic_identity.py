"""Notices that the input topic is gone, or is another one of the same name.

The client does not tell: it keeps its position, and goes on at that offset of whatever topic has the name now. The
records below would never be read, though the group's offset passes them. So the brokers are asked for the topic's id
now and then, without waiting for the answer.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Final, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription  # type: ignore[attr-defined]

from consumer.delivery.errors import SourceFailed
from consumer.delivery.ports import Clock
from consumer.kafka.errors import find_kafka_error

ASK_EVERY: Final = 10.0  # seconds
ASK_AGAIN: Final = 2.0  # seconds, once it seemed to be gone: brokers that start up do not know every topic at once
ASK_TIMEOUT: Final = 5.0
GONE_AFTER: Final = 3  # answers in a row

_GONE: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})

log = structlog.get_logger()


class MadeAnew(SourceFailed):
    """The topic has another id than before: it was deleted and created again. ``topic_id`` is the new one."""

    def __init__(self, message: str, topic_id: str) -> None:
        super().__init__(message)
        self.topic_id = topic_id


class Asks(Protocol):
    """What is needed of an :class:`AdminClient`."""

    def describe_topics(
        self, topics: TopicCollection, *, request_timeout: float
    ) -> dict[str, Future[TopicDescription]]: ...


class TopicIdentity:
    """Looks after one topic. :meth:`tick` belongs to the poll thread and never waits."""

    def __init__(self, admin: AdminClient | Asks, topic: str, clock: Clock) -> None:
        self._admin = admin
        self._topic = topic
        self._clock = clock
        self._id: str | None = None
        self._gone = 0
        self._answer: Future[TopicDescription] | None = None
        self._due = clock()

    def establish(self, patience: float = ASK_TIMEOUT) -> tuple[str, list[int]] | None:
        """Ask once and wait for it: the topic's id, and its partitions. ``None`` if the brokers do not tell."""
        asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=patience)
        try:
            found = asked[self._topic].result(patience + 1.0)
        except (KafkaException, TimeoutError):
            return None
        self._compare(str(found.topic_id))
        return str(found.topic_id), [each.id for each in found.partitions]

    def tick(self) -> None:
        """Ask if it is time, and judge what was answered.

        Raises:
            SourceFailed: the topic is gone.
            MadeAnew: another topic has its name.
        """
        if self._answer is None:
            if self._clock() >= self._due:
                asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=ASK_TIMEOUT)
                self._answer = asked[self._topic]
            return
        if not self._answer.done():
            return
        answer, self._answer = self._answer, None
        self._due = self._clock() + ASK_EVERY
        try:
            found = answer.result()
        except KafkaException as failed:
            self._judge(find_kafka_error(failed))
            return
        self._gone = 0
        self._compare(str(found.topic_id))

    def _judge(self, error: KafkaError | None) -> None:
        if error is None or error.code() not in _GONE:
            return  # nobody answers, or we may not ask: no news
        self._gone += 1
        self._due = self._clock() + ASK_AGAIN
        log.warning("the input topic is not there", topic=self._topic, answers=self._gone)
        if self._gone >= GONE_AFTER:
            raise SourceFailed(
                f"the topic {self._topic} was deleted while it was read. Create it again and start; the group then "
                "begins as kafka.start_position says"
            )

    def _compare(self, found: str) -> None:
        if self._id is not None and found != self._id:
            raise MadeAnew(
                f"the topic {self._topic} was deleted and made anew while it was read. The group's offsets were set to "
                "the beginning of the new one for the partitions that were read here: start again",
                found,
            )
        self._id = found
