"""Once a second on the poll thread: how late and how full this process is, for the gauges."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import Gauge

from consumer.delivery.ports import Clock
from consumer.delivery.records import Partition
from consumer.delivery.tracker import Progress
from consumer.service.lag import Lateness
from consumer.service.metrics import Metrics

INTERVAL = 1.0  # seconds between looks
OVERDUE = 2 * INTERVAL  # a look that is later than this is missing: from then on ages grow by themselves


class Vitals:
    """Reads the protocol's state and the backlog; the gauges' values are what the last look saw.

    A hanging poll thread looks no more. What was late at the last look then goes on growing at every scrape.

    Args:
        metrics: Where the gauges are.
        progress: How far each assigned partition is.
        backlog: Records of each partition that were not received yet, where that is known.
        clock: The protocol's.
        wall: The time of day, seconds since the epoch.
    """

    def __init__(
        self,
        metrics: Metrics,
        progress: Callable[[], Mapping[Partition, Progress]],
        backlog: Callable[[], Mapping[Partition, int]],
        clock: Clock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._progress = progress
        self._backlog = backlog
        self._clock = clock
        self._wall = wall
        self._lateness = Lateness()
        self._looked = clock()
        self._oldest: float | None = None
        self._lags: Mapping[Partition, float] = {}
        self._shown: dict[Gauge, set[Partition]] = {metrics.lag_records: set(), metrics.lag_seconds: set()}
        metrics.oldest_in_flight.set_function(self._age_of_oldest)

    def tick(self) -> None:
        """Look if it is time."""
        if self._clock() - self._looked >= INTERVAL:
            self.look()

    def look(self) -> None:
        """Look now."""
        now, progress, backlog = self._clock(), self._progress(), self._backlog()
        self._oldest = min(
            (at for each in progress.values() if (at := each.oldest_received_at) is not None), default=None
        )
        self._lags = self._lateness.look(self._wall(), now, backlog, progress)
        self._looked = now
        owned = {partition: waiting for partition, waiting in backlog.items() if partition in progress}
        for partition in self._show(self._metrics.lag_records, owned):
            self._metrics.lag_records.labels(str(partition.number))
        for partition, waiting in owned.items():
            self._metrics.lag_records.labels(str(partition.number)).set(waiting)
        for partition in self._show(self._metrics.lag_seconds, self._lags):
            gauge = self._metrics.lag_seconds.labels(str(partition.number))
            gauge.set_function(lambda partition=partition: self._lag(partition))  # type: ignore[misc]

    def _show(self, gauge: Gauge, values: Mapping[Partition, float]) -> set[Partition]:
        """Take away the series of partitions that are gone; return those that are new."""
        shown = self._shown[gauge]
        for gone in shown - values.keys():
            gauge.remove(str(gone.number))
        self._shown[gauge] = set(values)
        return values.keys() - shown

    # ---- At a scrape, on another thread --------------------------------------------------------------------------

    def _lag(self, partition: Partition) -> float:
        lag = self._lags.get(partition, 0.0)
        return lag + self._overdue() if lag else 0.0

    def _age_of_oldest(self) -> float:
        oldest, looked = self._oldest, self._looked
        return 0.0 if oldest is None else max(0.0, looked - oldest) + self._overdue()

    def _overdue(self) -> float:
        return max(0.0, self._clock() - self._looked - OVERDUE)
