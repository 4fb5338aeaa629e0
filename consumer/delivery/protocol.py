"""The delivery protocol: comments in, labeled events out, offsets only after.

At-least-once, in this order; the numbers stand at the code below:

1. Receive; register every record with the tracker under its partition's assignment epoch.
2. Decode a poll at a time, each record by itself. What is not a comment will be a dead letter.
3. What needs no model (skipped, tombstone, dead letter) stands in the same line as what does, so nothing overtakes
   and every partition's messages leave in offset order.
4. Buffer; close a batch by the rule in :mod:`consumer.delivery.batcher`.
5. Collapse equal texts, look the others up among earlier results, and hand what is left to the model.
6. Take verdicts back. They count only for rows whose epoch is still open.
7. Encode each row's outcome: exactly one message a record.
8. Publish. Only an acknowledged message completes its record; one refused for its size or content becomes a dead
   letter, and a dead letter that cannot be written whole becomes a stub.
9. Store the offset after each partition's completed prefix.

A revoke (and the drain at the end, which is a revoke of everything) drops what was not started, waits for what
was, under one deadline, stores, and only then fences the epoch. Lost partitions are fenced at once.

A divided partition (see :mod:`consumer.delivery.spans`) is read in two parts at once: then nothing overtakes inside
each part, and step 9 stores with the offset what is done above it.

No Kafka, no model, no threads and no clock of its own: all of that comes through :mod:`consumer.delivery.ports`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from consumer.delivery.backlog import BacklogTurns
from consumer.delivery.batcher import Batcher, BatchPolicy, ClosedBatch
from consumer.delivery.dead_letter_limits import DeadLetterLimits
from consumer.delivery.deadline import Deadline
from consumer.delivery.errors import DeliveryStopped, OutputRefused
from consumer.delivery.flow import Change, Flow, FlowLimits
from consumer.delivery.follower import Follower
from consumer.delivery.observer import Observer
from consumer.delivery.ports import Acknowledgement, Classifier, Clock, Codec, Delivery, Sink, Source
from consumer.delivery.records import (
    Destination,
    Failure,
    Labeled,
    Outcome,
    Partition,
    Stage,
    ToClassify,
    Verdict,
)
from consumer.delivery.results import ResultCache, result_key
from consumer.delivery.row import Row
from consumer.delivery.spans import Division, Span
from consumer.delivery.tracker import Progress, Tracker

QUEUE_OF_TWO = 2  # batches with the model at once: one running, one tokenised and ready
POLL_RECORDS = 1024  # most records taken in one step, so that a step stays short
POLL_BUSY = 0.002  # seconds to wait for input while acknowledgements are due and the model has nothing to do
POLL_IDLE = 0.05  # seconds to wait for input while nothing is in flight
AWAIT_MODEL = 0.01  # seconds to wait for the model at once, when it has a batch and no input is there
DRAIN_POLL = 0.01  # seconds between looks while a revoke waits
BACKLOG_LINE = 2  # batches in line up to which backlogs are taken in: a live comment waits behind these at the most
MAX_ATTEMPTS = 10  # times one message is handed to the sink; the sink itself outlasts any broker outage


@dataclass(slots=True)
class _Submitted:
    """A batch with the model: its rows, and for each distinct text the rows that wait for its verdict."""

    rows: list[Row]
    waiting: dict[bytes, list[Row]] = field(default_factory=dict)


class DeliveryProtocol:
    """One consumer's delivery. Call :meth:`step` for ever, then :meth:`drain`; one thread drives it.

    Implements :class:`~consumer.delivery.ports.RebalanceListener` for its source.
    """

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink[Row],
        classifier: Classifier,
        codec: Codec,
        clock: Clock,
        batching: BatchPolicy,
        limits: FlowLimits,
        dead_letter_limits: DeadLetterLimits,
        cache: ResultCache,
        observer: Observer,
        revoke_timeout: float,
        follower: Follower | None = None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._classifier = classifier
        self._codec = codec
        self._clock = clock
        self._batcher: Batcher[Row] = Batcher(batching)
        self._flow = Flow(limits)
        self._dead_letter_limits = dead_letter_limits
        self._cache = cache
        self._observer = observer
        self._follower = follower or Follower()
        self._revoke_timeout = revoke_timeout
        self._tracker = Tracker()
        self._turns = BacklogTurns(BACKLOG_LINE * batching.max_rows)
        self._submitted: dict[int, _Submitted] = {}
        self._ticket = 0
        self._stopped: DeliveryStopped | None = None

    @property
    def flow(self) -> Flow:
        """What is in flight now; for metrics."""
        return self._flow

    @property
    def assigned_partitions(self) -> Sequence[Partition]:
        return self._tracker.partitions

    @property
    def progress(self) -> Mapping[Partition, Progress]:
        """How far each assigned partition is; for metrics, on the protocol's thread."""
        return self._tracker.progress

    @property
    def waiting(self) -> int:
        """Records in the line for a batch; for metrics."""
        return len(self._batcher)

    def step(self) -> None:
        """Do one turn of everything, waiting briefly for what comes next.

        That is input while the model has nothing to do, and else its results: what arrives while it is busy cannot
        start before them, and a thread that looks at Kafka every other millisecond slows the forward pass down.

        Raises:
            DeliveryStopped: going on would lose or wrongly reject something. Offsets stay where they are.
        """
        self._acknowledge(0.0)
        self._take_back(0.0)
        if self._flow.full and not self._flow.paused:
            self._await_room()
        elif not self._receive() and self._submitted:
            self._take_back(AWAIT_MODEL)
        self._feed()
        self._store()
        self._regulate()

    def drain(self, timeout: float) -> bool:
        """Stop taking; finish what was started within ``timeout`` seconds; return whether all of it was."""
        self._source.pause()
        deadline = Deadline(self._clock, timeout)
        finished = self._release(self._tracker.partitions, deadline)
        self._raise_if_stopped()
        return finished

    # ---- Steps 1 to 3: in ----------------------------------------------------------------------------------------

    def _receive(self) -> bool:
        """Take input in; return whether there was any."""
        wait = 0.0 if self._submitted else POLL_BUSY if self._flow.records else POLL_IDLE
        limit = max(1, min(POLL_RECORDS, self._flow.room))
        if self._tracker.divided:
            received = self._source.receive(limit, wait, self._turns.limits(len(self._batcher)))
        else:
            received = self._source.receive(limit, wait)
        self._raise_if_stopped()
        if not received:
            return False
        # A record of a partition that moved on during the very same poll belongs to its next owner.
        owned = [(r, a) for r in received if (a := self._tracker.find(r.partition)) is not None]
        records = [record for record, _ in owned]
        if self._tracker.divided:
            backlog = sum(assignment.is_backlog(record.offset) for record, assignment in owned)
            self._turns.took(len(owned) - backlog, backlog)
        now = self._clock()
        rows = []
        for (record, assignment), decoded in zip(owned, self._codec.decode(records), strict=True):
            assignment.receive(record.offset, record.leader_epoch, now, record.timestamp_ms)
            row = Row.of(record, assignment, decoded, now)
            self._flow.enter(row)
            self._batcher.add(row)
            rows.append(row)
        self._follower.received(rows)
        self._observer.received(len(records), max((r.timestamp_ms or 0 for r in records), default=None))
        return True

    def _await_room(self) -> None:
        """Wait for what makes room, not for input; see :mod:`consumer.delivery.flow`."""
        if self._submitted:
            self._take_back(AWAIT_MODEL)
        else:
            self._acknowledge(POLL_BUSY)

    # ---- Steps 4 and 5: to the model -----------------------------------------------------------------------------

    def _feed(self) -> None:
        while len(self._submitted) < QUEUE_OF_TWO:
            batch = self._batcher.close(self._clock(), idle=not self._submitted)
            if batch is None:
                return
            self._submit(batch)

    def _submit(self, batch: ClosedBatch[Row]) -> None:
        submitted = _Submitted(batch.rows)
        texts: list[str] = []
        cached = collapsed = 0
        model = self._classifier.identity.digest
        for row in batch.rows:
            if not isinstance(row.decoded, ToClassify):
                continue
            key = result_key(row.decoded.text, model)
            if (twins := submitted.waiting.get(key)) is not None:
                twins.append(row)
                collapsed += 1
            elif (verdict := self._cache.find(key)) is not None:
                row.verdict = verdict
                cached += 1
            else:
                row.verdict = None
                submitted.waiting[key] = [row]
                texts.append(row.decoded.text)
        self._ticket += 1
        self._submitted[self._ticket] = submitted
        self._classifier.submit(self._ticket, texts)
        self._follower.submitted(self._ticket, batch, len(texts))
        self._observer.batch_submitted(
            batch.reason,
            rows=len(batch.rows),
            tokens=batch.tokens,
            waited=batch.waited,
            distinct=len(texts),
            cached=cached,
            collapsed=collapsed,
        )

    # ---- Steps 6 to 8: back from the model and out ---------------------------------------------------------------

    def _take_back(self, timeout: float) -> None:
        for finished in self._classifier.finished(timeout):
            submitted = self._submitted.pop(finished.ticket)
            for rows, verdict in zip(submitted.waiting.values(), finished.verdicts, strict=True):
                for row in rows:
                    row.verdict = verdict
                if isinstance(verdict, Verdict):
                    # Under the model that answered, which need not be the one that was asked.
                    text = rows[0].decoded
                    assert isinstance(text, ToClassify)
                    self._cache.keep(result_key(text.text, verdict.model.digest), verdict)
                self._dead_letter_limits.count(Stage.MODEL, isinstance(verdict, Failure))
            living = self._living(submitted.rows)
            self._follower.answered(finished.ticket, living)
            self._publish(living)
            self._follower.published(finished.ticket, living)

    def _publish(self, rows: Sequence[Row]) -> None:
        now = self._clock()
        outcomes = []
        for row in rows:
            row.outcome = outcome = _outcome(row, now)
            outcomes.append((row.record, outcome))
            self._dead_letter_limits.count(Stage.DECODE, isinstance(row.decoded, Failure))
        for row, message in zip(rows, self._codec.encode(outcomes), strict=True):
            row.message = message
            row.attempts = 1
            self._sink.publish(message, row)

    def _acknowledge(self, timeout: float) -> None:
        completed: list[Row] = []
        outcomes: list[Outcome] = []
        ages: list[float] = []
        now = self._clock()
        for ack in self._sink.acknowledgements(timeout):
            row = ack.receipt
            if ack.delivery is Delivery.ACKNOWLEDGED:
                self._flow.leave(row)
                self._tracker.complete(row.assignment, row.record.offset)
                assert row.outcome is not None
                completed.append(row)
                outcomes.append(row.outcome)
                ages.append(now - row.received_at)
                continue
            self._observer.undelivered(ack.delivery)
            if row.assignment.fenced:
                self._flow.leave(row)  # its partition's next owner publishes it
                self._follower.dropped([row])
            else:
                self._publish_otherwise(ack)
        if completed:
            self._follower.acknowledged(completed)
            self._observer.completed(outcomes, ages)

    def _publish_otherwise(self, ack: Acknowledgement[Row]) -> None:
        """Answer a message that was not accepted: again, as a dead letter, as a stub, or not at all."""
        row = ack.receipt
        message = row.message
        assert message is not None
        what = f"{message.destination.value} message for {_coordinates(row)}"
        if ack.delivery is Delivery.REFUSED:
            raise OutputRefused(f"{what} was refused: {ack.detail}")
        if ack.delivery is Delivery.RETRY:
            if row.attempts >= MAX_ATTEMPTS:
                raise OutputRefused(f"{what} failed {row.attempts} times: {ack.detail}")
            row.attempts += 1
        elif message.destination is Destination.LABELED:
            failure = Failure(ack.delivery.value, ack.detail, Stage.PUBLISH)
            row.outcome = failure
            (message,) = self._codec.encode([(row.record, failure)])
            row.attempts = 1
        elif not row.is_stub:
            failure = row.outcome if isinstance(row.outcome, Failure) else Failure("unknown", "", Stage.PUBLISH)
            row.is_stub = True
            message = self._codec.stub(row.record, failure)
            row.attempts = 1
        else:
            raise OutputRefused(f"even a stub of the {what} was refused: {ack.detail}")
        row.message = message
        self._sink.publish(message, row)

    # ---- Step 9: offsets -----------------------------------------------------------------------------------------

    def _store(self) -> None:
        stored = []
        for partition, watermark in self._tracker.moved():
            self._source.store(partition, *watermark)
            stored.append((partition, watermark.offset))
        if stored:
            self._follower.stored(stored)
            self._observer.stored(len(stored))

    def _regulate(self) -> None:
        change = self._flow.regulate(self._clock())
        if change is Change.PAUSE:
            self._source.pause()
        elif change is Change.RESUME:
            self._source.resume()
        if change is not None:
            self._observer.flow_changed(self._flow.paused)

    # ---- When the assignment changes (called by the source, inside receive) --------------------------------------

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Open a new epoch for each partition."""
        self._observer.rebalanced("assigned", len(partitions))
        for partition in partitions:
            self._tracker.assign(partition)

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Finish what was started for these partitions within the revoke deadline, store, and fence them."""
        self._observer.rebalanced("revoked", len(partitions))
        self._release(partitions, Deadline(self._clock, self._revoke_timeout))

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Fence only: another member may own these partitions already, so nothing of them is waited for or stored."""
        self._observer.rebalanced("lost", len(partitions))
        self._tracker.fence(partitions)
        self._drop_not_started(self._closed)

    def divided(self, partition: Partition, division: Division) -> None:
        """Track a partition in two parts."""
        self._tracker.divide(partition, division)

    def passed(self, partition: Partition, chunk: Span) -> None:
        """A chunk of a backlog has no more records than were received."""
        self._tracker.passed(partition, chunk)

    def _release(self, partitions: Sequence[Partition], deadline: Deadline) -> bool:
        """Drop what was not started, await what was, store, fence. A failure on the way is raised by the next step."""
        leaving = self._tracker.among(partitions)
        closing = set(leaving)
        self._drop_not_started(lambda row: row.assignment in closing or row.assignment.fenced)
        try:
            while self._stopped is None and any(a.outstanding for a in leaving) and not deadline.passed:
                wait = min(DRAIN_POLL, deadline.remaining)
                self._take_back(wait if self._submitted else 0.0)
                self._acknowledge(0.0 if self._submitted else wait)
        except DeliveryStopped as stopped:
            self._stopped = stopped
        finished = not any(a.outstanding for a in leaving)
        self._store()
        self._tracker.fence(partitions)
        return finished

    def _drop_not_started(self, leaving: Callable[[Row], bool]) -> None:
        """Take the ready batch back and give up the rows that leave; the others keep their place in the line."""
        line: list[Row] = []
        for ticket in self._classifier.withdraw():
            line += self._submitted.pop(ticket).rows
            self._follower.withdrawn(ticket)
        line += self._batcher.take_all()
        self._batcher.put_back([row for row in line if not leaving(row)])
        self._drop([row for row in line if leaving(row)])

    def _living(self, rows: Sequence[Row]) -> list[Row]:
        """The rows whose epoch is open; the others are dropped."""
        self._drop([row for row in rows if self._closed(row)])
        return [row for row in rows if not self._closed(row)]

    @staticmethod
    def _closed(row: Row) -> bool:
        return row.assignment.fenced

    def _drop(self, rows: Sequence[Row]) -> None:
        for row in rows:
            row.assignment.drop()
            self._flow.leave(row)
        if rows:
            self._follower.dropped(rows)
            self._observer.dropped(len(rows))

    def _raise_if_stopped(self) -> None:
        if self._stopped is not None:
            raise self._stopped


def _outcome(row: Row, now: float) -> Outcome:
    decoded = row.decoded
    if not isinstance(decoded, ToClassify):
        return decoded
    verdict = row.verdict
    assert verdict is not None, "a row came back from the model without a verdict"
    if isinstance(verdict, Failure):
        return verdict
    return Labeled(decoded.comment, verdict, (now - row.received_at) * 1000.0)


def _coordinates(row: Row) -> str:
    return f"{row.record.partition.topic}/{row.record.partition.number}/{row.record.offset}"
