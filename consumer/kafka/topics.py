"""Are the topics there, and may we see them? Asked once, before the group is joined."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from consumer.kafka.config import admin_config
from consumer.kafka.errors import advise, find_kafka_error
from consumer.kafka.grants import Grantee
from consumer.kafka.hosts import explain_strangers
from consumer.kafka.login_errors import first_explanation
from consumer.kafka.settings import Connection

ASK_TIMEOUT = 5.0  # seconds for one answer
BACKOFF = wait_exponential(multiplier=0.5, max=5.0)  # seconds between attempts while no broker answers

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
    group: str | None = None,
    reads: Collection[str] = ("kafka.input_topic",),
) -> None:
    """Ask for every topic (setting name to topic name) until a broker answers, or until ``give_up()``.

    Those named by ``reads`` will be read, the others written. With ``group``, the right to read in that group is asked
    for too.

    A broker that is away is waited for, however long: it will come back, and restarting this process would not help.

    Raises:
        TopicsUnusable: an answer came, and it is no.
    """
    heard: list[KafkaError] = []
    client = AdminClient({**admin_config(connection), "error_cb": heard.append})  # type: ignore[dict-item]

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
    ask(_ask, client, connection, topics, reads, group, heard)


def _ask(
    client: AdminClient,
    connection: Connection,
    topics: dict[str, str],
    reads: Collection[str],
    group: str | None,
    heard: list[KafkaError],
) -> None:
    lines: list[str] = []
    seen: dict[str, str] = {}
    for setting, topic in topics.items():
        heard.clear()
        try:
            cluster = client.list_topics(topic, timeout=ASK_TIMEOUT)
        except KafkaException as error:
            client.poll(0)  # serves the error callback; asking does not
            no = first_explanation(heard, connection)
            if no is not None:
                raise TopicsUnusable([f"kafka: {no}"]) from error
            kafka_error = find_kafka_error(error)
            raise _Unreachable(kafka_error.name() if kafka_error else "") from error
        if connection.local_only:
            leaves = explain_strangers(str(broker.host) for broker in cluster.brokers.values())
            if leaves is not None:
                raise TopicsUnusable([f"kafka.bootstrap_servers: {leaves}"])
        found = cluster.topics[topic]
        if found.error is not None:
            if found.error.retriable() and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise _Unreachable(found.error.name())
            operation = "Read" if setting in reads else "Write"
            told = advise(found.error, topic=topic, operation=operation, to=connection.grantee)
            lines.append(f"{setting}={topic}: {told}")
        else:
            seen[setting] = topic
    if cluster.controller_id in cluster.brokers:  # the questions go to the controller, and would wait for one
        lines += _missing_on_topics(client, connection.grantee, seen, reads) if seen else []
        lines += [] if group is None else _missing_in_group(client, connection.grantee, group)
    if lines:
        raise TopicsUnusable(lines)


def _missing_on_topics(client: AdminClient, to: Grantee, topics: dict[str, str], reads: Collection[str]) -> list[str]:
    """What we may not do with topics that we can see, as far as the brokers tell; the others tell when it is tried."""
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
            lines.append(f"{setting}={topic}: {advise(missing, topic=topic, operation=operation, to=to)}")
    return lines


def _missing_in_group(client: AdminClient, to: Grantee, group: str) -> list[str]:
    asked = client.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=ASK_TIMEOUT)
    try:
        allowed = asked[group].result(ASK_TIMEOUT).authorized_operations
    except (KafkaException, TimeoutError) as failed:
        error = find_kafka_error(failed)
        if error is None or error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
            return []  # most often it does not exist yet; joining will tell
    else:
        if not allowed or AclOperation.READ in allowed:
            return []
    missing = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    return [f"kafka.group_id={group}: {advise(missing, group=group, to=to)}"]
