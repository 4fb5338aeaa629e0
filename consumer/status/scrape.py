"""What one process said at one moment, read from the Prometheus text format. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from consumer.service.catalogue import POLL_LOOPS, Metric


class NotOurs(ValueError):
    """What answered is no comment-consumer."""


class Bucket(NamedTuple):
    """How many observations were at most this."""

    bound: float
    upto: float


@dataclass(frozen=True)
class Scrape:
    """``at`` is in monotonic seconds; ``not_alive`` and ``not_ready`` are the reasons that the probes gave."""

    at: float
    samples: Mapping[str, Mapping[frozenset[tuple[str, str]], float]]
    not_alive: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()

    def sum(self, entry: Metric, **labels: str) -> float:
        """The sum over all series that have these labels; 0 if there is none."""
        return sum(value for _, value in self._found(entry.sample, labels))

    def most(self, entry: Metric) -> float:
        """The largest of all series; 0 if there is none."""
        return max((value for _, value in self._found(entry.sample, {})), default=0.0)

    def series(self, entry: Metric) -> int:
        """How many series there are."""
        return len(self.samples.get(entry.sample, {}))

    def by(self, entry: Metric, *labels: str) -> dict[tuple[str, ...], float]:
        """The sums by the values of these labels."""
        sums: dict[tuple[str, ...], float] = {}
        for found, value in self._found(entry.sample, {}):
            key = tuple(dict(found).get(label, "") for label in labels)
            sums[key] = sums.get(key, 0.0) + value
        return sums

    def count(self, entry: Metric) -> float:
        """How many values a histogram has seen."""
        return sum(self.samples.get(entry.count, {}).values())

    def total(self, entry: Metric) -> float:
        """The sum of a histogram's values."""
        return sum(self.samples.get(entry.sum, {}).values())

    def buckets(self, entry: Metric) -> list[Bucket]:
        """A histogram's buckets, rising."""
        found = self.samples.get(entry.bucket, {}).items()
        return sorted(Bucket(float(dict(labels).get("le", "nan")), value) for labels, value in found)

    def _found(self, name: str, labels: Mapping[str, str]) -> list[tuple[frozenset[tuple[str, str]], float]]:
        wanted = labels.items()
        return [(has, value) for has, value in self.samples.get(name, {}).items() if wanted <= has]


def read_scrape(text: str, at: float, not_alive: tuple[str, ...] = (), not_ready: tuple[str, ...] = ()) -> Scrape:
    """Parse what ``/metrics`` said.

    Raises:
        NotOurs: it is not the text format, or not of this program.
    """
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = float(sample.value)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise NotOurs("its /metrics is not the Prometheus text format") from error
    if POLL_LOOPS.sample not in samples:
        raise NotOurs("its /metrics is of another program")
    return Scrape(at, samples, not_alive, not_ready)
