"""From what the cluster says to findings. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from consumer.checks.facts import ClusterFacts, GroupFacts, TopicFacts, Tried
from consumer.checks.findings import Finding, Status
from consumer.kafka.grants import Grantee, grant_line, quoted
from consumer.kafka.hosts import is_local

OUR_BATCH: Final = 1_000_000
"""librdkafka's default of both batch.size and message.max.bytes."""
_ROOM: Final = 4096  # bytes of a labeled event beside the comment's text


class Needs(NamedTuple):
    """What the consumer will do, out of its settings.

    Attributes:
        topics: input, output and dead letters, each by setting and name.
        group: the consumer group.
        bootstrap: for the command lines.
        principal: who logs in, as ACLs name it, or ``User:NAME`` where only the brokers know.
        security: the security protocol.
        local: whether all brokers are on this host, as the settings name them.
        batch_bytes: the largest batch that is produced.
        event_bytes: the largest comment that is read.
        with_text: whether labeled events hold the text.
    """

    topics: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
    group: str
    bootstrap: str
    principal: str
    security: str
    local: bool
    batch_bytes: int = OUR_BATCH
    event_bytes: int = 262_144
    with_text: bool = False


def judge(needs: Needs, facts: ClusterFacts) -> list[Finding]:
    """Every finding about the cluster, in the order in which one depends on another."""
    if facts.unreachable is not None:
        return [Finding("broker", Status.FAILED, facts.unreachable), *_not_asked(needs)]
    findings = [
        Finding("broker", Status.OK, f"answers; {facts.brokers} in the cluster"),
        _encryption(needs, facts.hosts),
    ]
    for (setting, name), topic in zip(needs.topics, facts.topics, strict=True):
        findings.append(_topic(needs, setting, name, topic))
    findings += _rights(needs, facts)
    return [*findings, *_sizes(needs, facts.topics)]


def acl_line(needs: Needs, operation: str, kind: Literal["topic", "group"], name: str) -> str:
    """The command that grants a right."""
    return grant_line(Grantee(needs.bootstrap, needs.principal), operation, kind, name)


def topic_line(needs: Needs, name: str) -> str:
    """The command that makes a topic; how many partitions is for whoever types it."""
    return f"kafka-topics --bootstrap-server {needs.bootstrap} --create --topic {quoted(name)} --partitions N"


def _not_asked(needs: Needs) -> Iterator[Finding]:
    for what in ("encryption", *(f"topic {name}" for _, name in needs.topics), "rights"):
        yield Finding(what, Status.UNKNOWN, "not tried: no broker answers")


def _encryption(needs: Needs, hosts: tuple[str, ...]) -> Finding:
    login = f", logged in as {needs.principal}" if needs.security.startswith("sasl") else ""
    if needs.security.endswith("ssl"):
        return Finding("encryption", Status.OK, f"TLS; certificate and host name were verified{login}")
    strangers = [host for host in hosts if not is_local(host)]
    if needs.local and not strangers:
        return Finding("encryption", Status.OK, f"none needed: the brokers are on this host{login}")
    return Finding(
        "encryption",
        Status.WARNING,
        f"none: comments cross the network in plain text, as kafka.allow_plaintext says{login}",
        "use --kafka.security-protocol ssl or sasl_ssl",
    )


def _topic(needs: Needs, setting: str, name: str, topic: TopicFacts) -> Finding:
    what = f"topic {name}"
    if topic.hidden:
        return Finding(what, Status.UNKNOWN, "not to be seen without a right to it; see the rights below")
    if topic.problem is not None:
        return Finding(what, Status.FAILED, f"{setting}: {topic.problem}", topic_line(needs, name))
    if topic.leaderless:
        which = ", ".join(map(str, topic.leaderless[:10]))
        return Finding(what, Status.FAILED, f"no broker leads partition {which} now; wait, or look at the brokers")
    copies = "1 replica each" if topic.replicas == 1 else f"{topic.replicas} replicas each"
    count = "1 partition" if topic.partitions == 1 else f"{topic.partitions} partitions"
    return Finding(what, Status.OK, f"{count}, {copies}, all led")


# ---- Rights ----------------------------------------------------------------------------------------------------------


def _rights(needs: Needs, facts: ClusterFacts) -> Iterator[Finding]:
    for (_, name), topic, operation in zip(needs.topics, facts.topics, ("Read", "Write", "Write"), strict=True):
        tried = facts.fetch if operation == "Read" else Tried.NOT_TRIED
        yield _right(needs, f"right {operation} topic {name}", operation, name, topic, tried)
    yield _group_right(needs, facts.group)


def _right(needs: Needs, what: str, operation: str, name: str, topic: TopicFacts, tried: Tried) -> Finding:
    if topic.problem is not None and not topic.hidden:
        return Finding(what, Status.UNKNOWN, "there is no such topic to ask about")
    grant = acl_line(needs, operation, "topic", name)
    if tried is Tried.DENIED:
        return Finding(what, Status.FAILED, "missing: refused when it was tried", grant)
    if topic.hidden:
        return Finding(what, Status.FAILED, "missing: the topic is not even shown", grant)
    if topic.allowed is not None and operation not in topic.allowed:
        return Finding(what, Status.FAILED, "missing: the brokers say so", grant)
    if tried is Tried.WORKED:
        return Finding(what, Status.OK, "tried: read at its end, nothing was committed")
    if topic.allowed is not None:
        why = "a fetch gave no answer in time" if operation == "Read" else "not tried: that would leave a record"
        return Finding(what, Status.OK, f"the brokers say so; {why}")
    return Finding(what, Status.UNKNOWN, "these brokers do not tell; the first message will")


def _group_right(needs: Needs, group: GroupFacts) -> Finding:
    what = f"right Read group {needs.group}"
    denied = Tried.DENIED in (group.offsets, group.join)
    grant = acl_line(needs, "Read", "group", needs.group)
    if denied:
        return Finding(what, Status.FAILED, "missing: refused when it was tried", grant)
    if group.allowed is not None and "Read" not in group.allowed:
        return Finding(what, Status.FAILED, "missing: the brokers say so", grant)
    if group.join is Tried.WORKED:
        return Finding(what, Status.OK, "tried: joined and left; the group had no members")
    if group.allowed is not None:
        tried = "it could not be joined in time"
        if group.members:
            tried = "not tried: its members would rebalance"
        elif group.join is Tried.NOT_TRIED:
            tried = "not tried: there is no topic to join for"
        return Finding(what, Status.OK, f"the brokers say so; {tried}")
    if group.offsets is Tried.WORKED:
        return Finding(what, Status.UNKNOWN, "its offsets can be read (Describe); whether it can be joined is not told")
    return Finding(what, Status.UNKNOWN, "these brokers do not tell; joining will")


# ---- Sizes -----------------------------------------------------------------------------------------------------------


def _sizes(needs: Needs, topics: tuple[TopicFacts, ...]) -> Iterator[Finding]:
    limits = [topic.max_message_bytes for topic in topics]
    if None in limits:
        if not any(topic.problem for topic in topics):
            yield Finding(
                "message sizes", Status.UNKNOWN, "the topics' max.message.bytes may not be asked (DescribeConfigs)"
            )
        return
    taken, labeled, dead = (limit or 0 for limit in limits)
    (_, _), (_, output), (_, dead_letters) = needs.topics
    troubles = []
    for name, limit in ((output, labeled), (dead_letters, dead)):
        if limit < needs.batch_bytes:
            troubles.append(
                Finding(
                    "message sizes",
                    Status.WARNING,
                    f"{name} takes {limit:,} bytes, and a batch may have {needs.batch_bytes:,}: refused ones are sent "
                    "again one by one",
                    f"--kafka.extra '{{\"batch.size\": {limit}}}'",
                )
            )
    if needs.with_text and labeled < needs.event_bytes + _ROOM:
        troubles.append(
            Finding(
                "message sizes",
                Status.WARNING,
                f"{output} takes {labeled:,} bytes, and a labeled event with its text may have more: it becomes a "
                "dead letter",
                f"--events.max-bytes {max(256, labeled - _ROOM)}, or raise max.message.bytes of {output}",
            )
        )
    if dead < min(taken, OUR_BATCH):
        troubles.append(
            Finding(
                "message sizes",
                Status.WARNING,
                f"{dead_letters} takes {dead:,} bytes, the input {taken:,}: what is larger leaves a stub, not itself",
                f"raise max.message.bytes of {dead_letters} to {taken + _ROOM}",
            )
        )
    if troubles:
        yield from troubles
    else:
        yield Finding(
            "message sizes",
            Status.OK,
            f"input {taken:,}, output {labeled:,}, dead letters {dead:,} bytes; our batches {needs.batch_bytes:,}",
        )
