"""The delivery ports over the virtual world. What the protocol does with them is judged here, call by call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consumer.classifier.runner import Runner
from consumer.delivery.batcher import CloseReason
from consumer.delivery.errors import DeliveryStopped, SourceFailed
from consumer.delivery.observer import Silent
from consumer.delivery.ports import Acknowledgement, Delivery, Finished, RebalanceListener
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
)
from consumer.delivery.row import Row
from tests.simulation.broker import Violation
from tests.simulation.model import FakeEngine, Texts, oracle
from tests.simulation.world import World


class Life(Protocol):
    """Whether the process that owns a port still runs."""

    alive: bool


@dataclass
class Facts:
    """What the judges know about one process, gathered outside the code under test."""

    received_at: dict[tuple[Partition, int], float] = field(default_factory=dict)
    generation: dict[tuple[Partition, int], int] = field(default_factory=dict)
    text_at: dict[str, float] = field(default_factory=dict)
    published: dict[Partition, int] = field(default_factory=dict)
    with_model: int = 0
    submitted_at: float = 0.0  # receipt of the oldest text in the batch submitted last


class SimSource:
    """One member of the group. Assignment changes are delivered inside :meth:`receive`, as Kafka's client does."""

    def __init__(self, world: World, name: int, facts: Facts, engine: FakeEngine) -> None:
        self._world = world
        self._name = name
        self._facts = facts
        self._engine = engine
        self._paused = False
        self._positions: dict[Partition, int] = {}
        self._stored: dict[Partition, int] = {}
        self.listener: RebalanceListener | None = None
        world.broker.join(name, world.now)

    def receive(self, limit: int, timeout: float) -> Sequence[Record]:
        broker, rng = self._world.broker, self._world.rng
        if not self._world.healed and rng.random() < self._world.scenario.source_fails:
            raise SourceFailed("simulated")
        self._rebalance()
        if rng.random() < self._world.scenario.commit_chance or self._world.healed:
            self.commit()
        if self._paused:
            return []
        records: list[Record] = []
        for partition in rng.sample(sorted(self._positions), len(self._positions)):
            position = self._positions[partition]
            ready = [r for r in broker.log[partition] if r.offset >= position]
            taken = ready[: rng.randint(0, limit - len(records))]
            if taken:
                self._positions[partition] = taken[-1].offset + 1
            records += taken
        for record in records:
            key = record.partition, record.offset
            self._facts.received_at[key] = self._world.now
            self._facts.generation[key] = self._engine.generation
            if record.value is not None:
                self._facts.text_at.setdefault(record.value.decode()[5:], self._world.now)
        return records

    def store(self, partition: Partition, offset: int, leader_epoch: int | None) -> None:
        if partition not in self._positions:
            raise Violation(f"offset {offset} stored for {partition}, which this member does not own")
        if offset > self._positions[partition]:
            raise Violation(f"offset {offset} of {partition} stored, received only up to {self._positions[partition]}")
        self._stored[partition] = offset

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def commit(self) -> None:
        """What the client does every second by itself."""
        stored, self._stored = self._stored, {}
        self._world.broker.commit(self._name, stored)

    def close(self) -> None:
        self.commit()
        self._positions.clear()
        self._world.broker.leave(self._name)

    def _rebalance(self) -> None:
        broker, now = self._world.broker, self._world.now
        assert self.listener is not None
        member = broker.members.get(self._name)
        if member is None:  # expelled while it was not looking
            lost = sorted(self._positions)
            self._positions.clear()
            self._stored.clear()
            self.listener.lost(lost)
            member = broker.join(self._name, now)
        member.heartbeat = now
        broker.expire(now)
        target = broker.target(self._name)
        leaving = set(member.owned) - target
        if broker.eager and member.generation != broker.generation:
            leaving = set(member.owned)
        if leaving:
            self.listener.revoked(sorted(leaving))
            self.commit()
            member.heartbeat = self._world.now
            for partition in leaving:
                member.owned.discard(partition)
                self._positions.pop(partition, None)
        member.generation = broker.generation
        gained = [p for p in sorted(target) if p not in member.owned and broker.owner(p) is None]
        if gained and self._world.rng.random() < 0.5:
            for partition in gained:
                member.owned.add(partition)
                self._positions[partition] = broker.committed.get(partition, 0)
                self._facts.published.pop(partition, None)
            self.listener.assigned(gained)


class SimSink:
    """Publishes into the broker after a while; the news of it comes later, never before the world heals, or lies."""

    def __init__(self, world: World, facts: Facts, life: Life) -> None:
        self._world = world
        self._facts = facts
        self._life = life
        self._acks: list[Acknowledgement[Row]] = []
        self._last_arrival = 0.0
        self._withheld: list[Acknowledgement[Row]] = []

    def publish(self, message: Message, receipt: Row) -> None:
        self._judge(message, receipt)
        world, scenario = self._world, self._world.scenario
        source = receipt.record.partition, receipt.record.offset
        fate = Delivery.ACKNOWLEDGED
        if message.destination is Destination.LABELED and b"huge" in (message.value or b""):
            fate = Delivery.TOO_LARGE
        elif world.chance(scenario.sink_retry):
            fate = Delivery.RETRY
        shown = fate is Delivery.ACKNOWLEDGED or (fate is Delivery.RETRY and world.rng.random() < 0.5)
        # An idempotent producer keeps its order: nothing arrives before what was published earlier.
        arrival = max(self._last_arrival, world.now + world.delay(scenario.ack_delay))
        self._last_arrival = arrival
        survives = world.rng.random() < 0.5  # on the wire already when the process dies
        back = world.delay(scenario.ack_delay)
        never = world.chance(scenario.ack_never)
        ack = Acknowledgement(receipt, fate, "simulated")

        def arrive() -> None:
            if shown and (self._life.alive or survives):
                world.broker.show(source, message)
            if never and not world.healed:
                self._withheld.append(ack)
            else:
                world.at(back, lambda: self._acks.append(ack))

        world.at(arrival - world.now, arrive)

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[Row]]:
        if self._world.healed:
            self._acks += self._withheld
            self._withheld = []
        if not self._acks and timeout > 0:
            self._world.await_next(timeout)
        acks, self._acks = self._acks, []
        self._world.rng.shuffle(acks)
        return acks

    def _judge(self, message: Message, row: Row) -> None:
        """Hold a message against what the record deserves."""
        record = row.record
        key = record.partition, record.offset
        if row.attempts == 1 and message.destination is Destination.LABELED and self._world.scenario.in_order:
            last = self._facts.published.get(record.partition, -1)
            if record.offset <= last:
                raise Violation(f"{key} was published after {last}: it was overtaken")
            self._facts.published[record.partition] = record.offset
        expected = expected_outputs(record)
        kind, _, answer = (message.value or b"tombstone").decode().partition("|")
        if kind not in expected:
            raise Violation(f"{key}: a {kind} was published where {expected} is right")
        if kind == "labeled":
            generation, _, logit = answer.partition("|")
            text = (record.value or b"").decode()[5:]
            if float(logit.split("|")[0]) != oracle(int(generation), text):
                raise Violation(f"{key}: the label is not what model {generation} says of this text")
            if int(generation) < self._facts.generation[key]:
                raise Violation(f"{key}: labeled by model {generation}, older than when the record was received")


def expected_outputs(record: Record) -> set[str]:
    """Which kinds of output an input may have."""
    if record.value is None:
        return {"tombstone"}
    value = record.value.decode()
    if value == "bad":
        return {"dead:decode"}
    if value == "empty":
        return {"skipped"}
    if "poison" in value or "nan" in value:
        return {"dead:model"}
    if "huge" in value:
        return {"labeled", "dead:publish"}
    return {"labeled"}


class SimCodec:
    """Values are short words; see :meth:`tests.simulation.world.World.feed`."""

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        return [self._decode(record) for record in records]

    def _decode(self, record: Record) -> Decoded:
        if record.value is None:
            return Tombstone()
        value = record.value.decode()
        if value == "bad":
            return Failure("Bad", "bad record", Stage.DECODE)
        comment = Comment(f"{record.partition.number}-{record.offset}", value)
        if value == "empty":
            return Skipped(comment, "empty")
        return ToClassify(comment, value[5:], len(value) - 5 + 2)

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        return [self._encode(record, outcome) for record, outcome in outcomes]

    def _encode(self, record: Record, outcome: Outcome) -> Message:
        if isinstance(outcome, Failure):
            return Message(Destination.DEAD_LETTER, record.key, f"dead:{outcome.stage.value}".encode(), ())
        if isinstance(outcome, Tombstone):
            return Message(Destination.LABELED, record.key, None, ())
        if isinstance(outcome, Skipped):
            return Message(Destination.LABELED, record.key, b"skipped", ())
        assert isinstance(outcome, Labeled)
        verdict = outcome.verdict
        value = f"labeled|{verdict.model.revision}|{verdict.logits[0]}|"
        if b"huge" in (record.value or b""):
            value += "huge"
        return Message(Destination.LABELED, record.key, value.encode(), ())

    def stub(self, record: Record, failure: Failure) -> Message:
        return Message(Destination.DEAD_LETTER, record.key, f"dead:{failure.stage.value}".encode(), ())


class SimClassifier:
    """Two batches at most, finished in order or in any order, by the real runner over a fake engine."""

    def __init__(self, world: World, engine: FakeEngine, runner: Runner[Texts], facts: Facts) -> None:
        self._world = world
        self._engine = engine
        self._runner = runner
        self._facts = facts
        self._waiting: dict[int, tuple[str, ...]] = {}
        self._running: set[int] = set()
        self._done: list[Finished] = []
        self._broken: DeliveryStopped | None = None

    @property
    def identity(self) -> ModelIdentity:
        return self._engine.identity

    @property
    def idle(self) -> bool:
        return not self._waiting

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        if len(set(texts)) != len(texts):
            raise Violation("equal texts were not collapsed")
        self._waiting[ticket] = tuple(texts)
        self._facts.submitted_at = min((self._facts.text_at[t] for t in texts), default=0.0)
        self._facts.with_model = len(self._waiting) + len(self._done)
        if self._facts.with_model > 2:
            raise Violation(f"{self._facts.with_model} batches are with the model")
        self._start()

    def withdraw(self) -> Sequence[int]:
        taken = sorted(self._waiting.keys() - self._running)
        for ticket in taken:
            del self._waiting[ticket]
        return taken

    def finished(self, timeout: float) -> Sequence[Finished]:
        if not self._done and timeout > 0:
            self._world.await_next(timeout)
        if self._broken is not None:
            raise self._broken
        done, self._done = self._done, []
        self._start()
        return done

    def _start(self) -> None:
        for ticket in sorted(self._waiting.keys() - self._running):
            if self._running and not self._world.scenario.any_order:
                return
            self._running.add(ticket)
            self._world.at(self._world.delay(self._world.scenario.model_delay), lambda t=ticket: self._finish(t))

    def _finish(self, ticket: int) -> None:
        texts = self._waiting.pop(ticket)
        self._running.discard(ticket)
        try:
            self._done.append(Finished(ticket, self._runner.run(self._engine.tokenize(texts))))
        except DeliveryStopped as stopped:
            self._broken = stopped
        self._start()


class BatchJudge(Silent):
    """Holds every closed batch against the batching rule, by times noted outside the code under test."""

    def __init__(self, world: World, facts: Facts) -> None:
        self._world = world
        self._facts = facts

    def batch_submitted(
        self, reason: CloseReason, *, rows: int, tokens: int, waited: float, distinct: int, cached: int, collapsed: int
    ) -> None:
        scenario = self._world.scenario
        if rows < 1 or rows > scenario.max_rows:
            raise Violation(f"a batch of {rows} rows, allowed are 1 to {scenario.max_rows}")
        if tokens > scenario.max_tokens and rows > 1:
            raise Violation(f"a batch of {rows} rows costs {tokens} tokens, the budget is {scenario.max_tokens}")
        if reason is CloseReason.IDLE and not (scenario.idle_dispatch and self._facts.with_model <= 1):
            raise Violation("a batch was dispatched as idle, but the model was not, or this is turned off")
        waited = self._world.now - self._facts.submitted_at
        if reason is CloseReason.DEADLINE and rows == distinct and waited < scenario.max_wait - 1e-9:
            raise Violation(f"closed for its deadline, but the oldest record waited {waited:.3f} s only")
        if reason is CloseReason.COUNT and rows < scenario.max_rows:
            raise Violation(f"closed for count with {rows} of {scenario.max_rows} rows")
