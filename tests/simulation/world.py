"""The virtual clock and what will happen when. Single-threaded; the only source of chance is the seed."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from consumer.delivery.records import Partition, Record
from tests.simulation.broker import Broker
from tests.simulation.scenario import Scenario

TOPIC = "comments"


@dataclass
class World:
    """Clock, events and the broker of one schedule."""

    scenario: Scenario

    def __post_init__(self) -> None:
        self.rng = random.Random(self.scenario.seed * 7 + 1)
        self.now = 0.0
        self.healed = False
        self.happened: Counter[str] = Counter()  # what this schedule met, so that a blind simulation shows
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self.partitions = [Partition(TOPIC, number) for number in range(self.scenario.partitions)]
        self.broker = Broker(self.partitions, self.scenario.eager, self.scenario.metadata_spans)
        self._next_offset = dict.fromkeys(self.partitions, 0)
        self._texts: list[str] = []
        self.to_feed = self.scenario.records

    def clock(self) -> float:
        return self.now

    def at(self, delay: float, event: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (self.now + delay, self._sequence, event))

    def advance(self, seconds: float) -> None:
        """Let time pass and what falls into it happen."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    def await_next(self, timeout: float) -> None:
        """Let time pass until the next event, at most ``timeout`` seconds."""
        if self._events and self._events[0][0] <= self.now + timeout:
            self.now, _, event = heapq.heappop(self._events)
            event()
        else:
            self.now += timeout

    @property
    def quiet(self) -> bool:
        return not self._events

    def chance(self, probability: float) -> bool:
        """Whether a fault happens now; none does once the world has healed."""
        return not self.healed and probability > 0 and self.rng.random() < probability

    def delay(self, mean: float) -> float:
        """A random delay in seconds, at most three times its mean."""
        return min(self.rng.expovariate(1 / mean), 3 * mean)

    # ---- Input ---------------------------------------------------------------------------------------------------

    def feed(self, count: int) -> None:
        """Append input records: valid, repeated, poisonous, bad, empty and deleted ones, with gaps between offsets."""
        for _ in range(min(count, self.to_feed)):
            self.to_feed -= 1
            partition = self.rng.choice(self.partitions)
            if self.rng.random() < self.scenario.gaps:
                self._next_offset[partition] += self.rng.choice((1, 1, 7))
            offset = self._next_offset[partition]
            self._next_offset[partition] = offset + 1
            self.broker.append(Record(partition, offset, None, b"key", self._value()))

    def end(self, partition: Partition) -> int:
        """Where a partition's log ends: no record will ever come below. A transaction marker may stand there."""
        if self.rng.random() < self.scenario.gaps:
            self._next_offset[partition] += 1
        return self._next_offset[partition]

    def _value(self) -> bytes | None:
        roll = self.rng.random
        if roll() < self.scenario.bad_records:
            return b"bad"
        if roll() < self.scenario.plain_records:
            return self.rng.choice((None, b"empty"))
        if self._texts and roll() < self.scenario.repeats:
            return b"text:" + self.rng.choice(self._texts).encode()
        kind = "plain"
        if roll() < self.scenario.poison:
            kind = self.rng.choice(("poison", "nan"))
        elif roll() < self.scenario.sink_too_large:
            kind = self.rng.choice(("huge", "giant"))  # too large to be labeled; too large for a dead letter even
        length = self.rng.choice((1, 3, 3, 8, 50))
        text = f"{kind}-{len(self._texts)}-".ljust(length, "x")
        self._texts.append(text)
        return b"text:" + text.encode()
