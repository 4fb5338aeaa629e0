"""Each missing right is told in one line with its remedy, on a real broker that checks them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from tests.replay.letters import put, record, write
from tests.replay.running import Result, dead_letters, ledger_of, relabel
from tests.support.brokers import RealBroker, real_broker
from tests.support.traffic import Topics, read_all, unique_topics

pytestmark = [pytest.mark.broker, pytest.mark.container]


@pytest.fixture(scope="module")
def guarded_broker(container_broker: RealBroker) -> Iterator[RealBroker]:
    """What has no ACL is everybody's; the rest is for those whom its ACLs name."""
    with real_broker(
        KAFKA_AUTHORIZER_CLASS_NAME="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND="true",
    ) as broker:
        yield broker


@pytest.fixture
def topics(guarded_broker: RealBroker) -> Topics:
    names = unique_topics()
    for name in (names.input, names.output, names.dead_letters, ledger_of(names), f"{names.output}-again"):
        guarded_broker.create_topic(name, 1, **({"cleanup_policy": "compact"} if name == ledger_of(names) else {}))
    put(guarded_broker.bootstrap, names.dead_letters, [write(record(names.input))])
    return names


def only(broker: RealBroker, kind: ResourceType, name: str, *allowed: AclOperation) -> None:
    """Leave us these rights alone."""
    acls = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, user, "*", operation, AclPermissionType.ALLOW)
        for user, operations in (("User:ANONYMOUS", allowed), ("User:somebody", (AclOperation.ALL,)))
        for operation in operations
    ]
    for future in broker.admin.create_acls(acls).values():
        future.result(30)


def until_refused(attempt: object) -> Result:
    """Brokers apply new ACLs a moment after they have taken them."""
    for _ in range(20):
        result = attempt()  # type: ignore[operator]
        if result.code:
            return result
    raise AssertionError(f"never refused: {result}")


TOPIC, GROUP, TRANSACTIONAL_ID = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID


@pytest.mark.parametrize(
    ("kind", "name", "allowed", "remedy"),
    [
        (TOPIC, "dead", [AclOperation.WRITE], "--operation Read --topic {}"),
        (TOPIC, "ledger", [AclOperation.WRITE], "--operation Read --topic {}"),
        (TOPIC, "ledger", [AclOperation.READ], "--operation Write --topic {}"),
        (TOPIC, "input", [AclOperation.READ], "--operation Write --topic {}"),
        (TRANSACTIONAL_ID, "ledger", [], "--operation Write --operation Describe --transactional-id {}"),
    ],
)
def test_a_right_that_sending_back_needs(
    guarded_broker: RealBroker, topics: Topics, kind: ResourceType, name: str, allowed: list[AclOperation], remedy: str
) -> None:
    resource = {"dead": topics.dead_letters, "ledger": ledger_of(topics), "input": topics.input}[name]
    only(guarded_broker, kind, resource, *allowed)
    result = until_refused(lambda: dead_letters(guarded_broker, topics, "--go"))
    assert result.code in (2, 12)
    assert len(result.err.splitlines()) == 1, result.err
    assert re.search(f"kafka-acls .*--add --allow-principal User:NAME {remedy.format(resource)}", result.err)


def test_a_dry_run_needs_no_right_to_write(guarded_broker: RealBroker, topics: Topics) -> None:
    only(guarded_broker, TOPIC, topics.dead_letters, AclOperation.READ)
    only(guarded_broker, TOPIC, ledger_of(topics), AclOperation.READ)
    only(guarded_broker, TOPIC, topics.input, AclOperation.DESCRIBE)
    only(guarded_broker, TRANSACTIONAL_ID, ledger_of(topics))
    only(guarded_broker, GROUP, f"{topics.group}-replay")
    until_refused(lambda: dead_letters(guarded_broker, topics, "--go"))
    result = dead_letters(guarded_broker, topics)
    assert (result.code, result.said.get("would_send")) == (0, 1), result.err
    assert read_all(guarded_broker.bootstrap, topics.output) == []


def test_the_group_of_a_relabelling(guarded_broker: RealBroker, topics: Topics) -> None:
    only(guarded_broker, GROUP, f"{topics.group}-relabel-r1")
    arguments = ("--to", f"{topics.output}-again", "--run-id", "r1")
    result = until_refused(lambda: relabel(guarded_broker, topics, *arguments))
    assert (result.code, len(result.err.splitlines())) == (2, 1), result.err
    assert f"--operation Read --group {topics.group}-relabel-r1" in result.err
