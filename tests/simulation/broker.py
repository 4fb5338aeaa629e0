"""A virtual Kafka: the input log, one consumer group, committed offsets, and what has become visible.

Every change is judged at once; see :class:`Violation`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.delivery.records import Message, Partition, Record
from consumer.delivery.spans import Span
from consumer.kafka.span_metadata import read_spans, write_spans

SESSION_TIMEOUT = 10.0  # virtual seconds without a heartbeat until a member is expelled


class Violation(AssertionError):
    """A rule that never breaks was broken."""


class Position(NamedTuple):
    """What is stored for a partition: the next offset, and what is done above it."""

    offset: int
    above: tuple[Span, ...] = ()

    def covers(self, offset: int) -> bool:
        return offset < self.offset or any(span.start <= offset < span.end for span in self.above)


@dataclass
class Member:
    """A consumer as the coordinator sees it."""

    name: int
    heartbeat: float
    owned: set[Partition] = field(default_factory=set)
    generation: int = -1  # the rebalance it has taken part in; for eager groups


class Broker:
    """The cluster's state. Time is an argument."""

    def __init__(self, partitions: list[Partition], eager: bool, metadata_spans: int = 50) -> None:
        self._metadata_spans = metadata_spans
        self.log: dict[Partition, list[Record]] = {p: [] for p in partitions}
        self.committed: dict[Partition, int] = {}
        self.metadata: dict[Partition, str] = {}
        self.visible: dict[tuple[Partition, int], list[Message]] = {}
        self.duplicates: Counter[tuple[Partition, int]] = Counter()
        self.members: dict[int, Member] = {}
        self.eager = eager
        self.generation = 0
        self._first_unseen: dict[Partition, int] = dict.fromkeys(partitions, 0)  # index into the log

    # ---- Records -------------------------------------------------------------------------------------------------

    def append(self, record: Record) -> None:
        self.log[record.partition].append(record)

    def show(self, source: tuple[Partition, int], message: Message) -> None:
        """An output became visible to readers."""
        shown = self.visible.setdefault(source, [])
        if shown:
            self.duplicates[source] += 1
        shown.append(message)

    def unseen(self, partition: Partition) -> int | None:
        """The first input offset without a visible output, or None."""
        log, index = self.log[partition], self._first_unseen[partition]
        while index < len(log) and (partition, log[index].offset) in self.visible:
            index += 1
        self._first_unseen[partition] = index
        return log[index].offset if index < len(log) else None

    # ---- Group ---------------------------------------------------------------------------------------------------

    def join(self, name: int, now: float) -> Member:
        member = Member(name, now)
        self.members[name] = member
        self.generation += 1
        return member

    def leave(self, name: int) -> None:
        if self.members.pop(name, None) is not None:
            self.generation += 1

    def expire(self, now: float) -> None:
        for member in list(self.members.values()):
            if now - member.heartbeat > SESSION_TIMEOUT:
                self.leave(member.name)

    def target(self, name: int) -> set[Partition]:
        """What this member shall own: partitions dealt round-robin over the members."""
        names = sorted(self.members)
        return {p for i, p in enumerate(sorted(self.log)) if names[i % len(names)] == name}

    def owner(self, partition: Partition) -> int | None:
        return next((m.name for m in self.members.values() if partition in m.owned), None)

    def commit(self, name: int, positions: dict[Partition, Position]) -> int:
        """Take offsets from whoever is still a member, owner or not: that is what brokers do.

        Returns how many spans above an offset did not fit into its metadata.
        """
        if name not in self.members:
            return 0
        dropped = 0
        for partition, (offset, above) in positions.items():
            before = self.committed.get(partition, 0)
            if offset < before:
                raise Violation(f"committed offset of {partition} went back from {before} to {offset}")
            metadata = write_spans(partition, offset, above, max_spans=self._metadata_spans)
            self.committed[partition] = offset
            self.metadata[partition] = metadata
            unseen = self.unseen(partition)
            if unseen is not None and unseen < offset:
                raise Violation(f"{partition}: {offset} was committed but {unseen} has no visible output")
            covered = read_spans(partition, offset, metadata)
            dropped += len(above) - len(covered)
            for record in self.log[partition] if covered else ():
                inside = any(span.start <= record.offset < span.end for span in covered)
                if inside and (partition, record.offset) not in self.visible:
                    raise Violation(f"{partition}: {record.offset} counts as done above {offset} and is not visible")
        return dropped
