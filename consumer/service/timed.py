"""The Kafka ports, timed for the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.ports import Acknowledgement, Clock, ReceiptT, Sink, Source
from consumer.delivery.records import Message, Partition, Record
from consumer.delivery.spans import Span
from consumer.service.metrics import Metrics

TIMED = 16  # one message in so many has its acknowledgement timed


class TimedSource:
    """A source that counts the time spent waiting for records."""

    def __init__(self, source: Source, metrics: Metrics, clock: Clock) -> None:
        self._source = source
        self._metrics = metrics
        self._clock = clock

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        """See :meth:`consumer.delivery.ports.Source.receive`."""
        if timeout <= 0:
            return self._source.receive(limit, timeout, backlog)
        began = self._clock()
        records = self._source.receive(limit, timeout, backlog)
        # No longer than it was to wait: the rest is a rebalance, whose callbacks run in there.
        self._metrics.input_wait.inc(min(timeout, max(0.0, self._clock() - began)))
        return records

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        """See :meth:`consumer.delivery.ports.Source.store`."""
        self._source.store(partition, offset, leader_epoch, above)

    def pause(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.pause`."""
        self._source.pause()

    def resume(self) -> None:
        """See :meth:`consumer.delivery.ports.Source.resume`."""
        self._source.resume()


class TimedSink(Generic[ReceiptT]):
    """A sink that times the acknowledgement of some of its messages, and counts those that have none yet."""

    def __init__(self, sink: Sink[ReceiptT], metrics: Metrics, clock: Clock) -> None:
        self._sink = sink
        self._metrics = metrics
        self._clock = clock
        self._count = 0
        self._began: dict[int, float] = {}  # by the receipt's identity; the sink keeps the receipt until then
        self.unacknowledged = 0

    def publish(self, message: Message, receipt: ReceiptT) -> None:
        """See :meth:`consumer.delivery.ports.Sink.publish`."""
        self._count += 1
        self.unacknowledged += 1
        if self._count % TIMED == 0:
            self._began[id(receipt)] = self._clock()
        self._sink.publish(message, receipt)

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[ReceiptT]]:
        """See :meth:`consumer.delivery.ports.Sink.acknowledgements`."""
        known = self._sink.acknowledgements(timeout)
        self.unacknowledged -= len(known)
        if known and self._began:
            now = self._clock()
            began = [self._began.pop(id(each.receipt), None) for each in known]
            self._metrics.acknowledge_seconds.observe([now - each for each in began if each is not None])
        return known
