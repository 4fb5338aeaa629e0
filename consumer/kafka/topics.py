"""Are the topics there, and may we see them? Asked once, before the group is joined."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from consumer.kafka.config import admin_config
from consumer.kafka.errors import advise, find_kafka_error
from consumer.kafka.settings import Connection

ASK_TIMEOUT = 5.0  # seconds for one answer
BACKOFF = wait_exponential(multiplier=0.5, max=5.0)  # seconds between attempts while no broker answers

_LOGIN_FAILED = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)

log = structlog.get_logger()


class TopicsUnusable(Exception):
    """Topics are missing or may not be seen, or the brokers refuse the login; ``lines`` say which and what to do."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(self.lines))


class _Unreachable(Exception):
    """No broker answers yet."""


def check_topics(
    connection: Connection,
    topics: dict[str, str],
    give_up: Callable[[], bool],
    sleep: Callable[[float], None],
    reads: Collection[str] = ("kafka.input_topic",),
) -> None:
    """Ask for every topic (setting name to topic name) until a broker answers, or until ``give_up()``.

    Those named by ``reads`` will be read, the others written.

    A broker that is away is waited for, however long: it will come back, and restarting this process would not help.

    Raises:
        TopicsUnusable: an answer came, and it is no.
    """
    refused: list[KafkaError] = []

    def on_error(error: KafkaError) -> None:
        if error.code() in _LOGIN_FAILED:
            refused.append(error)

    client = AdminClient({**admin_config(connection), "error_cb": on_error})  # type: ignore[dict-item]

    def say(state: RetryCallState) -> None:
        log.warning("no broker answers yet", attempt=state.attempt_number)

    ask = Retrying(
        retry=retry_if_exception_type(_Unreachable),
        wait=BACKOFF,
        sleep=sleep,
        stop=lambda state: give_up(),
        before_sleep=say,
        retry_error_callback=lambda state: None,
    )
    ask(_ask, client, topics, refused, reads)


def _ask(client: AdminClient, topics: dict[str, str], refused: list[KafkaError], reads: Collection[str]) -> None:
    lines = []
    for setting, topic in topics.items():
        try:
            found = client.list_topics(topic, timeout=ASK_TIMEOUT).topics[topic]
        except KafkaException as error:
            client.poll(0)  # serves the error callback; asking does not
            if refused:
                raise TopicsUnusable([f"kafka: {advise(refused[0])}"]) from error
            kafka_error = find_kafka_error(error)
            raise _Unreachable(kafka_error.name() if kafka_error else "") from error
        if found.error is not None:
            if found.error.retriable() and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise _Unreachable(found.error.name())
            operation = "Read" if setting in reads else "Write"
            lines.append(f"{setting}={topic}: {advise(found.error, topic=topic, operation=operation)}")
    lines = lines or _missing_rights(client, topics, reads)
    if lines:
        raise TopicsUnusable(lines)


def _missing_rights(client: AdminClient, topics: dict[str, str], reads: Collection[str]) -> list[str]:
    """What we may not do with topics that we can see, as far as the brokers tell; the others tell when it is tried."""
    cluster = client.list_topics(next(iter(topics.values())), timeout=ASK_TIMEOUT)
    if cluster.controller_id not in cluster.brokers:
        return []  # the question goes to the controller, and would wait for one
    asked = client.describe_topics(
        TopicCollection(sorted(set(topics.values()))), include_authorized_operations=True, request_timeout=ASK_TIMEOUT
    )
    lines = []
    for setting, topic in topics.items():
        needed = AclOperation.READ if setting in reads else AclOperation.WRITE
        try:
            allowed = asked[topic].result(ASK_TIMEOUT).authorized_operations
        except (KafkaException, TimeoutError) as error:
            log.warning("rights are not known", topic=topic, raised=type(error).__name__)
            continue
        if allowed and needed not in allowed:
            missing = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
            operation = needed.name.capitalize()
            lines.append(f"{setting}={topic}: {advise(missing, topic=topic, operation=operation)}")
    return lines
