"""The source port over the virtual group and log. Its use is judged here, call by call.

Partitions that are far behind are divided by the real rule and the real metadata; the log is read as Kafka's clients
read it: a chunk is at its end when something beyond it comes or the log ends, not when its last record was received.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.errors import SourceFailed
from consumer.delivery.ports import RebalanceListener
from consumer.delivery.records import Partition, Record
from consumer.delivery.spans import Span
from consumer.kafka.divisions import Divider
from consumer.kafka.settings import CatchUp
from consumer.kafka.span_metadata import read_spans
from tests.simulation.broker import Position, Violation
from tests.simulation.model import FakeEngine
from tests.simulation.ports import Facts
from tests.simulation.world import World


@dataclass
class Reading:
    """One partition's backlog being read."""

    chunks: Iterator[Span]
    chunk: Span | None = None
    position: int = 0
    passed: list[Span] = field(default_factory=list)

    def next(self) -> None:
        self.chunk = next(self.chunks, None)
        self.position = self.chunk.start if self.chunk else 0


class SimSource:
    """One member of the group. Assignment changes are delivered inside :meth:`receive`, as Kafka's client does."""

    def __init__(self, world: World, name: int, facts: Facts, engine: FakeEngine) -> None:
        self._world = world
        self._name = name
        self._facts = facts
        self._engine = engine
        self._paused = False
        self._undecided: set[Partition] = set()
        self._positions: dict[Partition, int] = {}
        self._readings: dict[Partition, Reading] = {}
        self._stored: dict[Partition, Position] = {}
        self._divider = Divider(None, CatchUp(0.0, world.scenario.chunk), world.clock, 0.0)  # type: ignore[arg-type]
        self.listener: RebalanceListener | None = None
        world.broker.join(name, world.now)

    @property
    def catching_up(self) -> bool:
        return bool(self._readings)

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        rng = self._world.rng
        if not self._world.healed and rng.random() < self._world.scenario.source_fails:
            self._world.happened["source failed"] += 1
            raise SourceFailed("simulated")
        self._tell_passed()
        self._rebalance()
        if rng.random() < self._world.scenario.commit_chance or self._world.healed:
            self.commit()
        records: list[Record] = []
        if not self._paused:
            records += self._read_backlogs(min(limit, backlog.share))
            records += self._read_live(limit - len(records))
            records += self._read_backlogs(min(limit - len(records), backlog.spare))
        for record in records:
            key = record.partition, record.offset
            self._facts.received_at[key] = self._world.now
            self._facts.generation[key] = self._engine.generation
            if record.value is not None:
                self._facts.text_at.setdefault(record.value.decode()[5:], self._world.now)
        self._decide()
        return records

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        if partition not in self._positions:
            raise Violation(f"offset {offset} stored for {partition}, which this member does not own")
        if offset > self._positions[partition]:
            raise Violation(f"offset {offset} of {partition} stored, received only up to {self._positions[partition]}")
        self._stored[partition] = Position(offset, above)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def commit(self) -> None:
        """What the client does every second by itself."""
        stored, self._stored = self._stored, {}
        self._world.happened["metadata dropped"] += self._world.broker.commit(self._name, stored)

    def close(self) -> None:
        self.commit()
        self._positions.clear()
        self._world.broker.leave(self._name)

    # ---- Reading -------------------------------------------------------------------------------------------------

    def _read_live(self, limit: int) -> list[Record]:
        rng = self._world.rng
        records: list[Record] = []
        for partition in rng.sample(sorted(self._positions), len(self._positions)):
            if partition in self._undecided:
                continue
            position = self._positions[partition]
            ready = [r for r in self._world.broker.log[partition] if r.offset >= position]
            taken = ready[: rng.randint(0, limit - len(records))]
            if taken:
                self._positions[partition] = taken[-1].offset + 1
            records += taken
        return records

    def _read_backlogs(self, limit: int) -> list[Record]:
        rng = self._world.rng
        records: list[Record] = []
        for partition, reading in self._readings.items():
            if reading.chunk is None:
                continue
            ready = [r for r in self._world.broker.log[partition] if reading.position <= r.offset < reading.chunk.end]
            if not ready and rng.random() < 0.7:  # its client met something beyond
                self._world.happened["gap at a seam"] += reading.position < reading.chunk.end
                reading.passed.append(reading.chunk)
                reading.next()
                continue
            taken = ready[: rng.randint(0, limit - len(records))]
            if taken:
                reading.position = taken[-1].offset + 1
            for record in taken:
                self._facts.part[partition, record.offset] = reading.chunk.start
            records += taken
        return records

    def _tell_passed(self) -> None:
        assert self.listener is not None
        for partition, reading in tuple(self._readings.items()):
            passed, reading.passed = reading.passed, []
            for chunk in passed:
                self.listener.passed(partition, chunk)
            if reading.chunk is None:
                del self._readings[partition]
                self._world.happened["backlog read"] += 1

    # ---- Assignment ----------------------------------------------------------------------------------------------

    def _rebalance(self) -> None:
        broker, now, happened = self._world.broker, self._world.now, self._world.happened
        assert self.listener is not None
        member = broker.members.get(self._name)
        if member is None:  # expelled while it was not looking
            lost = sorted(self._positions)
            happened["lost"] += bool(lost)
            happened["lost in a catch-up"] += self.catching_up
            self._stored.clear()
            self._forget(lost)
            self.listener.lost(lost)
            member = broker.join(self._name, now)
        member.heartbeat = now
        broker.expire(now)
        target = broker.target(self._name)
        leaving = set(member.owned) - target
        if broker.eager and member.generation != broker.generation:
            leaving = set(member.owned)
        if leaving:
            happened["revoked"] += 1
            happened["revoked in a catch-up"] += any(partition in self._readings for partition in leaving)
            self.listener.revoked(sorted(leaving))
            self.commit()
            member.heartbeat = self._world.now
            member.owned -= leaving
            self._forget(sorted(leaving))
        member.generation = broker.generation
        gained = [p for p in sorted(target) if p not in member.owned and broker.owner(p) is None]
        if gained and self._world.rng.random() < 0.5:
            for partition in gained:
                member.owned.add(partition)
                self._positions[partition] = broker.committed.get(partition, 0)
                for part in [part for part in self._facts.published if part[0] == partition]:
                    del self._facts.published[part]
                for key in [key for key in self._facts.part if key[0] == partition]:
                    del self._facts.part[key]
            if self._world.scenario.newest_first:
                self._undecided.update(gained)
            self.listener.assigned(gained)

    def _decide(self) -> None:
        """Divide what is far behind; the questions for that are answered a while after the assignment."""
        assert self.listener is not None
        world, rng = self._world, self._world.rng
        for partition in sorted(self._undecided):
            if rng.random() < 0.3:
                continue
            self._undecided.discard(partition)
            begin, metadata = world.broker.committed.get(partition, 0), world.broker.metadata.get(partition, "")
            done = read_spans(partition, begin, metadata)
            self._facts.covered[partition] = Position(begin, done)
            end = max(world.end(partition), begin)
            if rng.random() < 0.3:  # as if it had been asked earlier
                end = rng.randint(max(begin, done[-1].end if done else 0), end)
            division = self._divider.divide(partition, begin, metadata, end)
            if division is None:
                continue
            world.happened["divided"] += 1
            world.happened["divided with something done"] += bool(done)
            self.listener.divided(partition, division)
            self._positions[partition] = division.live
            self._readings[partition] = reading = Reading(division.chunks())
            reading.next()

    def _forget(self, partitions: Sequence[Partition]) -> None:
        self._undecided.difference_update(partitions)
        for partition in partitions:
            self._positions.pop(partition, None)
            self._readings.pop(partition, None)
            self._facts.covered.pop(partition, None)
