"""What the check makes of a cluster's answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consumer.checks.facts import ClusterFacts, GroupFacts, TopicFacts, Tried
from consumer.checks.findings import Finding, Status, as_json, passed, remedies
from consumer.checks.judge import Needs, judge

NEEDS = Needs(
    topics=(("kafka.input_topic", "in"), ("kafka.output_topic", "out"), ("kafka.dead_letter_topic", "dead")),
    group="labels",
    bootstrap="broker:9093",
    principal="User:labeler",
    security="sasl_ssl",
    local=False,
)
ALL = frozenset({"Read", "Write", "Describe"})
TOPIC = TopicFacts(partitions=3, replicas=3, allowed=ALL, max_message_bytes=1_048_588)
FINE = ClusterFacts(
    3, (TOPIC, TOPIC, TOPIC), Tried.WORKED, GroupFacts(0, frozenset({"Read"}), Tried.WORKED, Tried.WORKED)
)
ACL = "kafka-acls --bootstrap-server broker:9093 --add --allow-principal User:labeler --operation"


def findings(needs: Needs = NEEDS, **facts: object) -> dict[str, Finding]:
    return {finding.check: finding for finding in judge(needs, replace(FINE, **facts))}


def topics(**of: TopicFacts) -> tuple[TopicFacts, ...]:
    return tuple(of.get(name, TOPIC) for name in ("input", "output", "dead"))


def test_a_cluster_that_has_everything_passes_without_advice():
    found = list(findings().values())
    assert {finding.status for finding in found} == {Status.OK}
    assert passed(found)
    assert remedies(found) == []


@pytest.mark.parametrize(
    ("facts", "check", "line"),
    [
        ({"fetch": Tried.DENIED}, "right Read topic in", f"{ACL} Read --topic in"),
        (
            {"topics": topics(input=TopicFacts(problem="no", hidden=True)), "fetch": Tried.NOT_TRIED},
            "right Read topic in",
            f"{ACL} Read --topic in",
        ),
        (
            {"topics": topics(output=replace(TOPIC, allowed=ALL - {"Write"}))},
            "right Write topic out",
            f"{ACL} Write --topic out",
        ),
        (
            {"topics": topics(dead=replace(TOPIC, allowed=frozenset()))},
            "right Write topic dead",
            f"{ACL} Write --topic dead",
        ),
        (
            {"group": GroupFacts(2, frozenset({"Describe"}), Tried.WORKED)},
            "right Read group labels",
            f"{ACL} Read --group labels",
        ),
        ({"group": GroupFacts(offsets=Tried.DENIED)}, "right Read group labels", f"{ACL} Read --group labels"),
        (
            {"group": GroupFacts(0, None, Tried.WORKED, Tried.DENIED)},
            "right Read group labels",
            f"{ACL} Read --group labels",
        ),
    ],
)
def test_each_missing_right_fails_with_the_line_that_grants_it(facts: dict[str, object], check: str, line: str):
    found = findings(**facts)
    assert found[check].status is Status.FAILED
    assert found[check].remedy == line
    assert [each.check for each in found.values() if each.status is Status.FAILED] == [check]


def test_what_the_brokers_do_not_tell_is_not_known_and_not_a_failure():
    mute = replace(TOPIC, allowed=None, max_message_bytes=None)
    found = findings(topics=(mute, mute, mute), fetch=Tried.NO_ANSWER, group=GroupFacts())
    unknown = [each.check for each in found.values() if each.status is Status.UNKNOWN]
    assert len([name for name in unknown if name.startswith("right")]) == 4
    assert "message sizes" in unknown
    assert passed(found.values())


def test_a_group_with_members_is_not_joined():
    found = findings(group=GroupFacts(2, frozenset({"Read"}), Tried.WORKED))["right Read group labels"]
    assert (found.status, "rebalance" in found.detail) == (Status.OK, True)


def test_a_missing_topic_fails_with_the_line_that_makes_it_and_its_right_is_not_asked_for():
    found = findings(topics=topics(output=TopicFacts(problem="UNKNOWN_TOPIC_OR_PART: create it")))
    assert found["topic out"].status is Status.FAILED
    assert found["topic out"].remedy.endswith("--create --topic out --partitions N")
    assert found["right Write topic out"].status is Status.UNKNOWN


def test_a_partition_that_nobody_leads_fails():
    found = findings(topics=topics(input=replace(TOPIC, leaderless=(1, 2))))
    assert "partition 1, 2" in found["topic in"].detail
    assert found["topic in"].status is Status.FAILED


@pytest.mark.parametrize(
    ("needs", "small", "said"),
    [
        (NEEDS, {"output": replace(TOPIC, max_message_bytes=500_000)}, '"batch.size": 500000'),
        (NEEDS, {"dead": replace(TOPIC, max_message_bytes=900_000)}, "raise max.message.bytes of dead"),
        (
            NEEDS._replace(with_text=True, batch_bytes=1000),
            {"output": replace(TOPIC, max_message_bytes=200_000)},
            "--events.max-bytes",
        ),
    ],
)
def test_a_topic_that_takes_less_than_is_sent_is_warned_of(needs: Needs, small: dict[str, TopicFacts], said: str):
    found = judge(needs, replace(FINE, topics=topics(**small)))
    assert any(said in finding.remedy for finding in found if finding.status is Status.WARNING)
    assert passed(found)


@pytest.mark.parametrize(
    ("needs", "status", "said"),
    [
        (NEEDS, Status.OK, "TLS; certificate and host name were verified, logged in as User:labeler"),
        (NEEDS._replace(security="plaintext", local=True), Status.OK, "none needed"),
        (NEEDS._replace(security="plaintext"), Status.WARNING, "plain text"),
    ],
)
def test_encryption_is_told(needs: Needs, status: Status, said: str):
    found = findings(needs)["encryption"]
    assert (found.status, said in found.detail) == (status, True)


def test_when_no_broker_answers_only_that_has_failed():
    found = judge(NEEDS, ClusterFacts(unreachable="_TRANSPORT: refused"))
    assert [each.check for each in found if each.status is Status.FAILED] == ["broker"]
    assert as_json(found)["ok"] is False


def test_a_strange_name_cannot_become_a_command():
    needs = NEEDS._replace(group="x; rm -rf 'y'")
    (line,) = remedies(judge(needs, replace(FINE, group=GroupFacts(offsets=Tried.DENIED))))
    assert line.endswith(r"--group 'x; rm -rf '\''y'\'''")


@pytest.mark.parametrize(("hosts", "status"), [(("localhost",), Status.OK), (("broker.example",), Status.WARNING)])
def test_plain_text_is_of_no_concern_only_where_the_brokers_say_they_are_here(hosts: tuple[str, ...], status: Status):
    found = findings(NEEDS._replace(security="plaintext", local=True), hosts=hosts)
    assert found["encryption"].status is status
