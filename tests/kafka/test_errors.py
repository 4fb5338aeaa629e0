"""What each of librdkafka's errors is taken for."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from consumer.delivery.ports import Delivery
from consumer.kafka.errors import Severity, advise, delivery_of, find_kafka_error, severity_of


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("MSG_SIZE_TOO_LARGE", Delivery.TOO_LARGE),
        ("RECORD_LIST_TOO_LARGE", Delivery.TOO_LARGE),
        ("INVALID_MSG", Delivery.REJECTED),
        ("INVALID_RECORD", Delivery.REJECTED),
        ("INVALID_TIMESTAMP", Delivery.REJECTED),
        ("_INVALID_DIFFERENT_RECORD", Delivery.RETRY),  # another record of its batch was the culprit
        ("_MSG_TIMED_OUT", Delivery.RETRY),
        ("_TIMED_OUT", Delivery.RETRY),
        ("_PURGE_QUEUE", Delivery.RETRY),
        ("_PURGE_INFLIGHT", Delivery.RETRY),
        ("REQUEST_TIMED_OUT", Delivery.RETRY),
        ("UNKNOWN_PRODUCER_ID", Delivery.RETRY),
        ("INVALID_PRODUCER_EPOCH", Delivery.RETRY),
        ("NOT_ENOUGH_REPLICAS", Delivery.RETRY),
        ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", Delivery.RETRY),
        ("TOPIC_AUTHORIZATION_FAILED", Delivery.REFUSED),
        ("CLUSTER_AUTHORIZATION_FAILED", Delivery.REFUSED),
        ("UNKNOWN_TOPIC_OR_PART", Delivery.REFUSED),
        ("_UNKNOWN_TOPIC", Delivery.REFUSED),
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", Delivery.REFUSED),
        ("POLICY_VIOLATION", Delivery.REFUSED),
        ("_FATAL", Delivery.REFUSED),
        ("UNKNOWN", Delivery.REFUSED),
    ],
)
def test_the_fate_of_a_message_follows_from_its_error(name: str, fate: Delivery) -> None:
    assert delivery_of(KafkaError(getattr(KafkaError, name))) is fate


def test_a_fatal_error_refuses_whatever_its_code_says() -> None:
    assert delivery_of(KafkaError(KafkaError.REQUEST_TIMED_OUT, "", fatal=True)) is Delivery.REFUSED


def test_an_unknown_error_is_retried_only_if_it_says_so() -> None:
    assert delivery_of(KafkaError(KafkaError.KAFKA_STORAGE_ERROR, "", retriable=True)) is Delivery.RETRY
    assert delivery_of(KafkaError(KafkaError.KAFKA_STORAGE_ERROR, "", retriable=False)) is Delivery.REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "_FATAL",
        "_FENCED",
        "FENCED_INSTANCE_ID",
        "UNRELEASED_INSTANCE_ID",
        "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "SASL_AUTHENTICATION_FAILED",
        "_AUTHENTICATION",
        "UNKNOWN_TOPIC_OR_PART",
        "_UNKNOWN_TOPIC",
        "INVALID_GROUP_ID",
        "INCONSISTENT_GROUP_PROTOCOL",
        "UNSUPPORTED_VERSION",
        "_UNSUPPORTED_FEATURE",
        "_BAD_MSG",
        "_BAD_COMPRESSION",
        "INVALID_MSG",
        "MSG_SIZE_TOO_LARGE",
    ],
)
def test_what_nobody_can_mend_from_inside_stops(name: str) -> None:
    assert severity_of(KafkaError(getattr(KafkaError, name))) is Severity.STOP


@pytest.mark.parametrize(
    "name",
    [
        "_ALL_BROKERS_DOWN",
        "_TRANSPORT",
        "_RESOLVE",
        "_TIMED_OUT",
        "_MAX_POLL_EXCEEDED",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "REBALANCE_IN_PROGRESS",
        "UNKNOWN_MEMBER_ID",
        "NOT_LEADER_FOR_PARTITION",
    ],
)
def test_what_librdkafka_mends_by_itself_is_ignored(name: str) -> None:
    assert severity_of(KafkaError(getattr(KafkaError, name))) is Severity.IGNORE


def test_a_missing_position_is_its_own_case() -> None:
    assert severity_of(KafkaError(KafkaError._AUTO_OFFSET_RESET)) is Severity.NO_OFFSET


def test_a_fatal_event_stops_whatever_its_code_says() -> None:
    assert severity_of(KafkaError(KafkaError._TRANSPORT, "", fatal=True)) is Severity.STOP


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "TOPIC_AUTHORIZATION_FAILED",
            "kafka-acls --add --allow-principal User:NAME --operation Write --topic comments",
        ),
        ("GROUP_AUTHORIZATION_FAILED", "kafka-acls --add --allow-principal User:NAME --operation Read --group readers"),
        ("SASL_AUTHENTICATION_FAILED", "user name and password"),
        ("_AUTHENTICATION", "password"),
        ("UNKNOWN_TOPIC_OR_PART", "create the topic"),
        ("_UNKNOWN_TOPIC", "create the topic"),
        ("FENCED_INSTANCE_ID", "kafka.group_instance_id"),
        ("UNRELEASED_INSTANCE_ID", "kafka.group_instance_id"),
        ("UNSUPPORTED_VERSION", "kafka.group_protocol"),
        ("_BAD_MSG", "damaged"),
        ("_BAD_COMPRESSION", "decompressed"),
    ],
)
def test_advice_is_one_line_that_says_what_to_do(name: str, advice: str) -> None:
    said = advise(
        KafkaError(getattr(KafkaError, name), "what the broker said"),
        topic="comments", group="readers", operation="Write",
    )  # fmt: skip
    assert said.startswith(f"{name}: what the broker said; ")
    assert advice in said
    assert "\n" not in said
    assert "{" not in said


def test_without_advice_the_cluster_has_the_last_word() -> None:
    assert advise(KafkaError(KafkaError.UNKNOWN, "what the broker said")) == "UNKNOWN: what the broker said"


def test_braces_in_a_name_are_no_placeholders() -> None:
    error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "{topic} {0}")
    assert "{topic} {0}" in advise(error)


def test_the_kafka_error_is_found_in_what_led_to_an_exception() -> None:
    error = KafkaError(KafkaError._STATE)
    direct = KafkaException(error)
    assert find_kafka_error(direct) is error

    caused = RuntimeError("outer")
    caused.__cause__ = SystemError("middle")
    caused.__cause__.__context__ = direct
    assert find_kafka_error(caused) is error

    assert find_kafka_error(RuntimeError("alone")) is None
    assert find_kafka_error(RuntimeError()) is None


def test_a_circle_of_causes_ends() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__context__ = other, one
    assert find_kafka_error(one) is None
