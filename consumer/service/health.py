"""Whether the process lives and whether it is ready: what happened so far, judged by a clock. No I/O.

* Alive: the poll loop has gone round lately, and the model is not stuck on one batch. A broker that cannot be reached
  never counts: restarting would not bring it back and would load the model again.
* Ready: the model is warm, the group has given an assignment (no partitions is an assignment too: a standby), the
  producer works, nothing drains. Lost brokers count only after a grace time.

Written by the poll thread and the model thread, read by the HTTP thread; each field is one reference, set at once.
"""

from __future__ import annotations

from collections import deque

from consumer.delivery.ports import Clock

LOOP_BOUND = 120.0  # seconds without a beat; a beat may wait for a revoke (60 at most) and an offset look-up
BATCH_FLOOR = 60.0  # seconds that any batch may take
BATCH_FACTOR = 10.0  # times the 99th percentile that a batch may take
BATCH_HISTORY = 500  # batches of which the percentile is taken
BROKER_GRACE = 60.0  # seconds without a broker until the process says that it is not ready


class Health:
    """The state behind /livez and /readyz."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat: float | None = None
        self._model_warm = False
        self._assigned = False
        self._producer_failed = False
        self._draining = False
        self._brokers_lost: float | None = None
        self._batch_began: float | None = None
        self._batch_seconds: deque[float] = deque(maxlen=BATCH_HISTORY)

    # ---- What happens --------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """The poll loop goes round."""
        self._beat = self._clock()

    def model_is_warm(self) -> None:
        self._model_warm = True

    def was_assigned(self) -> None:
        """The group has told this member what it owns, be it nothing."""
        self._assigned = True

    def batch_began(self) -> None:
        self._batch_began = self._clock()

    def batch_ended(self) -> None:
        began = self._batch_began
        if began is not None:
            self._batch_seconds.append(self._clock() - began)
        self._batch_began = None

    def brokers_are(self, reachable: bool) -> None:
        """Whether any broker can be reached."""
        if reachable:
            self._brokers_lost = None
        elif self._brokers_lost is None:
            self._brokers_lost = self._clock()

    def producer_failed(self) -> None:
        self._producer_failed = True

    def drains(self) -> None:
        self._draining = True

    # ---- What follows --------------------------------------------------------------------------------------------

    @property
    def batch_bound(self) -> float:
        """Seconds that one batch may take."""
        seconds = sorted(self._batch_seconds.copy())
        if not seconds:
            return BATCH_FLOOR
        return max(BATCH_FLOOR, BATCH_FACTOR * seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))])

    def why_not_alive(self) -> list[str]:
        """Why the process should be restarted; empty while it lives."""
        now = self._clock()
        reasons = []
        if (beat := self._beat) is not None and now - beat > LOOP_BOUND:
            reasons.append(f"the poll loop has not gone round for {now - beat:.0f} s")
        if (began := self._batch_began) is not None and now - began > self.batch_bound:
            reasons.append(f"the model has been on one batch for {now - began:.0f} s")
        return reasons

    def why_not_ready(self) -> list[str]:
        """Why the process does no work now; empty while it is ready."""
        reasons = []
        if not self._model_warm:
            reasons.append("the model is not warm yet")
        if not self._assigned:
            reasons.append("the group has given no assignment yet")
        if self._producer_failed:
            reasons.append("the producer has failed")
        if self._draining:
            reasons.append("draining")
        if (lost := self._brokers_lost) is not None and self._clock() - lost > BROKER_GRACE:
            reasons.append(f"no broker has been reachable for {self._clock() - lost:.0f} s")
        return reasons
