"""The source and sink ports over the virtual group and topics. Their use is judged here, call by call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consumer.delivery.errors import SourceFailed
from consumer.delivery.ports import Acknowledgement, Delivery, RebalanceListener
from consumer.delivery.records import Destination, Message, Partition, Record
from consumer.delivery.row import Row
from tests.simulation.broker import Violation
from tests.simulation.codec import OVERSIZE, expected_outputs
from tests.simulation.model import FakeEngine, oracle
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
            self._world.happened["source failed"] += 1
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
            self._world.happened["lost"] += bool(lost)
            self.listener.lost(lost)
            member = broker.join(self._name, now)
        member.heartbeat = now
        broker.expire(now)
        target = broker.target(self._name)
        leaving = set(member.owned) - target
        if broker.eager and member.generation != broker.generation:
            leaving = set(member.owned)
        if leaving:
            self._world.happened["revoked"] += 1
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
        oversize = OVERSIZE[message.destination]
        if any(word in (message.value or b"") for word in oversize):
            fate = Delivery.TOO_LARGE
            world.happened[f"{message.destination.value} too large"] += 1
        elif world.chance(scenario.sink_retry):
            fate = Delivery.RETRY
            world.happened["publish again"] += 1
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
                world.happened["acknowledgement withheld"] += 1
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
        self._world.happened["late acknowledgement"] += sum(ack.receipt.assignment.fenced for ack in acks)
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
        self._world.happened["stub" if row.is_stub else kind] += row.attempts == 1
        if kind == "labeled":
            generation, _, logit = answer.partition("|")
            text = (record.value or b"").decode()[5:]
            if float(logit.split("|")[0]) != oracle(int(generation), text):
                raise Violation(f"{key}: the label is not what model {generation} says of this text")
            if int(generation) < self._facts.generation[key]:
                raise Violation(f"{key}: labeled by model {generation}, older than when the record was received")
