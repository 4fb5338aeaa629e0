"""The input topic through confluent_kafka. One thread calls everything here.

Traps this file answers (each has a test in ``tests/kafka``):

* Anything raised out of ``poll``/``consume`` destroys records that the position has already passed: the process must
  end, so that they are read again. Callbacks therefore catch everything and only take notes.
* ``consume(n, t)`` sits out ``t`` unless ``n`` records come: the first record is awaited with ``poll(t)``, the rest
  taken with ``consume(n - 1, 0)``.
* Header names that are not UTF-8: see :mod:`consumer.kafka.received`. Partitions without a valid position: see
  :mod:`consumer.kafka.positions`.
* ``pause`` survives a revoke and the next assignment: the wanted state is set anew after each.
* Fatal errors arrive as messages that do not say so.
* A revoke that comes after ``max.poll.interval.ms`` was overrun may hide that the partitions are lost (librdkafka
  #5604): then it is treated as lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.delivery.errors import SourceFailed
from consumer.delivery.ports import Clock, RebalanceListener
from consumer.delivery.records import Partition, Record
from consumer.kafka.broker_state import BrokerState
from consumer.kafka.config import consumer_config
from consumer.kafka.errors import Severity, advise, find_kafka_error, severity_of
from consumer.kafka.positions import Positions
from consumer.kafka.received import partition_of, record_of
from consumer.kafka.settings import Connection, Membership

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
    """What the rebalance callbacks of one poll left to do or to raise."""

    error: BaseException | None = None
    assigned: list[Partition] = field(default_factory=list)
    gone: set[Partition] = field(default_factory=set)


class KafkaSource:
    """Implements :class:`consumer.delivery.ports.Source`."""

    def __init__(self, connection: Connection, membership: Membership, clock: Clock = time.monotonic) -> None:
        config = consumer_config(connection, membership)
        self._membership = membership
        self._grantee = connection.grantee
        self._clock = clock
        self._max_poll_interval = float(str(config["max.poll.interval.ms"])) / 1000
        self._brokers = BrokerState("consumer")
        self._consumer = Consumer({**config, "on_commit": self._on_commit, "error_cb": self._brokers.on_error})
        self._positions = Positions(self._consumer, membership, clock, connection.grantee)
        self._listener: RebalanceListener | None = None
        self._paused = False
        self._pending = _Rebalance()
        self._owned: dict[Partition, TopicPartition] = {}
        self._ends: dict[Partition, int] = {}  # where the end of a partition was last reached
        self._polled_at = clock()
        self.joined = False
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
        closing = threading.Thread(target=self._close, name="kafka-close", daemon=True)
        closing.start()
        closing.join(timeout)
        return not closing.is_alive()

    @property
    def brokers_down(self) -> bool:
        """Whether no broker could be reached, and none was heard of since."""
        return self._brokers.down

    def heard_of_brokers(self) -> None:
        """Somebody else found that a broker answers; an idle consumer would not notice by itself."""
        self._brokers.heard()

    @property
    def partitions(self) -> Sequence[Partition]:
        """The partitions owned now."""
        return tuple(self._owned)

    @property
    def paused(self) -> bool:
        """Whether it delivers nothing until :meth:`resume`."""
        return self._paused

    def lag(self, ends: Mapping[Partition, int] | None = None) -> Mapping[Partition, int]:
        """Records between the position and the end of each owned partition, as far as known without asking.

        ``ends`` are known from elsewhere: what the client knows is as old as its last fetch, and it stands still while
        it is paused.

        A partition that has delivered nothing yet has no position; that its end was reached is heard of all the same.
        """
        lags = {}
        for position in self._consumer.position(list(self._owned.values())) if self._owned else ():
            _, high = self._consumer.get_watermark_offsets(position, cached=True)
            partition = Partition(position.topic, position.partition)
            read = max(position.offset, self._ends.get(partition, -1))
            high = max(high, (ends or {}).get(partition, -1))
            if high >= 0 and read >= 0:
                lags[partition] = max(0, high - read)
        return lags

    def set_credentials(self, user: str, password: str) -> None:
        """Log in with these from now on; connections that stand are kept. On the thread that polls, like all here."""
        self._consumer.set_sasl_credentials(user, password)

    # ---- The port ------------------------------------------------------------------------------------------------

    def receive(self, limit: int, timeout: float) -> Sequence[Record]:
        """See :meth:`consumer.delivery.ports.Source.receive`."""
        messages = self._poll(limit, timeout)
        self._after_rebalance()
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                record = record_of(message)
                self.counts.headers_unreadable += record.headers is None
                records.append(record)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._reached_end(message)
            else:
                self._judge(message, error)
        if records:
            self._brokers.heard()
        for partition, offset in self._positions.found():
            self._begin(partition, offset)
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
            self._pending.gone.clear()
            rest = self._consumer.consume(limit - 1, 0) if limit > 1 and not self._paused else []
        except BaseException as error:
            raise SourceFailed(
                f"reading {self._membership.topic} failed ({type(error).__name__}); records taken but not yet seen "
                "are lost to this process and will be read again after a restart"
            ) from error
        if self._pending.gone and partition_of(first) in self._pending.gone:
            return rest  # it moved on after its record was taken: its next owner reads that
        return [first, *rest]

    def _reached_end(self, message: Message) -> None:
        self._brokers.heard()
        partition, end = partition_of(message), message.offset()
        if partition in self._owned and end is not None:
            self._ends[partition] = end

    def _judge(self, message: Message, error: KafkaError) -> None:
        """React to an error event."""
        severity = severity_of(error)
        if severity is Severity.STOP:
            where = advise(error, topic=self._membership.topic, group=self._membership.group_id, to=self._grantee)
            raise SourceFailed(f"reading {self._membership.topic} is not possible: {where}")
        if severity is Severity.NO_OFFSET:
            partition = partition_of(message)
            if partition in self._owned:  # else it moved on; its next owner asks again
                self._positions.look_for(partition)
            return
        self.counts.error_events += 1
        log.warning("kafka consumer event", error=error.name(), detail=error.str())

    def _begin(self, partition: Partition, offset: int) -> None:
        # Not seek(): after this error the client keeps no fetch state to move. A new assignment of the one partition
        # makes it, and both protocols that we use take assignments piecewise.
        self._ends.pop(partition, None)
        start = TopicPartition(partition.topic, partition.number, offset)
        here = TopicPartition(partition.topic, partition.number)
        try:
            self._consumer.incremental_unassign([here])
            self._consumer.incremental_assign([start])
            self._set_pause([here])
        except KafkaException as error:
            raise SourceFailed(
                f"{partition.topic}/{partition.number} cannot be read from offset {offset}; restart the process"
            ) from error
        # Stored, and sent at once: a crash before the first record must not move the start ("latest" would skip what
        # came meanwhile). If it cannot be sent now, the next automatic commit does it.
        self.store(partition, offset, None)
        with suppress(KafkaException):
            self._consumer.commit(offsets=[start], asynchronous=True)
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
        self._brokers.heard()
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
        self._pending.gone.update(partitions)
        for partition in partitions:
            self._owned.pop(partition, None)
            self._ends.pop(partition, None)
            self._positions.forget(partition)

    def _after_rebalance(self) -> None:
        """Raise what a callback could not, and set the pause state of what was assigned."""
        pending, self._pending = self._pending, _Rebalance()
        if pending.error is not None:
            raise SourceFailed(
                f"a rebalance could not be handled ({type(pending.error).__name__}); restart the process"
            ) from pending.error
        gained = [self._owned[partition] for partition in pending.assigned if partition in self._owned]
        if gained:
            self._set_pause(gained)

    def _set_pause(self, partitions: list[TopicPartition]) -> None:
        (self._consumer.pause if self._paused else self._consumer.resume)(partitions)

    def _close(self) -> None:
        try:
            self._consumer.close()
        except Exception as error:  # what was not committed is read again; nothing else is left to do
            _warn("leaving the group failed", error=type(error).__name__)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = [p for p in partitions if p.error is not None]
        if error is None and not failed:
            self.counts.commits += 1
            self._brokers.heard()
        elif error is None or error.code() != KafkaError._NO_OFFSET:
            self.counts.commit_errors += 1
            reason = error if error is not None else failed[0].error
            # Most often a rebalance is under way; the offsets are committed again after it.
            _warn("commit failed", error=reason.name() if reason else "", partitions=len(failed))


def _warn(event: str, **fields: object) -> None:
    """Log from where nothing may be raised: inside a callback that would make a poll fail."""
    with suppress(Exception):
        log.warning(event, **fields)


def _named(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(p.topic, p.partition) for p in partitions]
