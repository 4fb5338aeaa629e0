"""Small, scripted ports: nothing happens in them that a test did not ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.batcher import BatchPolicy, CloseReason
from consumer.delivery.dead_letter_limits import DeadLetterLimits
from consumer.delivery.flow import FlowLimits
from consumer.delivery.follower import Follower
from consumer.delivery.observer import Silent
from consumer.delivery.ports import Acknowledgement, Codec, Delivery, Finished
from consumer.delivery.protocol import DeliveryProtocol
from consumer.delivery.records import (
    Comment,
    Decoded,
    Destination,
    Failure,
    Labeled,
    Message,
    ModelIdentity,
    Outcome,
    Partition,
    Record,
    Skipped,
    Stage,
    ToClassify,
    Tombstone,
    Verdict,
)
from consumer.delivery.results import ResultCache
from consumer.delivery.row import Row
from consumer.delivery.spans import Span

P0 = Partition("comments", 0)
P1 = Partition("comments", 1)
MODEL = ModelIdentity("fake", "r1", "1" * 64)
OTHER_MODEL = ModelIdentity("fake", "r2", "2" * 64)


def record(offset: int, value: bytes | None = None, partition: Partition = P0, **fields: object) -> Record:
    """A record; without a value its text is unlike any other."""
    text = f"{partition.number}-{offset}".encode() if value is None else value
    return Record(partition, offset, 1_000 + offset, b"key", text, **fields)  # type: ignore[arg-type]


def tombstone(offset: int, partition: Partition = P0) -> Record:
    return Record(partition, offset, None, b"key", None)


class FakeClock:
    """Time that only moves when told to, and what happens while it does."""

    def __init__(self) -> None:
        self.now = 100.0
        self._events: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self._events.append((self.now + seconds, event))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        for due in sorted((e for e in self._events if e[0] <= end), key=lambda e: e[0]):
            self._events.remove(due)
            self.now = max(self.now, due[0])
            due[1]()
        self.now = end


class ScriptedSource:
    """Delivers what a test puts in; a callable in the script is a rebalance, called from inside ``receive``."""

    def __init__(self) -> None:
        self.script: deque[Sequence[Record] | Callable[[], None]] = deque()
        self.stored: list[tuple[Partition, int, int | None]] = []
        self.paused = False
        self.waits: list[float] = []
        self.backlog = NO_BACKLOG  # what the last poll might have brought of backlogs
        self.above: dict[Partition, tuple[Span, ...]] = {}

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        assert limit >= 1
        self.backlog = backlog
        self.waits.append(timeout)
        while self.script and callable(self.script[0]):
            event = self.script.popleft()
            assert callable(event)
            event()
        if self.paused or not self.script:
            return []
        poll = self.script.popleft()
        assert not callable(poll)
        if poll[limit:]:
            self.script.appendleft(poll[limit:])
        return poll[:limit]

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        self.stored.append((partition, offset, leader_epoch))
        self.above[partition] = above

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    @property
    def offsets(self) -> dict[Partition, int]:
        """The newest stored offset of each partition."""
        return {partition: offset for partition, offset, _ in self.stored}


class ScriptedSink:
    """Keeps what is published until a test answers it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.published: list[tuple[Message, Row]] = []
        self._open: list[Row] = []
        self._answers: list[Acknowledgement[Row]] = []

    def publish(self, message: Message, receipt: Row) -> None:
        self.published.append((message, receipt))
        self._open.append(receipt)

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[Row]]:
        if not self._answers:
            self._clock.advance(timeout)
        answers, self._answers = self._answers, []
        return answers

    def answer(self, offset: int, delivery: Delivery = Delivery.ACKNOWLEDGED, partition: Partition = P0) -> None:
        """Say what became of the message for one record."""
        row = next(r for r in self._open if (r.record.partition, r.record.offset) == (partition, offset))
        self._open.remove(row)
        self._answers.append(Acknowledgement(row, delivery, "as scripted"))

    def acknowledge_all(self) -> None:
        for row in list(self._open):
            self.answer(row.record.offset, partition=row.record.partition)

    @property
    def values(self) -> list[bytes | None]:
        return [message.value for message, _ in self.published]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Partition number and offset of each published message, in order."""
        return [(row.record.partition.number, row.record.offset) for _, row in self.published]


class ScriptedClassifier:
    """The oldest open batch is running, a second one is ready; both stay so until a test finishes them."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.identity = MODEL
        self.submitted: list[list[str]] = []
        self._open: dict[int, list[str]] = {}
        self._done: list[Finished] = []
        self._broken: Exception | None = None

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        assert len(set(texts)) == len(texts), "equal texts were not collapsed"
        self.submitted.append(list(texts))
        self._open[ticket] = list(texts)
        assert len(self._open) + len(self._done) <= 2, "more than a running and a ready batch"

    def withdraw(self) -> Sequence[int]:
        taken = list(self._open)[1:]
        for ticket in taken:
            del self._open[ticket]
        return taken

    def finished(self, timeout: float) -> Sequence[Finished]:
        if not self._done and self._broken is None:
            self._clock.advance(timeout)
        if self._broken is not None:
            raise self._broken
        done, self._done = self._done, []
        return done

    def finish(self, *, failing: Sequence[str] = (), model: ModelIdentity | None = None) -> None:
        """Answer the oldest open batch: each text's one logit is its length."""
        ticket = next(iter(self._open))
        answering = model or self.identity
        verdicts: list[Verdict | Failure] = [
            Failure("Poison", "the model fails on this text", Stage.MODEL)
            if text in failing
            else Verdict((float(len(text)),), False, answering)
            for text in self._open.pop(ticket)
        ]
        self._done.append(Finished(ticket, verdicts))

    def finish_all(self) -> None:
        while self._open:
            self.finish()

    def break_down(self, error: Exception) -> None:
        self._broken = error

    def mend(self) -> None:
        self._broken = None

    @property
    def open(self) -> list[list[str]]:
        """The texts of the running batch and of the ready one."""
        return list(self._open.values())


class WordCodec:
    """A value is its text; ``bad`` is no comment, ``empty`` needs no model. A text costs its length in tokens."""

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        return [self._decode(r) for r in records]

    @staticmethod
    def _decode(received: Record) -> Decoded:
        if received.value is None:
            return Tombstone()
        text = received.value.decode()
        comment = Comment(str(received.offset), text)
        if text == "bad":
            return Failure("NotAComment", "it is not a comment", Stage.DECODE)
        return Skipped(comment, "empty") if text == "empty" else ToClassify(comment, text, len(text))

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        return [self._encode(r, outcome) for r, outcome in outcomes]

    @staticmethod
    def _encode(received: Record, outcome: Outcome) -> Message:
        if isinstance(outcome, Failure):
            value: bytes | None = f"dead:{outcome.stage.value}:{outcome.type}".encode()
            return Message(Destination.DEAD_LETTER, received.key, value, ())
        if isinstance(outcome, Labeled):
            value = f"labeled:{outcome.verdict.model.revision}:{outcome.verdict.logits[0]:.0f}".encode()
        else:
            value = None if isinstance(outcome, Tombstone) else f"skipped:{outcome.reason}".encode()
        return Message(Destination.LABELED, received.key, value, ())

    def stub(self, received: Record, failure: Failure) -> Message:
        return Message(Destination.DEAD_LETTER, received.key, f"stub:{failure.stage.value}".encode(), ())


class Notes(Silent):
    """Keeps what the observer is told."""

    def __init__(self) -> None:
        self.batches: list[dict[str, object]] = []
        self.outcomes: list[Outcome] = []
        self.ages: list[float] = []
        self.dropped_records = 0
        self.flow: list[bool] = []
        self.undelivered_as: list[Delivery] = []

    def batch_submitted(
        self, reason: CloseReason, *, rows: int, tokens: int, waited: float, distinct: int, cached: int, collapsed: int
    ) -> None:
        self.batches.append(
            {"reason": reason, "rows": rows, "tokens": tokens, "waited": waited}
            | {"distinct": distinct, "cached": cached, "collapsed": collapsed}
        )

    def completed(self, outcomes: Sequence[Outcome], ages: Sequence[float]) -> None:
        self.outcomes += outcomes
        self.ages += ages

    def dropped(self, records: int) -> None:
        self.dropped_records += records

    def flow_changed(self, paused: bool) -> None:
        self.flow.append(paused)

    def undelivered(self, delivery: Delivery) -> None:
        self.undelivered_as.append(delivery)


class Bench:
    """The real protocol on scripted ports, with partitions 0 and 1 assigned."""

    def __init__(
        self,
        *,
        batching: BatchPolicy | None = None,
        limits: FlowLimits | None = None,
        dead_letter_limits: DeadLetterLimits | None = None,
        cache_entries: int = 0,
        revoke_timeout: float = 5.0,
        follower: Follower | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.source = ScriptedSource()
        self.sink = ScriptedSink(self.clock)
        self.classifier = ScriptedClassifier(self.clock)
        self.notes = Notes()
        self.protocol = DeliveryProtocol(
            source=self.source,
            sink=self.sink,
            classifier=self.classifier,
            codec=codec or WordCodec(),
            clock=self.clock,
            batching=batching or BatchPolicy(max_rows=100, max_tokens=1000, max_wait=60.0),
            limits=limits or FlowLimits(),
            dead_letter_limits=dead_letter_limits or DeadLetterLimits({}),
            cache=ResultCache(cache_entries),
            observer=self.notes,
            revoke_timeout=revoke_timeout,
            follower=follower,
        )
        self.protocol.assigned([P0, P1])

    def receive(self, *records: Record) -> None:
        """One step in which these records arrive."""
        self.source.script.append(records)
        self.protocol.step()

    def during_receive(self, event: Callable[[], None]) -> None:
        """Let a rebalance happen inside the next ``receive``."""
        self.source.script.append(event)

    def classify(self) -> None:
        """The model answers all it has, and a step takes it in."""
        self.classifier.finish_all()
        self.protocol.step()

    def finish_everything(self) -> None:
        """Steps until every received record is acknowledged and stored."""
        for _ in range(1000):
            if self.protocol.flow.records == 0 and not self.source.script:
                return
            self.clock.advance(100.0)  # past every batch's deadline
            self.protocol.step()
            self.classifier.finish_all()
            self.sink.acknowledge_all()
        raise AssertionError("the protocol never comes to rest")
