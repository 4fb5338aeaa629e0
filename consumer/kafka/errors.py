"""What librdkafka's errors mean for us, as tables. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from confluent_kafka import KafkaError

from consumer.delivery.ports import Delivery
from consumer.kafka.grants import Grantee, grant_line

_DELIVERIES: Mapping[int, Delivery] = MappingProxyType(
    {
        KafkaError.MSG_SIZE_TOO_LARGE: Delivery.TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE: Delivery.TOO_LARGE,
        KafkaError.INVALID_MSG: Delivery.REJECTED,
        KafkaError.INVALID_RECORD: Delivery.REJECTED,
        KafkaError.INVALID_TIMESTAMP: Delivery.REJECTED,
        KafkaError._INVALID_DIFFERENT_RECORD: Delivery.RETRY,  # another record of its batch was refused
        KafkaError._MSG_TIMED_OUT: Delivery.RETRY,
        KafkaError._PURGE_QUEUE: Delivery.RETRY,
        KafkaError._PURGE_INFLIGHT: Delivery.RETRY,
        KafkaError._TIMED_OUT: Delivery.RETRY,
        KafkaError.REQUEST_TIMED_OUT: Delivery.RETRY,
        KafkaError.UNKNOWN_PRODUCER_ID: Delivery.RETRY,
        KafkaError.INVALID_PRODUCER_EPOCH: Delivery.RETRY,
        KafkaError.NOT_ENOUGH_REPLICAS: Delivery.RETRY,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Delivery.RETRY,
    }
)


class Severity(enum.Enum):
    """What an error event out of the consumer asks for."""

    IGNORE = "ignore"  # librdkafka deals with it
    NO_OFFSET = "no_offset"  # a partition has no valid position
    STOP = "stop"


_STOPPING = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.UNRELEASED_INSTANCE_ID,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
        KafkaError.INVALID_MSG,
        KafkaError.MSG_SIZE_TOO_LARGE,
    }
)

_ADVICE: Mapping[int, str] = MappingProxyType(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant it: {topic}",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "grant it: {group}",
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "grant it: {transactional_id}",
        KafkaError.SASL_AUTHENTICATION_FAILED: "check the user name and password",
        KafkaError._AUTHENTICATION: "check the user name, password and certificates",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or correct its name in the settings",
        KafkaError._UNKNOWN_PARTITION: "create the topic {name} again, or correct its name in the settings",
        KafkaError._UNKNOWN_TOPIC: "create the topic, or correct its name in the settings",
        KafkaError.FENCED_INSTANCE_ID: "another member has the same kafka.group_instance_id: give each its own",
        KafkaError.UNRELEASED_INSTANCE_ID: "another member has the same kafka.group_instance_id: give each its own",
        KafkaError.UNSUPPORTED_VERSION: "the brokers are too old for kafka.group_protocol=consumer: use classic",
        KafkaError._BAD_MSG: "a record in the log is damaged: look at the broker, then move the group's offset past it",
        KafkaError._BAD_COMPRESSION: "a record in the log cannot be decompressed: move the group's offset past it",
    }
)


def is_fatal(error: KafkaError) -> bool:
    """Whether the client is dead. ``fatal()`` alone is not to be trusted: some fatal errors do not say so."""
    return bool(error.fatal()) or error.code() == KafkaError._FATAL


def delivery_of(error: KafkaError) -> Delivery:
    """What became of a message whose delivery failed. Whatever is not known to be passing is a refusal."""
    if is_fatal(error):
        return Delivery.REFUSED
    known = _DELIVERIES.get(error.code())
    if known is not None:
        return known
    return Delivery.RETRY if error.retriable() else Delivery.REFUSED


def severity_of(error: KafkaError) -> Severity:
    """What an error event asks for."""
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return Severity.NO_OFFSET
    if is_fatal(error) or error.code() in _STOPPING:
        return Severity.STOP
    return Severity.IGNORE


def advise(
    error: KafkaError,
    *,
    topic: str = "TOPIC",
    group: str = "GROUP",
    operation: str = "Read",
    transactional_id: str = "ID",
    to: Grantee = Grantee(),  # noqa: B008
) -> str:
    """One line: what the cluster said and what to do about it; a missing right is to be granted ``to`` somebody."""
    advice = _ADVICE.get(error.code(), "")
    if advice:
        advice = "; " + advice.format(
            name=topic,
            topic=grant_line(to, operation, "topic", topic),
            group=grant_line(to, "Read", "group", group),
            transactional_id=grant_line(to, "Write --operation Describe", "transactional-id", transactional_id),
        )
    return f"{error.name()}: {error.str()}{advice}"


def find_kafka_error(error: BaseException) -> KafkaError | None:
    """The KafkaError in an exception or in what led to it."""
    for link in _chain(error):
        if link.args and isinstance(link.args[0], KafkaError):
            return link.args[0]
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
