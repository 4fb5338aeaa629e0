"""Did every comment that went in come out exactly once? Pure counting: no Kafka, no clock, no threads.

Inputs and outputs are matched by the input's coordinates, which every labeled event and every dead letter names. What
was fed and what was read back may be told in any order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumer.demo.traffic import Fate


class Coordinates(NamedTuple):
    """Where a record lies in the input topic."""

    partition: int
    offset: int


class Fed(NamedTuple):
    """An input that the broker took. ``at`` is when it was handed over, monotonic seconds."""

    source: Coordinates
    fate: Fate
    at: float


class Output(NamedTuple):
    """An output as it was read back, ``at`` monotonic seconds. ``labels`` are the flagged ones."""

    source: Coordinates
    fate: Fate
    at: float
    labels: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from handing a comment to the broker to having its first output in hand."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Findings:
    """What the audit found. Each input counts once, under the fate of its first output.

    Attributes:
        fed: inputs that the broker took.
        consumed: inputs that the consumer group has committed.
        labeled: inputs whose first output is a labeled event with labels.
        skipped: inputs whose first output is a labeled event that says it was skipped.
        dead_lettered: inputs whose first output is a dead letter.
        duplicate_outputs: outputs beyond the first for the same input.
        missing: inputs without an output.
        unexplained: outputs that name no input that was fed.
        wrong_fate: inputs that came out otherwise than they were made to, such as a good comment dead-lettered.
    """

    fed: int
    consumed: int
    labeled: int
    skipped: int
    dead_lettered: int
    duplicate_outputs: int
    missing: int
    unexplained: int
    wrong_fate: int
    latency: Latency

    @property
    def complaints(self) -> tuple[str, ...]:
        """What does not add up, one line each; nothing when all is well."""
        answered = self.labeled + self.skipped + self.dead_lettered
        checks = (
            (self.consumed != answered, f"{self.consumed} consumed, but {answered} labeled, skipped or dead-lettered"),
            (self.consumed != self.fed, f"{self.fed} comments went in, but {self.consumed} were consumed"),
            (self.missing > 0, f"{self.missing} comments have no output"),
            (self.duplicate_outputs > 0, f"{self.duplicate_outputs} outputs are duplicates"),
            (self.unexplained > 0, f"{self.unexplained} outputs belong to no comment that went in"),
            (self.wrong_fate > 0, f"{self.wrong_fate} comments came out in another way than they should"),
        )
        return tuple(line for wrong, line in checks if wrong)


class Audit:
    """Keeps the books. Memory is a few hundred bytes an input: it is made for runs of minutes."""

    def __init__(self) -> None:
        self._fed: dict[Coordinates, Fed] = {}
        self._first: dict[Coordinates, Output] = {}
        self._latencies: list[float] = []
        self._duplicates = 0
        self._fates: Counter[Fate] = Counter()
        self._labels: Counter[str] = Counter()

    @property
    def fed_count(self) -> int:
        """Inputs that the broker took."""
        return len(self._fed)

    @property
    def answered_count(self) -> int:
        """Inputs that have an output, those included of which the feeder has not yet told."""
        return len(self._first)

    @property
    def fates(self) -> Counter[Fate]:
        """First outputs so far, by fate."""
        return self._fates

    @property
    def labels(self) -> Counter[str]:
        """Flagged labels so far."""
        return self._labels

    @property
    def complete(self) -> bool:
        """Whether every input told so far has an output."""
        return len(self._latencies) == len(self._fed)

    def fed(self, item: Fed) -> None:
        """Note an input.

        Raises:
            ValueError: the same coordinates were told before.
        """
        if item.source in self._fed:
            raise ValueError(f"input {item.source} was fed twice")
        self._fed[item.source] = item
        if item.source in self._first:
            self._latencies.append(self._first[item.source].at - item.at)

    def read(self, output: Output) -> bool:
        """Note an output; return whether it is the first for its input."""
        if output.source in self._first:
            self._duplicates += 1
            return False
        self._first[output.source] = output
        self._fates[output.fate] += 1
        self._labels.update(output.labels)
        if output.source in self._fed:
            self._latencies.append(output.at - self._fed[output.source].at)
        return True

    def recent_latency(self, count: int) -> Latency:
        """The latency of the last ``count`` inputs that were answered."""
        return latency(self._latencies[-count:])

    def findings(self, consumed: int) -> Findings:
        """Close the books. ``consumed`` is how many inputs the consumer group has committed."""
        answered = [source for source in self._fed if source in self._first]
        fates = Counter(self._first[source].fate for source in answered)
        return Findings(
            fed=len(self._fed),
            consumed=consumed,
            labeled=fates[Fate.LABELED],
            skipped=fates[Fate.SKIPPED],
            dead_lettered=fates[Fate.DEAD_LETTERED],
            duplicate_outputs=self._duplicates,
            missing=len(self._fed) - len(answered),
            unexplained=len(self._first) - len(answered),
            wrong_fate=sum(self._first[source].fate is not self._fed[source].fate for source in answered),
            latency=latency(self._latencies),
        )


def latency(seconds: Sequence[float]) -> Latency:
    """Nearest-rank percentiles in milliseconds; zero for no values."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(ordered[math.ceil(share * len(ordered)) - 1] * 1000, 1) if ordered else 0.0

    return Latency(p50=at(0.50), p99=at(0.99))
