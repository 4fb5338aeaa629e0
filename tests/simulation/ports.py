"""The sink port over the virtual topics, and what the judges know. Its use is judged here, call by call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consumer.delivery.ports import Acknowledgement, Delivery
from consumer.delivery.records import Destination, Message, Partition
from consumer.delivery.row import Row
from tests.simulation.broker import Position, Violation
from tests.simulation.codec import OVERSIZE, expected_outputs
from tests.simulation.model import oracle
from tests.simulation.world import World

LIVE = -1  # the part of a partition that is no backlog


class Life(Protocol):
    """Whether the process that owns a port still runs."""

    alive: bool


@dataclass
class Facts:
    """What the judges know about one process, gathered outside the code under test."""

    received_at: dict[tuple[Partition, int], float] = field(default_factory=dict)
    generation: dict[tuple[Partition, int], int] = field(default_factory=dict)
    text_at: dict[str, float] = field(default_factory=dict)
    published: dict[tuple[Partition, int], int] = field(default_factory=dict)  # newest offset of each part being read
    part: dict[tuple[Partition, int], int] = field(default_factory=dict)  # which part a record was read in
    covered: dict[Partition, Position] = field(default_factory=dict)  # what was committed when it was assigned
    with_model: int = 0
    submitted_at: float = 0.0  # receipt of the oldest text in the batch submitted last


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
            part = record.partition, self._facts.part.get(key, LIVE)
            last = self._facts.published.get(part, -1)
            if record.offset <= last:
                raise Violation(f"{key} was published after {last}: it was overtaken")
            self._facts.published[part] = record.offset
        done = self._facts.covered.get(record.partition)
        if done is not None and row.attempts == 1 and done.covers(record.offset):
            raise Violation(f"{key} is labeled again, though its partition came with the news that it is done")
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
