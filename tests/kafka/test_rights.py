"""Rights that are missing are told at the start, on a real broker that checks them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from consumer.kafka.settings import Connection
from consumer.kafka.topics import TopicsUnusable, check_topics
from tests.support.brokers import RealBroker, real_broker

pytestmark = [pytest.mark.broker, pytest.mark.container]

INPUT, OUTPUT, DEAD = "kafka.input_topic", "kafka.output_topic", "kafka.dead_letter_topic"


@pytest.fixture(scope="module")
def guarded_broker(container_broker: RealBroker) -> Iterator[RealBroker]:
    """Topics without an ACL are everybody's; the others are for those whom their ACLs name."""
    with real_broker(
        KAFKA_AUTHORIZER_CLASS_NAME="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND="true",
    ) as broker:
        rights = {"readable": ("ANONYMOUS", AclOperation.READ), "writable": ("ANONYMOUS", AclOperation.WRITE)}
        rights["hidden"] = ("somebody", AclOperation.READ)
        for topic in ("open", *rights):
            broker.create_topic(topic, 1)
        acls = [
            AclBinding(
                ResourceType.TOPIC, topic, ResourcePatternType.LITERAL,
                f"User:{user}", "*", operation, AclPermissionType.ALLOW,
            )
            for topic, (user, operation) in rights.items()
        ]  # fmt: skip
        for future in broker.admin.create_acls(acls).values():
            future.result(30)
        yield broker


def refusal(broker: RealBroker, topics: Mapping[str, str]) -> str:
    try:
        check_topics(Connection(broker.bootstrap), dict(topics), lambda: False, time.sleep)
    except TopicsUnusable as unusable:
        return "\n".join(unusable.lines)
    return ""


@pytest.mark.parametrize(
    ("topics", "lines"),
    [
        ({INPUT: "open", OUTPUT: "open", DEAD: "open"}, []),
        ({INPUT: "readable", OUTPUT: "writable", DEAD: "open"}, []),
        ({INPUT: "writable", OUTPUT: "open", DEAD: "open"}, [f"{INPUT}=writable: .*--operation Read --topic writable"]),
        (
            {INPUT: "open", OUTPUT: "readable", DEAD: "readable"},
            [f"{name}=readable: .*--operation Write --topic readable" for name in (OUTPUT, DEAD)],
        ),
        ({INPUT: "open", OUTPUT: "open", DEAD: "hidden"}, [f"{DEAD}=hidden: .*kafka-acls .*--operation Write"]),
    ],
    ids=["everything", "just-enough", "no-read", "no-write", "not-even-seen"],
)
def test_each_missing_right_is_told_at_the_start_with_its_remedy(
    guarded_broker: RealBroker, topics: Mapping[str, str], lines: list[str]
) -> None:
    deadline = time.monotonic() + 20
    while True:  # the broker applies new ACLs a moment after it has taken them
        said = refusal(guarded_broker, topics).splitlines()
        if len(said) == len(lines) or time.monotonic() > deadline:
            break
    assert len(said) == len(lines), said
    for line, expected in zip(said, lines, strict=True):
        assert re.search(expected, line)
