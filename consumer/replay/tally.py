"""What became of a relabelling's records, counted. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from consumer.delivery.batcher import CloseReason
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Failure, Labeled, Outcome, Skipped


class Tally:
    """A :class:`~consumer.delivery.observer.Observer` that counts outcomes, and nothing else."""

    def __init__(self) -> None:
        self.labeled = self.skipped = self.tombstones = 0
        self.dead_letters: Counter[str] = Counter()

    def completed(self, outcomes: Sequence[Outcome], ages: Sequence[float]) -> None:
        """Count what was acknowledged."""
        for outcome in outcomes:
            if isinstance(outcome, Labeled):
                self.labeled += 1
            elif isinstance(outcome, Skipped):
                self.skipped += 1
            elif isinstance(outcome, Failure):
                self.dead_letters[outcome.type] += 1
            else:
                self.tombstones += 1

    def received(self, records: int, newest_timestamp_ms: int | None) -> None: ...

    def batch_submitted(
        self, reason: CloseReason, *, rows: int, tokens: int, waited: float, distinct: int, cached: int, collapsed: int
    ) -> None: ...

    def undelivered(self, delivery: Delivery) -> None: ...

    def dropped(self, records: int) -> None: ...

    def rebalanced(self, kind: str, partitions: int) -> None: ...

    def stored(self, partitions: int) -> None: ...

    def flow_changed(self, paused: bool) -> None: ...
