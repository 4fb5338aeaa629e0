"""When too many records have become dead letters to go on. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from consumer.delivery.errors import DeadLetterLimitExceeded
from consumer.delivery.records import Stage


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """At most ``max_run`` dead letters in a row, and at most ``max_ratio`` of the last ``window`` records."""

    max_run: int
    max_ratio: float
    window: int = 1000

    def __post_init__(self) -> None:
        if self.max_run < 1 or not 0 <= self.max_ratio <= 1 or self.window < 1:
            raise ValueError("a run and a window are at least 1, and a ratio lies between 0 and 1")


class DeadLetterCounter:
    """Counts one stage against its limit."""

    def __init__(self, stage: Stage, limit: DeadLetterLimit) -> None:
        self._stage = stage
        self._limit = limit
        self._run = 0
        self._recent: deque[bool] = deque(maxlen=limit.window)
        self._failed = 0

    def count(self, failed: bool) -> None:
        """Count one record.

        Raises:
            DeadLetterLimitExceeded: with this one there are too many. A ratio is judged over a full window only.
        """
        if len(self._recent) == self._limit.window:
            self._failed -= self._recent[0]
        self._recent.append(failed)
        self._failed += failed
        self._run = self._run + 1 if failed else 0
        if not failed:
            return
        if self._run > self._limit.max_run:
            self._stop(f"{self._run} in a row, more than {self._limit.max_run}")
        if len(self._recent) == self._limit.window and self._failed / self._limit.window > self._limit.max_ratio:
            self._stop(
                f"{self._failed} of the last {self._limit.window} records, more than {self._limit.max_ratio:.0%}"
            )

    def _stop(self, how_many: str) -> None:
        stage = self._stage.value
        raise DeadLetterLimitExceeded(
            f"too many dead letters at stage {stage}: {how_many}. Look at the dead-letter topic; if its records "
            f"belong there, raise dead_letters.{stage}_run or dead_letters.{stage}_ratio."
        )


class DeadLetterLimits:
    """The limits of each stage; a stage without one is not limited."""

    def __init__(self, limits: Mapping[Stage, DeadLetterLimit]) -> None:
        self._counters = {stage: DeadLetterCounter(stage, limit) for stage, limit in limits.items()}

    def count(self, stage: Stage, failed: bool) -> None:
        """Count one record that reached this stage; see :meth:`DeadLetterCounter.count`."""
        counter = self._counters.get(stage)
        if counter is not None:
            counter.count(failed)
