"""One line every few seconds that says how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import structlog

from consumer.delivery.flow import Flow
from consumer.delivery.ports import Clock
from consumer.service.recorder import Recorder


class Summary:
    """Logs what changed since the last line: counts, rates and percentiles; never what a comment says."""

    def __init__(
        self, recorder: Recorder, flow: Flow, partitions: Callable[[], int], clock: Clock, interval: float
    ) -> None:
        self._recorder = recorder
        self._flow = flow
        self._partitions = partitions
        self._clock = clock
        self._interval = interval
        self._last = clock()
        self._before = asdict(recorder.totals)
        self._log = structlog.get_logger()

    def tick(self) -> None:
        """Log a line if it is time."""
        if self._clock() - self._last >= self._interval:
            self.write()

    def write(self) -> None:
        """Log a line now."""
        now = self._clock()
        seconds = max(now - self._last, 1e-9)
        totals = asdict(self._recorder.totals)
        since = {name: totals[name] - self._before[name] for name in totals}
        self._last, self._before = now, totals
        ages = self._recorder.take_ages()
        p50, p99 = (np.percentile(ages, [50, 99]) * 1000.0).tolist() if ages else (None, None)
        self._log.info(
            "summary",
            seconds=round(seconds, 1),
            per_second=round(since["completed"] / seconds, 1),
            **since,
            p50_ms=None if p50 is None else round(p50, 1),
            p99_ms=None if p99 is None else round(p99, 1),
            in_flight=self._flow.records,
            paused=self._flow.paused,
            partitions=self._partitions(),
        )
