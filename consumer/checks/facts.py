"""What the cluster says, as plain data: :mod:`consumer.checks.cluster` asks, :mod:`consumer.checks.judge` judges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Tried(Enum):
    """What came of an attempt."""

    WORKED = "worked"
    DENIED = "denied"
    NO_ANSWER = "no answer"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class TopicFacts:
    """One topic.

    Attributes:
        problem: what the cluster said when asked for it, in one line; ``None`` if it showed the topic.
        hidden: whether that is a missing right.
        partitions: how many it has.
        leaderless: numbers of the partitions that nobody leads now.
        replicas: of each partition, the fewest.
        allowed: operations that the brokers say this login has on it; ``None`` if they do not say.
        max_message_bytes: largest record batch it takes; ``None`` if that may not be asked.
    """

    problem: str | None = None
    hidden: bool = False
    partitions: int = 0
    leaderless: tuple[int, ...] = ()
    replicas: int = 0
    allowed: frozenset[str] | None = None
    max_message_bytes: int | None = None


@dataclass(frozen=True)
class GroupFacts:
    """The consumer group.

    Attributes:
        members: how many it has; ``None`` if the brokers do not say.
        allowed: as of a topic.
        offsets: whether its committed offsets could be read (needs Describe, which Read implies).
        join: whether it could be joined (needs Read); tried only while it has no members.
    """

    members: int | None = None
    allowed: frozenset[str] | None = None
    offsets: Tried = Tried.NOT_TRIED
    join: Tried = Tried.NOT_TRIED


@dataclass(frozen=True)
class ClusterFacts:
    """All of it. ``fetch`` is whether reading the input topic worked; ``unreachable`` says why nothing is known;
    ``hosts`` are the brokers as they name themselves."""

    brokers: int = 0
    topics: tuple[TopicFacts, ...] = ()
    fetch: Tried = Tried.NOT_TRIED
    group: GroupFacts = GroupFacts()
    unreachable: str | None = None
    hosts: tuple[str, ...] = ()
