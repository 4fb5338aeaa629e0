"""Which records take which step, for whoever follows single ones: traces and the log at debug level.

The observer counts; this one is told the rows themselves. Called on the protocol's thread, a few calls a batch. A row
is only to be read, and nothing that it holds but its coordinates may be shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumer.delivery.batcher import ClosedBatch
from consumer.delivery.records import Partition
from consumer.delivery.row import Row


class Follower:
    """A record is received, submitted in a batch, answered and published with it, acknowledged; or it is dropped.

    This one follows nothing; others override what they want to know.
    """

    def received(self, rows: Sequence[Row]) -> None:
        """One poll's records are decoded and stand in the line."""

    def submitted(self, ticket: int, batch: ClosedBatch[Row], distinct: int) -> None:
        """A batch closed and went to the model, with ``distinct`` texts that must be run."""

    def withdrawn(self, ticket: int) -> None:
        """A batch that was not started is taken apart; its rows are back in the line, or dropped."""

    def answered(self, ticket: int, rows: Sequence[Row]) -> None:
        """The model's answers are there; these rows of the batch are encoded and published next."""

    def published(self, ticket: int, rows: Sequence[Row]) -> None:
        """They were handed to the sink."""

    def acknowledged(self, rows: Sequence[Row]) -> None:
        """Outputs are acknowledged: these rows are complete."""

    def dropped(self, rows: Sequence[Row]) -> None:
        """Given up, because their partitions moved on."""

    def stored(self, offsets: Sequence[tuple[Partition, int]]) -> None:
        """The next offset to read of each partition, handed over for committing."""


class Several(Follower):
    """Passes everything on to some others."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self._followers = followers

    def received(self, rows: Sequence[Row]) -> None:
        for each in self._followers:
            each.received(rows)

    def submitted(self, ticket: int, batch: ClosedBatch[Row], distinct: int) -> None:
        for each in self._followers:
            each.submitted(ticket, batch, distinct)

    def withdrawn(self, ticket: int) -> None:
        for each in self._followers:
            each.withdrawn(ticket)

    def answered(self, ticket: int, rows: Sequence[Row]) -> None:
        for each in self._followers:
            each.answered(ticket, rows)

    def published(self, ticket: int, rows: Sequence[Row]) -> None:
        for each in self._followers:
            each.published(ticket, rows)

    def acknowledged(self, rows: Sequence[Row]) -> None:
        for each in self._followers:
            each.acknowledged(rows)

    def dropped(self, rows: Sequence[Row]) -> None:
        for each in self._followers:
            each.dropped(rows)

    def stored(self, offsets: Sequence[tuple[Partition, int]]) -> None:
        for each in self._followers:
            each.stored(offsets)
