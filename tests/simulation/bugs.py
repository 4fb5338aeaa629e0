"""Planted bugs: each a real mistake of this kind of program. The simulation must catch every one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

from consumer.classifier.runner import Runner
from consumer.delivery import protocol as protocol_module
from consumer.delivery.backlog import BacklogProgress, Covered
from consumer.delivery.batcher import Batcher, CloseReason
from consumer.delivery.deadline import Deadline
from consumer.delivery.ports import Acknowledgement, Delivery
from consumer.delivery.protocol import DeliveryProtocol
from consumer.delivery.records import Destination, Failure, Partition, Skipped, Stage, Verdict
from consumer.delivery.results import result_key
from consumer.delivery.row import Row
from consumer.delivery.spans import Division
from consumer.delivery.tracker import Assignment, Tracker, Watermark
from tests.simulation.model import Texts
from tests.simulation.schedule import Build


class CommitsBeforeAcknowledgement(DeliveryProtocol):
    def _publish(self, rows: Sequence[Row]) -> None:
        super()._publish(rows)
        for row in rows:
            self._tracker.complete(row.assignment, row.record.offset)

    def _acknowledge(self, timeout: float) -> None:
        with mock.patch.object(self._tracker, "complete"):
            super()._acknowledge(timeout)


def _awaits(assignment: Assignment, offset: int) -> bool:
    """Whether an offset was received and is not complete."""
    if assignment._backlog is None or offset >= assignment._backlog.live:
        return offset in assignment._incomplete
    chunk = assignment._backlog._chunk_at(offset)
    return chunk is not None and offset not in chunk._complete and any(offset == got for got, *_ in chunk._received)


class _EpochBlindTracker(Tracker):
    """Completes whatever assignment the partition has now."""

    def complete(self, assignment: Assignment, offset: int) -> None:
        current = self.find(assignment.partition)
        if current is not None and _awaits(current, offset):
            super().complete(current, offset)


class IgnoresTheEpoch(DeliveryProtocol):
    def __init__(self, **ports: Any) -> None:
        super().__init__(**ports)
        self._tracker = _EpochBlindTracker()

    def _take_back(self, timeout: float) -> None:
        for finished in self._classifier.finished(timeout):
            submitted = self._submitted.pop(finished.ticket)
            for row in submitted.rows:  # done is done, whoever was to publish it
                if row.assignment.fenced:
                    self._tracker.complete(row.assignment, row.record.offset)
            self._submitted[finished.ticket] = submitted
            with mock.patch.object(self._classifier, "finished", return_value=[finished]):
                super()._take_back(0.0)


class DeadLettersUnacknowledged(DeliveryProtocol):
    def _publish(self, rows: Sequence[Row]) -> None:
        super()._publish(rows)
        for row in rows:
            if isinstance(row.outcome, Failure):
                self._tracker.complete(row.assignment, row.record.offset)

    def _acknowledge(self, timeout: float) -> None:
        complete = self._tracker.complete

        def once(assignment: Assignment, offset: int) -> None:
            if _awaits(assignment, offset):
                complete(assignment, offset)

        with mock.patch.object(self._tracker, "complete", once):
            super()._acknowledge(timeout)


class _GapBlindAssignment(Assignment):
    """Takes whatever is not done below the newest done offset for a gap in the log."""

    __slots__ = ()

    def complete(self, offset: int) -> bool:
        moved = super().complete(offset)
        if (
            not self.fenced
            and not self.is_backlog(offset)
            and (self.watermark is None or offset >= self.watermark.offset)
        ):
            self.watermark = Watermark(offset + 1, None)
            return True
        return moved


class _GapBlindTracker(Tracker):
    def assign(self, partition: Partition) -> None:
        with mock.patch("consumer.delivery.tracker.Assignment", _GapBlindAssignment):
            super().assign(partition)


class CountsGapsAsDone(DeliveryProtocol):
    def __init__(self, **ports: Any) -> None:
        super().__init__(**ports)
        self._tracker = _GapBlindTracker()


class DrainThatDrops(DeliveryProtocol):
    """Gives buffered rows up and lets the watermark pass them."""

    def _drop(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._tracker.complete(row.assignment, row.record.offset)
            row.assignment.outstanding += 1
        super()._drop(rows)


class SkippedOvertakes(DeliveryProtocol):
    """Publishes what needs no model at once, past the buffer."""

    def _feed(self) -> None:
        line = self._batcher.take_all()
        self._publish([row for row in line if isinstance(row.decoded, Skipped)])
        self._batcher.put_back([row for row in line if not isinstance(row.decoded, Skipped)])
        super()._feed()


class _FlushTimerBatcher(Batcher[Row]):
    """Measures the wait from the last flush instead of from the oldest record."""

    _flushed_at = 0.0

    def _due(self, now: float, idle: bool) -> CloseReason | None:
        reason = super()._due(now, idle)
        if reason is None and self._rows and now - self._flushed_at >= self._policy.max_wait:
            reason = CloseReason.DEADLINE
        if reason is not None:
            self._flushed_at = now
        return reason


class TimerFromTheLastFlush(DeliveryProtocol):
    def __init__(self, **ports: Any) -> None:
        super().__init__(**ports)
        self._batcher = _FlushTimerBatcher(ports["batching"])


class WholeBatchDeadLettered(Runner[Texts]):
    """One culprit takes its siblings along."""

    def _bisect(
        self, batch: Texts, rows: list[int], error: Exception, verdicts: list[Verdict | Failure | None]
    ) -> None:
        for row in rows:
            verdicts[row] = Failure(type(error).__name__, "the batch failed", Stage.MODEL)

    def _judge(self, failed: int, texts: int) -> None:
        pass


class PublishesRevokedRows(DeliveryProtocol):
    """Neither drops nor fences: what comes back late is published and committed."""

    def _release(self, partitions: Sequence[Partition], deadline: Deadline) -> bool:
        return True


class CacheBlindToTheModel(DeliveryProtocol):
    def _submit(self, batch: Any) -> None:
        with mock.patch.object(protocol_module, "result_key", _key_of_text):
            super()._submit(batch)

    def _take_back(self, timeout: float) -> None:
        with mock.patch.object(protocol_module, "result_key", _key_of_text):
            super()._take_back(timeout)


def _key_of_text(text: str, model_digest: str) -> bytes:
    return result_key(text, "whichever")


class CommitsRefusedMessages(DeliveryProtocol):
    """Takes any news of a message for good news."""

    def _publish_otherwise(self, ack: Acknowledgement[Row]) -> None:
        message = ack.receipt.message
        if ack.delivery is Delivery.RETRY and message is not None and message.destination is Destination.LABELED:
            self._flow.leave(ack.receipt)
            self._tracker.complete(ack.receipt.assignment, ack.receipt.record.offset)
            return
        super()._publish_otherwise(ack)


class _JumpingTracker(Tracker):
    """Takes what live reading has done for what the partition has."""

    def moved(self) -> Iterator[tuple[Partition, Watermark]]:
        for partition, position in super().moved():
            live = self._assignments[partition].watermark
            yield partition, live if position.above and live is not None else position


class CommitJumpsToLive(DeliveryProtocol):
    def __init__(self, **ports: Any) -> None:
        super().__init__(**ports)
        self._tracker = _JumpingTracker()


class _LastForEnd(BacklogProgress):
    """Takes a chunk for read when what was received of it is complete."""

    def complete(self, offset: int) -> bool:
        chunk = self._chunk_at(offset)
        moved = super().complete(offset)
        if chunk is not None and not chunk.passed and not chunk._received:
            self.passed(chunk.span)
        return moved


class ChunkEndsWithItsLastRecord(DeliveryProtocol):
    def divided(self, partition: Partition, division: Division) -> None:
        with mock.patch("consumer.delivery.tracker.BacklogProgress", _LastForEnd):
            super().divided(partition, division)


class _SeamBlind(BacklogProgress):
    """Takes a small hole between two spans for a gap in the log."""

    def covered(self, live_upto: int | None, live_epoch: int | None) -> Covered:
        offset, epoch, above = super().covered(live_upto, live_epoch)
        while above and above[0].start - offset <= 2:
            offset, above = above[0].end, above[1:]
        return Covered(offset, epoch, above)


class SeamCountedAsDone(DeliveryProtocol):
    def divided(self, partition: Partition, division: Division) -> None:
        with mock.patch("consumer.delivery.tracker.BacklogProgress", _SeamBlind):
            super().divided(partition, division)


class ForgetsWhatIsDoneAbove(DeliveryProtocol):
    """Stores the offset alone."""

    def _store(self) -> None:
        store = self._source.store
        with mock.patch.object(
            self._source, "store", lambda partition, offset, epoch, above: store(partition, offset, epoch)
        ):
            super()._store()


BUGS = {
    "commit-before-acknowledgement": Build(CommitsBeforeAcknowledgement),
    "epoch-ignored": Build(IgnoresTheEpoch),
    "dead-letter-unacknowledged": Build(DeadLettersUnacknowledged),
    "gap-counted-as-done": Build(CountsGapsAsDone),
    "drain-that-drops": Build(DrainThatDrops),
    "skipped-overtakes-the-buffer": Build(SkippedOvertakes),
    "timer-from-the-last-flush": Build(TimerFromTheLastFlush),
    "whole-batch-dead-lettered": Build(runner=WholeBatchDeadLettered),
    "revoked-rows-published": Build(PublishesRevokedRows),
    "cache-blind-to-the-model": Build(CacheBlindToTheModel),
    "refused-message-counted": Build(CommitsRefusedMessages),
    "commit-jumps-to-live": Build(CommitJumpsToLive),
    "chunk-ends-with-its-last-record": Build(ChunkEndsWithItsLastRecord),
    "seam-counted-as-done": Build(SeamCountedAsDone),
    "done-above-forgotten": Build(ForgetsWhatIsDoneAbove),
}
