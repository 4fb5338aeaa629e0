"""Asks a cluster all that :mod:`consumer.checks.judge` wants to know, and leaves nothing behind in its topics.

Reading is really tried: one fetch at the end of the input topic, by a consumer that is in no group. Joining the group
is really tried when it has no members; while it has, that would make them rebalance. Writing cannot be tried without a
record that stays, so the brokers are asked what this login may do: the answer comes from the authorizer that would
judge the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from consumer.checks.facts import ClusterFacts, GroupFacts, TopicFacts, Tried
from consumer.kafka.config import admin_config, consumer_config
from consumer.kafka.errors import advise, find_kafka_error
from consumer.kafka.hosts import explain_strangers
from consumer.kafka.login_errors import first_explanation
from consumer.kafka.settings import Connection, Membership

ASK_TIMEOUT: Final = 5.0  # seconds for one answer
JOIN_TIMEOUT: Final = 15.0

# Each question is answered by one of these: without a right to the topic its offsets in the group are refused too, and
# without one to the group a consumer says so while it fetches.
_NO_TOPIC: Final = KafkaError.TOPIC_AUTHORIZATION_FAILED
_NO_GROUP: Final = KafkaError.GROUP_AUTHORIZATION_FAILED
_TELLING = (KafkaError._SSL, KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._RESOLVE)


def ask_cluster(connection: Connection, membership: Membership, topics: Sequence[str]) -> ClusterFacts:
    """Ask; takes a few seconds, more when nobody answers. ``topics`` are input, output and dead letters.

    Raises:
        KafkaException: librdkafka refuses an option.
        ConfigError: an option is on the deny list.
    """
    heard: list[KafkaError] = []
    admin = AdminClient({**admin_config(connection), "error_cb": heard.append})  # type: ignore[dict-item]
    try:
        cluster = admin.list_topics(topics[0], timeout=ASK_TIMEOUT)
        hosts = tuple(sorted({str(broker.host) for broker in cluster.brokers.values()}))
        if connection.local_only and (leaves := explain_strangers(hosts)) is not None:
            return ClusterFacts(unreachable=leaves)
        # What is asked of an administrator goes to the controller, and would wait for one.
        describes = cluster.controller_id in cluster.brokers
        found = [_topic(admin, topic, describes=describes) for topic in topics]
    except KafkaException as error:
        admin.poll(0)  # serves the error callback; asking does not
        telling = sorted(heard, key=lambda each: each.code() not in _TELLING)
        reason = telling[0] if telling else find_kafka_error(error)
        plain = advise(reason) if reason else type(error).__name__
        return ClusterFacts(unreachable=first_explanation(heard, connection) or plain)
    readable = found[0].partitions > 0
    group = _group(admin, connection, membership, describes=describes, joins=readable)
    fetch = _fetch(connection, membership) if readable else Tried.NOT_TRIED
    return ClusterFacts(len(cluster.brokers), tuple(found), fetch, group, hosts=hosts)


def _topic(admin: AdminClient, name: str, *, describes: bool) -> TopicFacts:
    found = admin.list_topics(name, timeout=ASK_TIMEOUT).topics[name]
    if found.error is not None:
        return TopicFacts(
            problem=advise(found.error, topic=name),
            hidden=found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED,
        )
    partitions = found.partitions
    description = config = None
    if describes:
        description = _answer(
            lambda: admin.describe_topics(
                TopicCollection([name]), include_authorized_operations=True, request_timeout=ASK_TIMEOUT
            )[name]
        )
        resource = ConfigResource(ResourceType.TOPIC, name)
        config = _answer(lambda: admin.describe_configs([resource], request_timeout=ASK_TIMEOUT)[resource])
    limit = None if config is None or "max.message.bytes" not in config else config["max.message.bytes"].value
    return TopicFacts(
        partitions=len(partitions),
        leaderless=tuple(sorted(number for number, each in partitions.items() if each.leader < 0)),
        replicas=min((len(each.replicas) for each in partitions.values()), default=0),
        allowed=_names(description),
        max_message_bytes=None if limit is None else int(limit),
    )


def _group(
    admin: AdminClient, connection: Connection, membership: Membership, *, describes: bool, joins: bool
) -> GroupFacts:
    """Ask about the group; try to join it only if that is worth while and disturbs nobody."""
    group = membership.group_id
    members: int | None = None
    allowed: frozenset[str] | None = None
    try:
        if describes:
            asked = admin.describe_consumer_groups(
                [group], include_authorized_operations=True, request_timeout=ASK_TIMEOUT
            )
            found = asked[group].result(ASK_TIMEOUT + 1)
            members, allowed = len(found.members), _names(found)
    except (KafkaException, TimeoutError) as error:
        reason = find_kafka_error(error)
        if reason is not None and reason.code() == _NO_GROUP:
            return GroupFacts(offsets=Tried.DENIED)
        if reason is not None and reason.code() == KafkaError.GROUP_ID_NOT_FOUND:
            members = 0
    offsets = _read_offsets(connection, membership)
    join = Tried.NOT_TRIED
    if joins and members == 0 and offsets is not Tried.DENIED:
        join = _join(connection, membership)
    return GroupFacts(members, allowed, offsets, join)


def _read_offsets(connection: Connection, membership: Membership) -> Tried:
    consumer = _consumer(connection, membership)
    try:
        (found,) = consumer.committed([TopicPartition(membership.topic, 0)], timeout=ASK_TIMEOUT)
        return _tried(found.error)
    except KafkaException as error:
        return _tried(find_kafka_error(error))
    finally:
        consumer.close()


def _fetch(connection: Connection, membership: Membership) -> Tried:
    """Read at the end of the first partition: its end is told as an event, and so is a refusal."""
    consumer = _consumer(connection, membership)
    try:
        consumer.assign([TopicPartition(membership.topic, 0, OFFSET_END)])
        deadline = time.monotonic() + ASK_TIMEOUT
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                continue
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return Tried.WORKED
            if error.code() == _NO_TOPIC:
                return Tried.DENIED
        return Tried.NO_ANSWER
    finally:
        consumer.close()


def _join(connection: Connection, membership: Membership) -> Tried:
    consumer = _consumer(connection, membership)
    assigned: list[object] = []
    try:
        consumer.subscribe([membership.topic], on_assign=lambda _, partitions: assigned.append(partitions))
        deadline = time.monotonic() + JOIN_TIMEOUT
        while not assigned and (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(left, 0.5))
            error = None if message is None else message.error()
            if error is not None and (error.code() == _NO_GROUP or "group authoriz" in error.str().lower()):
                return Tried.DENIED
        return Tried.WORKED if assigned else Tried.NO_ANSWER
    except KafkaException as error:
        return _tried(find_kafka_error(error))
    finally:
        consumer.close()


def _consumer(connection: Connection, membership: Membership) -> Consumer:
    """A consumer like ours that never commits, and is nobody's static member."""
    anonymous = Membership(membership.group_id, membership.topic, membership.protocol)
    config = consumer_config(connection, anonymous)
    return Consumer({**config, "enable.auto.commit": False, "enable.partition.eof": True})


def _tried(error: KafkaError | None) -> Tried:
    if error is None:
        return Tried.WORKED
    return Tried.DENIED if error.code() == _NO_GROUP else Tried.NO_ANSWER


def _answer(ask: Callable[[], Any]) -> Any:  # noqa: ANN401
    """What a question about one thing gives; ``None`` if it may not be asked or is not known here."""
    try:
        return ask().result(ASK_TIMEOUT + 1)
    except (KafkaException, TimeoutError):
        return None


def _names(description: Any) -> frozenset[str] | None:  # noqa: ANN401
    operations = None if description is None else description.authorized_operations
    return None if operations is None else frozenset(operation.name.capitalize() for operation in operations)
