"""The input topic through confluent_kafka. One thread calls everything here.

Traps this file answers (each has a test in ``tests/kafka``):

* Anything raised out of ``poll``/``consume`` destroys records that the position has already passed: the process must
  end, so that they are read again. Callbacks therefore catch everything and only take notes.
* ``consume(n, t)`` sits out ``t`` unless ``n`` records come: the first record is awaited with ``poll(t)``, the rest
  taken with ``consume(n - 1, 0)``.
* A header name that is not UTF-8 makes ``headers()`` raise, and a second call would crash: it is called once, and
  through :data:`_read_headers`: at a call site that CPython has specialised (after a few dozen calls) the error would
  not be raised but stay pending beside a list with a NULL in it.
* ``pause`` survives a revoke and the next assignment: the wanted state is set anew after each.
* Fatal errors arrive as messages that do not say so.
* A revoke that comes after ``max.poll.interval.ms`` was overrun may hide that the partitions are lost (librdkafka
  #5604): then it is treated as lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller

import structlog
from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.ports import Clock, RebalanceListener
from consumer.delivery.records import Headers, Partition, Record
from consumer.kafka.config import consumer_config
from consumer.kafka.errors import Severity, advise, find_kafka_error, severity_of
from consumer.kafka.settings import Connection, Membership

LOOKUP_TIMEOUT = 10.0  # seconds for the rare questions to the brokers that the poll thread waits for

_read_headers = methodcaller("headers")  # calls from C, where a result beside a pending error is always noticed

log = structlog.get_logger()


@dataclass(slots=True)
class SourceCounts:
    """What happened since the start; only ever grows. Read from other threads for metrics."""

    commits: int = 0
    commit_errors: int = 0
    stores_refused: int = 0
    headers_unreadable: int = 0
    error_events: int = 0
    begun: int = 0  # partitions that were given a start position


@dataclass(slots=True)
class _Rebalance:
    """What a rebalance callback left to do or to raise."""

    error: BaseException | None = None
    assigned: list[Partition] = field(default_factory=list)


class KafkaSource:
    """Implements :class:`consumer.delivery.ports.Source`."""

    def __init__(self, connection: Connection, membership: Membership, clock: Clock = time.monotonic) -> None:
        config = consumer_config(connection, membership)
        self._membership = membership
        self._clock = clock
        self._max_poll_interval = float(str(config["max.poll.interval.ms"])) / 1000
        self._consumer = Consumer({**config, "on_commit": self._on_commit, "error_cb": self._on_error})
        self._listener: RebalanceListener | None = None
        self._paused = False
        self._pending = _Rebalance()
        self._owned: dict[Partition, TopicPartition] = {}
        self._polled_at = clock()
        self.joined = False
        self.brokers_down = False
        self.counts = SourceCounts()

    # ---- Membership ----------------------------------------------------------------------------------------------

    def join(self, listener: RebalanceListener) -> None:
        """Subscribe; the assignment arrives inside a later :meth:`receive`."""
        self._listener = listener
        self._polled_at = self._clock()
        self._consumer.subscribe(
            [self._membership.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def close(self, timeout: float) -> bool:
        """Commit what is stored and leave the group; return whether that was done within ``timeout`` seconds.

        ``close()`` of the client has no timeout of its own and waits for a coordinator that may be gone, so it runs
        in a daemon thread that the process does not wait for any longer than this.
        """
        closing = threading.Thread(target=self._consumer.close, name="kafka-close", daemon=True)
        closing.start()
        closing.join(timeout)
        return not closing.is_alive()

    @property
    def partitions(self) -> Sequence[Partition]:
        """The partitions owned now."""
        return tuple(self._owned)

    def lag(self) -> Mapping[Partition, int]:
        """Records between the position and the end of each owned partition, as far as known without asking."""
        lags = {}
        for position in self._consumer.position(list(self._owned.values())) if self._owned else ():
            _, high = self._consumer.get_watermark_offsets(position, cached=True)
            if high >= 0 and position.offset >= 0:
                lags[Partition(position.topic, position.partition)] = max(0, high - position.offset)
        return lags

    # ---- The port ------------------------------------------------------------------------------------------------

    def receive(self, limit: int, timeout: float) -> Sequence[Record]:
        """See :meth:`consumer.delivery.ports.Source.receive`."""
        messages = self._poll(limit, timeout)
        self._after_rebalance()
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(self._record(message))
            else:
                self._judge(message, error)
        return records

    def store(self, partition: Partition, offset: int, leader_epoch: int | None) -> None:
        """See :meth:`consumer.delivery.ports.Source.store`. The client commits it within a second."""
        where = TopicPartition(partition.topic, partition.number, offset)
        if leader_epoch is not None:
            where = TopicPartition(partition.topic, partition.number, offset, "", leader_epoch)
        try:
            self._consumer.store_offsets(offsets=[where])
        except KafkaException as refused:
            error = find_kafka_error(refused)
            if error is None or error.code() != KafkaError._STATE:
                raise SourceFailed(f"the offset of {partition.topic}/{partition.number} cannot be stored") from refused
            self.counts.stores_refused += 1  # no longer ours: its next owner goes on from what is committed

    def pause(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.pause`."""
        self._paused = True
        if self._owned:
            self._consumer.pause(list(self._owned.values()))

    def resume(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.resume`."""
        self._paused = False
        if self._owned:
            self._consumer.resume(list(self._owned.values()))

    # ---- Polling -------------------------------------------------------------------------------------------------

    def _poll(self, limit: int, timeout: float) -> list[Message]:
        try:
            first = self._consumer.poll(timeout)
            self._polled_at = self._clock()
            if first is None:
                return []
            rest = self._consumer.consume(limit - 1, 0) if limit > 1 and not self._paused else []
        except BaseException as error:
            raise SourceFailed(
                f"reading {self._membership.topic} failed ({type(error).__name__}); records taken but not yet seen "
                "are lost to this process and will be read again after a restart"
            ) from error
        return [first, *rest]

    def _record(self, message: Message) -> Record:
        try:
            found = _read_headers(message)  # once: after a failure a second call crashes the interpreter
        except Exception:
            self.counts.headers_unreadable += 1
            headers: Headers | None = None
        else:
            headers = _headers(found)
        topic, number, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert number is not None
        assert offset is not None
        kind, timestamp = message.timestamp()
        return Record(
            Partition(topic, number),
            offset,
            None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
            message.key(),
            message.value(),
            headers,
            message.leader_epoch(),
        )

    def _judge(self, message: Message, error: KafkaError) -> None:
        """React to an error event."""
        severity = severity_of(error)
        if severity is Severity.STOP:
            where = advise(error, topic=self._membership.topic, group=self._membership.group_id)
            raise SourceFailed(f"reading {self._membership.topic} is not possible: {where}")
        if severity is Severity.NO_OFFSET:
            self._begin(message)
            return
        self.counts.error_events += 1
        log.warning("kafka consumer event", error=error.name(), detail=error.str())

    # ---- Positions -----------------------------------------------------------------------------------------------

    def _begin(self, message: Message) -> None:
        """Give a partition without a valid position one, or stop: never silently."""
        topic, number = message.topic(), message.partition()
        assert topic is not None
        assert number is not None
        partition = TopicPartition(topic, number)
        try:
            (committed,) = self._consumer.committed([partition], timeout=LOOKUP_TIMEOUT)
            if committed.offset >= 0:
                self._go_on_out_of_range(partition, committed.offset)
                return
            start = self._start_of(partition)
            self._seek(partition, start)
        except KafkaException as error:
            raise SourceFailed(
                f"no start position could be found for {topic}/{number}: the brokers do not answer"
            ) from error
        log.info("group has no offset", partition=number, begins_at=start)

    def _go_on_out_of_range(self, partition: TopicPartition, committed: int) -> None:
        low, high = self._consumer.get_watermark_offsets(partition, timeout=LOOKUP_TIMEOUT)
        where = f"{partition.topic}/{partition.partition}"
        allowed = self._membership.out_of_range
        if allowed == "stop":
            raise OffsetOutOfRange(
                f"{where}: offset {committed} is committed, but the log holds {low} to {high}. Records between were "
                "deleted before they were read (or the topic was made anew). Accept it with "
                "kafka.out_of_range=earliest or latest, or reset the group's offsets."
            )
        target = low if allowed == "earliest" else high
        log.error(
            "committed offset out of range", partition=partition.partition, committed=committed, goes_on_at=target
        )
        self._seek(partition, target)

    def _start_of(self, partition: TopicPartition) -> int:
        """The first offset to read for a group without offsets."""
        start = self._membership.start
        low, high = self._consumer.get_watermark_offsets(partition, timeout=LOOKUP_TIMEOUT)
        if start.kind == "earliest":
            return low
        if start.kind == "latest":
            return high
        asked = TopicPartition(partition.topic, partition.partition, start.timestamp_ms)
        (found,) = self._consumer.offsets_for_times([asked], timeout=LOOKUP_TIMEOUT)
        return found.offset if found.offset >= 0 else high

    def _seek(self, partition: TopicPartition, offset: int) -> None:
        target = TopicPartition(partition.topic, partition.partition, offset)
        # Not seek(): after this error the client keeps no fetch state to move. A new assignment of the one partition
        # makes it, and both protocols that we use take assignments piecewise.
        self._consumer.incremental_unassign([TopicPartition(target.topic, target.partition)])
        self._consumer.incremental_assign([target])
        # Committed soon: a crash before the first record must not move the start ("latest" would skip records).
        self.store(Partition(partition.topic, partition.partition), offset, None)
        self.counts.begun += 1

    # ---- Callbacks: they take notes and never raise --------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._guarded(self._assign, _named(partitions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        late = self._clock() - self._polled_at > self._max_poll_interval
        self._guarded(self._lose if late else self._revoke, _named(partitions))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._guarded(self._lose, _named(partitions))

    def _guarded(self, react: Callable[[list[Partition]], None], partitions: list[Partition]) -> None:
        # The binding itself carries out the assignment after the callback, so a failure here leaves it whole.
        try:
            react(partitions)
        except BaseException as error:
            self._pending.error = error

    def _assign(self, partitions: list[Partition]) -> None:
        self.joined = True
        for partition in partitions:
            self._owned[partition] = TopicPartition(partition.topic, partition.number)
        self._pending.assigned += partitions
        assert self._listener is not None
        self._listener.assigned(partitions)

    def _revoke(self, partitions: list[Partition]) -> None:
        assert self._listener is not None
        try:
            self._listener.revoked(partitions)
        finally:
            self._forget(partitions)

    def _lose(self, partitions: list[Partition]) -> None:
        assert self._listener is not None
        self._forget(partitions)
        self._listener.lost(partitions)

    def _forget(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            self._owned.pop(partition, None)

    def _after_rebalance(self) -> None:
        """Raise what a callback could not, and set the pause state of what was assigned."""
        pending, self._pending = self._pending, _Rebalance()
        if pending.error is not None:
            raise SourceFailed(
                f"a rebalance could not be handled ({type(pending.error).__name__}); restart the process"
            ) from pending.error
        gained = [self._owned[partition] for partition in pending.assigned if partition in self._owned]
        if gained:
            (self._consumer.pause if self._paused else self._consumer.resume)(gained)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = [p for p in partitions if p.error is not None]
        if error is None and not failed:
            self.counts.commits += 1
        elif error is None or error.code() != KafkaError._NO_OFFSET:
            self.counts.commit_errors += 1
            reason = error if error is not None else failed[0].error
            # Most often a rebalance is under way; the offsets are committed again after it.
            log.warning("commit failed", error=reason.name() if reason else "", partitions=len(failed))

    def _on_error(self, error: KafkaError) -> None:
        self.brokers_down = error.code() == KafkaError._ALL_BROKERS_DOWN
        log.warning("kafka consumer", error=error.name(), detail=error.str())


def _headers(found: object) -> Headers:
    return tuple((name, value) for name, value in found) if isinstance(found, list) else ()


def _named(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(p.topic, p.partition) for p in partitions]
