"""One deadline for several waits, so that they add up to no more than was promised."""

from __future__ import annotations

from consumer.delivery.ports import Clock


class Deadline:
    """``seconds`` from now on the given monotonic clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        return self._clock() >= self._end
