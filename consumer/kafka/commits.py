"""Offsets on their way to the group. One thread calls everything here, :meth:`Commits.finish` apart.

Usually the client commits what is stored, once a second and when a partition moves or the group is left. It sends only
offsets that are higher than the last, though: never what changes *above* an offset that stands still, as it does while
a backlog is caught up with. A divided partition's offset is therefore committed here, with metadata: one commit at a
time and no store in between, so that nothing can be sent in another order than it was made. When its backlog is done
and that is committed, the client has the partition back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.delivery.errors import SourceFailed
from consumer.delivery.ports import Clock
from consumer.delivery.records import Partition
from consumer.delivery.spans import Span
from consumer.kafka.config import COMMIT_INTERVAL_MS
from consumer.kafka.counts import SourceCounts
from consumer.kafka.errors import find_kafka_error
from consumer.kafka.offset_metadata import write_metadata
from consumer.kafka.span_metadata import write_spans

log = structlog.get_logger()


class _Position(NamedTuple):
    """What to commit for a partition."""

    offset: int
    leader_epoch: int | None
    above: tuple[Span, ...] = ()


@dataclass(slots=True)
class _Divided:
    """A divided partition: where its backlog ends, what is to be committed next, and what is on its way."""

    end: int
    wanted: _Position | None = None
    sent: _Position | None = None


class Commits:
    """Stores and commits offsets for one consumer; ``heard`` is called when a broker took a commit."""

    def __init__(self, consumer: Consumer, clock: Clock, counts: SourceCounts, heard: Callable[[], None]) -> None:
        self._consumer = consumer
        self._clock = clock
        self._counts = counts
        self._heard = heard
        self._divided: dict[Partition, _Divided] = {}
        self._due = 0.0
        self.topic_id: str | None = None
        """Of the topic whose offsets these are, where that is known; see :mod:`consumer.kafka.offset_metadata`."""

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        """Have an offset committed soon. Of a partition that is not ours any more it is not."""
        divided = self._divided.get(partition)
        if divided is not None:
            divided.wanted = _Position(offset, leader_epoch, above)
            return
        try:
            self._consumer.store_offsets(offsets=[self._ready(partition, _Position(offset, leader_epoch))])
        except KafkaException as refused:
            error = find_kafka_error(refused)
            if error is None or error.code() != KafkaError._STATE:
                raise SourceFailed(f"the offset of {partition.topic}/{partition.number} cannot be stored") from refused
            self._counts.stores_refused += 1  # no longer ours: its next owner goes on from what is committed

    def begin(self, partition: Partition, offset: int) -> None:
        """Commit where a group begins, at once: a crash before the first record must not move the start.

        ("latest" would skip what came meanwhile.) If it cannot be sent now, the next commit does it.
        """
        position = _Position(offset, None)
        if partition in self._divided:
            self._divided[partition].wanted = position
            self._due = 0.0
            return
        self.store(partition, *position)
        self._commit({partition: position})

    def begin_anew(self, partitions: Iterable[Partition]) -> None:
        """Commit the beginning of these partitions' logs, although more was committed: they are of another topic now.

        They must have been given up before: the client would send what it has stored of them after this.
        """
        self.forget(partitions)
        self._commit({partition: _Position(0, None) for partition in partitions})

    def divide(self, partition: Partition, end: int) -> None:
        """This partition is caught up with from now on, until its offset is at ``end``."""
        self._divided[partition] = _Divided(end)

    def send_due(self) -> None:
        """Commit what changed in divided partitions, once in a while."""
        if not self._divided or self._clock() < self._due:
            return
        self._due = self._clock() + COMMIT_INTERVAL_MS / 1000
        ready = {p: d.wanted for p, d in self._divided.items() if d.wanted is not None and d.sent is None}
        if ready and self._commit(ready):
            for partition, position in ready.items():
                self._divided[partition].wanted, self._divided[partition].sent = None, position

    def release(self, partitions: Iterable[Partition]) -> None:
        """Commit what is left of partitions that move on, inside the revoke: it is sent before they do."""
        left = self._unanswered(partitions)
        self.forget(partitions)
        if left:
            self._commit(left)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """These partitions are not ours any more: nothing of them may be committed."""
        for partition in partitions:
            self._divided.pop(partition, None)

    def finish(self) -> None:
        """Commit what is left, and wait for it. Without a timeout: only for a thread that may be left behind."""
        left = self._unanswered(tuple(self._divided))
        self._divided.clear()
        if left:
            self._consumer.commit(offsets=[self._ready(*each) for each in left.items()], asynchronous=False)

    def _unanswered(self, partitions: Iterable[Partition]) -> dict[Partition, _Position]:
        left = {p: d.wanted or d.sent for p in partitions if (d := self._divided.get(p)) is not None}
        return {p: position for p, position in left.items() if position is not None}

    def on_commit(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """The client's news of a commit, one of ours or its own. Called inside a poll; never raises."""
        failed = [p for p in partitions if p.error is not None]
        for each in partitions:
            self._answered(each, ok=error is None and each.error is None)
        if error is None and not failed:
            self._counts.commits += 1
            self._heard()
        elif error is None or error.code() != KafkaError._NO_OFFSET:
            self._counts.commit_errors += 1
            reason = error if error is not None else failed[0].error
            with suppress(Exception):  # whatever is raised here would make the poll fail
                # Most often a rebalance is under way; the offsets are committed again after it.
                log.warning("commit failed", error=reason.name() if reason else "", partitions=len(failed))

    def _answered(self, each: TopicPartition, *, ok: bool) -> None:
        partition = Partition(each.topic, each.partition)
        divided = self._divided.get(partition)
        sent = divided.sent if divided is not None else None
        if divided is None or sent is None or not _same(each, self._ready(partition, sent)):
            return  # the client's own, or from before the partition went away and came back
        divided.sent = None
        if not ok:
            divided.wanted = divided.wanted or sent
        elif sent.offset >= divided.end:
            # The backlog is done and that is committed: what came since is an ordinary offset.
            del self._divided[partition]
            if divided.wanted is not None:
                with suppress(KafkaException):  # not ours any more
                    self._consumer.store_offsets(offsets=[self._ready(partition, divided.wanted)])

    def _commit(self, positions: Mapping[Partition, _Position]) -> bool:
        try:
            self._consumer.commit(offsets=[self._ready(*each) for each in positions.items()], asynchronous=True)
        except KafkaException:
            return False  # it is sent with the next ones
        return True

    def _ready(self, partition: Partition, position: _Position) -> TopicPartition:
        """As the client takes it."""
        metadata = write_metadata(self.topic_id, write_spans(partition, position.offset, position.above))
        if position.leader_epoch is None:
            return TopicPartition(partition.topic, partition.number, position.offset, metadata)
        return TopicPartition(partition.topic, partition.number, position.offset, metadata, position.leader_epoch)


def _same(one: TopicPartition, other: TopicPartition) -> bool:
    return (one.offset, one.metadata or "") == (other.offset, other.metadata or "")
