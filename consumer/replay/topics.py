"""Are the topics there that a replay of dead letters needs, and may we use them? Asked before anything is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from consumer.kafka.config import admin_config
from consumer.kafka.settings import Connection
from consumer.kafka.topics import ASK_TIMEOUT, TopicsUnusable, check_topics
from consumer.settings.loading import BadSettings


def check_usable(
    connection: Connection, topics: dict[str, str], reads: Collection[str], asked_to_stop: Callable[[], bool]
) -> None:
    """Wait for a broker, and see that these topics (setting to name) may be read or, if not in ``reads``, written.

    Raises:
        BadSettings: an answer came, and it is no.
    """

    def sleep(seconds: float) -> None:
        end = time.monotonic() + seconds
        while not asked_to_stop() and time.monotonic() < end:
            time.sleep(0.05)

    try:
        check_topics(connection, topics, asked_to_stop, sleep, reads=reads)
    except TopicsUnusable as unusable:
        raise BadSettings(unusable.lines) from None


def check_ledger(connection: Connection, topic: str, *, going: bool, asked_to_stop: Callable[[], bool]) -> bool:
    """See that the ledger topic may be used, and never forgets; return whether there is one.

    Raises:
        BadSettings: it is missing, may not be used, or deletes what it holds after a while. A dry run needs none.
        KafkaException: the brokers do not answer.
    """
    setting = "--ledger-topic"
    admin = AdminClient(admin_config(connection))  # type: ignore[arg-type]
    found = admin.list_topics(topic, timeout=ASK_TIMEOUT).topics[topic]
    if found.error is not None and found.error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        if not going:
            return False
        raise BadSettings(
            [
                f"{setting}={topic}: there is no such topic; it notes what was sent back. Create it: kafka-topics "
                f"--create --topic {topic} --partitions 1 --config cleanup.policy=compact"
            ]
        )
    check_usable(connection, {setting: topic}, [setting], asked_to_stop)
    if going:
        check_usable(connection, {setting: topic}, [], asked_to_stop)
        if _forgets(admin, topic):
            raise BadSettings(
                [
                    f"{setting}={topic}: it deletes old markers, and what they note would be sent again. Let it "
                    f"keep them: kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact"
                ]
            )
    return True


def _forgets(admin: AdminClient, topic: str) -> bool:
    """Whether the topic deletes records by age or size; ``False`` where we may not ask."""
    try:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        (asked,) = admin.describe_configs([resource], request_timeout=ASK_TIMEOUT).values()
        config = {name: entry.value for name, entry in asked.result(ASK_TIMEOUT + 1).items()}
    except (KafkaException, TimeoutError):
        return False
    deletes = "delete" in str(config.get("cleanup.policy", ""))
    return deletes and any(config.get(name) != "-1" for name in ("retention.ms", "retention.bytes"))
