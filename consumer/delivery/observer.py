"""What the protocol tells whoever watches it. Called on the protocol's thread; never with text, keys or headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from consumer.delivery.batcher import CloseReason
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Outcome


class Observer(Protocol):
    """Counts and durations, a few calls a batch."""

    def received(self, records: int, newest_timestamp_ms: int | None) -> None:
        """A poll brought records; the newest of them was written at this time (ms since the epoch)."""

    def batch_submitted(
        self, reason: CloseReason, *, rows: int, tokens: int, waited: float, distinct: int, cached: int, collapsed: int
    ) -> None:
        """A batch left for the model; of its rows ``cached`` had a known verdict and ``collapsed`` repeat another."""

    def completed(self, outcomes: Sequence[Outcome], ages: Sequence[float]) -> None:
        """Records' outputs were acknowledged: what each was, and how many seconds after the record was received."""

    def undelivered(self, delivery: Delivery) -> None:
        """A message was not accepted; it is published again or as a dead letter, or the program stops."""

    def dropped(self, records: int) -> None:
        """Records were given up because their partition moved on; its next owner reads them again."""

    def rebalanced(self, kind: str, partitions: int) -> None:
        """The assignment changed: ``assigned``, ``revoked`` or ``lost``."""

    def stored(self, partitions: int) -> None:
        """Offsets were handed over for committing."""

    def flow_changed(self, paused: bool) -> None:
        """The input was paused or resumed."""


class Silent(Observer):
    """An observer that takes no notes."""
