"""The input topic through confluent_kafka. One thread calls everything here.

Traps this file answers (each has a test in ``tests/kafka``):

* Anything raised out of ``poll``/``consume`` destroys records that the position has already passed: the process must
  end, so that they are read again. Callbacks therefore catch everything and only take notes.
* ``consume(n, t)`` sits out ``t`` unless ``n`` records come: the first record is awaited with ``poll(t)``, the rest
  taken with ``consume(n - 1, 0)``.
* Header names that are not UTF-8: see :mod:`consumer.kafka.received`. Partitions without a valid position: see
  :mod:`consumer.kafka.positions`. Pauses, and beginning elsewhere than the client would: see
  :mod:`consumer.kafka.ownership`.
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
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.errors import SourceFailed
from consumer.delivery.ports import Clock, RebalanceListener
from consumer.delivery.records import Partition, Record
from consumer.delivery.spans import Division, Span
from consumer.kafka.backlog import Backlog
from consumer.kafka.broker_state import BrokerState
from consumer.kafka.commits import Commits
from consumer.kafka.config import consumer_config
from consumer.kafka.counts import SourceCounts
from consumer.kafka.divisions import Divider
from consumer.kafka.errors import Severity, advise, severity_of
from consumer.kafka.offset_metadata import spans_in, topic_of
from consumer.kafka.ownership import Ownership
from consumer.kafka.positions import LOOKUP_TIMEOUT, Found, Positions
from consumer.kafka.received import partition_of, record_of
from consumer.kafka.settings import Connection, Membership

BACKLOG_WAIT = 0.005  # seconds to wait for live records while there is a backlog to look at

log = structlog.get_logger()


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
        self.counts = SourceCounts()
        self._commits = Commits(self._consumer, clock, self.counts, self._brokers.heard)
        divider = None
        if membership.catch_up is not None:
            divider = Divider(self._consumer, membership.catch_up, time.time, LOOKUP_TIMEOUT)
        self._positions = Positions(self._consumer, membership, clock, divider, connection.grantee)
        self._divides = divider is not None
        self._owned = Ownership(self._consumer)
        self._backlog = Backlog(connection, membership, clock)
        self._listener: RebalanceListener | None = None
        self._pending = _Rebalance()
        self._ends: dict[Partition, int] = {}  # where the end of a partition was last reached
        self._polled_at = clock()
        self.joined = False

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
        return self._owned.partitions

    @property
    def paused(self) -> bool:
        """Whether it delivers nothing until :meth:`resume`."""
        return self._owned.paused

    def lag(self, ends: Mapping[Partition, int] | None = None) -> Mapping[Partition, int]:
        """Records of each owned partition that were not read yet, as far as known without asking.

        ``ends`` are known from elsewhere: what the client knows is as old as its last fetch, and it stands still while
        it is paused.

        A partition that has delivered nothing yet has no position; that its end was reached is heard of all the same.
        """
        lags = {}
        for position in self._owned.positions:
            _, high = self._consumer.get_watermark_offsets(position, cached=True)
            partition = Partition(position.topic, position.partition)
            backlog = self._backlog.left(partition)
            read = max(position.offset, self._ends.get(partition, -1))
            high = max(high, (ends or {}).get(partition, -1))
            if high >= 0 and read >= 0:
                lags[partition] = max(0, high - read) + backlog
            elif backlog:  # nothing was read live yet
                lags[partition] = backlog
        return lags

    def is_of(self, topic_id: str, numbers: Sequence[int]) -> Sequence[int]:
        """Note which topic this is, before joining; return the partitions whose committed offset is of another one.

        Raises:
            KafkaException: no broker tells what is committed.
        """
        self._commits.topic_id = topic_id
        asked = [TopicPartition(self._membership.topic, number) for number in numbers]
        found = self._consumer.committed(asked, timeout=LOOKUP_TIMEOUT)
        half_done = [each.partition for each in found if spans_in(each.metadata)]
        if half_done and not self._divides:
            log.warning(
                "a catch-up was not finished: what it did above the committed offsets is labeled again; "
                "catch_up.order=newest_first would go on with it",
                partitions=half_done,
            )
        return [each.partition for each in found if topic_of(each.metadata) not in (None, topic_id)]

    def begin_anew(self, topic_id: str) -> None:
        """Have the group begin at the start of the partitions owned now: another topic has the name. Then stop.

        The client's position and what it committed are offsets of the old topic: records of the new one below them
        would never be read.
        """
        given_up = self._owned.give_up()
        self._commits.topic_id = topic_id
        self._commits.begin_anew(given_up)

    def set_credentials(self, user: str, password: str) -> None:
        """Log in with these from now on; connections that stand are kept. On the thread that polls, like all here."""
        self._consumer.set_sasl_credentials(user, password)

    # ---- The port ------------------------------------------------------------------------------------------------

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        """See :meth:`consumer.delivery.ports.Source.receive`."""
        if self._divides:
            self._commits.send_due()
        records = self._receive_both(limit, timeout, backlog) if self._backlog else self._receive_live(limit, timeout)
        for found in self._positions.found():
            self._begin(found)
        return records

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        """See :meth:`consumer.delivery.ports.Source.store`. It is committed within a second."""
        self._commits.store(partition, offset, leader_epoch, above)

    def pause(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.pause`."""
        self._owned.pause()

    def resume(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.resume`."""
        self._owned.resume()

    # ---- Polling -------------------------------------------------------------------------------------------------

    def _receive_live(self, limit: int, timeout: float) -> list[Record]:
        messages = self._poll(limit, timeout)
        self._after_rebalance()
        waiting = self._owned.waiting
        records = []
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._reached_end(message)
            elif error is not None:
                self._judge(message, error)
            elif not waiting or partition_of(message) not in waiting:
                record = record_of(message)
                self.counts.headers_unreadable += record.headers is None
                records.append(record)
        if records:
            self._brokers.heard()
        return records

    def _receive_both(self, limit: int, timeout: float, turn: BacklogLimits) -> list[Record]:
        """Live records first, beside what backlogs are owed; what else there is of them after those."""
        assert self._listener is not None
        for partition, chunk in self._backlog.passed():
            self._listener.passed(partition, chunk)
        if self._owned.paused:
            return self._receive_live(limit, timeout)
        older = self._backlog.take(min(turn.share, limit))
        records = self._receive_live(limit - len(older), 0.0) if len(older) < limit else []
        older = [record for record in older if record.partition in self._backlog]  # else it moved on in that poll
        older += self._backlog.take(min(turn.spare, limit - len(older) - len(records)))
        if not older and not records and timeout > 0:
            return self._receive_live(limit, min(timeout, BACKLOG_WAIT))
        self.counts.headers_unreadable += sum(record.headers is None for record in older)
        return records + older

    def _poll(self, limit: int, timeout: float) -> list[Message]:
        try:
            first = self._consumer.poll(timeout)
            self._polled_at = self._clock()
            if first is None:
                return []
            self._pending.gone.clear()
            rest = self._consumer.consume(limit - 1, 0) if limit > 1 and not self._owned.paused else []
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
        if partition in self._owned and partition not in self._owned.waiting and end is not None:
            self._ends[partition] = end

    def _judge(self, message: Message, error: KafkaError) -> None:
        """React to an error event."""
        severity = severity_of(error)
        if severity is Severity.STOP:
            where = advise(error, topic=self._membership.topic, group=self._membership.group_id, to=self._grantee)
            raise SourceFailed(f"reading {self._membership.topic} is not possible: {where}")
        if severity is Severity.NO_OFFSET:
            partition = partition_of(message)
            if partition in self._backlog:
                raise SourceFailed(
                    f"{partition.topic}/{partition.number}: what is read live is not in the log any more; restart the "
                    "process: it goes on from the committed offset"
                )
            if partition in self._owned and partition not in self._owned.waiting:  # else its next owner asks again
                self._positions.look_for(partition)
            return
        self.counts.error_events += 1
        log.warning("kafka consumer event", error=error.name(), detail=error.str())

    def _begin(self, found: Found) -> None:
        partition, division = found.partition, found.division
        self._ends.pop(partition, None)
        self._owned.begin(partition, found.offset if division is None else division.live)
        if division is not None:
            self._divide(partition, division)
        if found.begins:
            self._commits.begin(partition, found.offset)
            self.counts.begun += 1

    def _divide(self, partition: Partition, division: Division) -> None:
        assert self._listener is not None
        self.counts.divided += 1
        log.info("partition divided", partition=partition.number, committed=division.begin, live_from=division.live)
        self._listener.divided(partition, division)
        self._commits.divide(partition, division.live)
        self._backlog.open(partition, division)

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
        (self._owned.gain_waiting if self._divides else self._owned.gain)(partitions)
        self._pending.assigned += partitions
        assert self._listener is not None
        self._listener.assigned(partitions)

    def _revoke(self, partitions: list[Partition]) -> None:
        assert self._listener is not None
        try:
            self._listener.revoked(partitions)
            self._commits.release(partitions)
        finally:
            self._forget(partitions)

    def _lose(self, partitions: list[Partition]) -> None:
        assert self._listener is not None
        self._forget(partitions)
        self._listener.lost(partitions)

    def _forget(self, partitions: list[Partition]) -> None:
        self._pending.gone.update(partitions)
        self._owned.forget(partitions)
        self._commits.forget(partitions)
        for partition in partitions:
            self._ends.pop(partition, None)
            self._positions.forget(partition)
            self._backlog.forget(partition)

    def _after_rebalance(self) -> None:
        """Raise what a callback could not, and set the pause state of what was assigned."""
        pending, self._pending = self._pending, _Rebalance()
        if pending.error is not None:
            raise SourceFailed(
                f"a rebalance could not be handled ({type(pending.error).__name__}); restart the process"
            ) from pending.error
        self._owned.settle(pending.assigned)
        for partition in self._owned.waiting.intersection(pending.assigned):
            self._positions.look_for(partition, new=True)

    def _close(self) -> None:
        for step in (self._commits.finish, self._consumer.close, self._backlog.close):
            try:
                step()
            except Exception as error:  # what was not committed is read again; nothing else is left to do
                _warn("leaving the group failed", error=type(error).__name__)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commits.on_commit(error, partitions)


def _warn(event: str, **fields: object) -> None:
    """Log from where nothing may be raised: inside a callback that would make a poll fail."""
    with suppress(Exception):
        log.warning(event, **fields)


def _named(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(p.topic, p.partition) for p in partitions]
