"""The log at debug level: one line for each step of a batch, with the coordinates of its records.

A comment is followed by its ``topic/partition/offset``: each line names ranges such as ``comments/0/12-40``, offsets
included on both ends. Never more than coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from consumer.delivery.batcher import ClosedBatch
from consumer.delivery.coordinates import ranges
from consumer.delivery.follower import Follower
from consumer.delivery.records import Failure, Partition
from consumer.delivery.row import Row


class StepLog(Follower):
    """A :class:`~consumer.delivery.follower.Follower` that logs. It is made at debug level only."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    def received(self, rows: Sequence[Row]) -> None:
        """See :class:`~consumer.delivery.follower.Follower`, as for all that follow."""
        decoded = Counter(type(row.decoded).__name__ for row in rows)
        self._log.debug("received", records=ranges(rows), decoded=dict(decoded))

    def submitted(self, ticket: int, batch: ClosedBatch[Row], distinct: int) -> None:
        self._log.debug(
            "batch closed",
            batch=ticket,
            reason=batch.reason.value,
            waited_ms=round(batch.waited * 1000, 3),
            texts_to_run=distinct,
            records=ranges(batch.rows),
        )

    def withdrawn(self, ticket: int) -> None:
        self._log.debug("batch withdrawn", batch=ticket)

    def answered(self, ticket: int, rows: Sequence[Row]) -> None:
        failed = [row for row in rows if isinstance(row.verdict, Failure)]
        self._log.debug("verdicts", batch=ticket, records=ranges(rows), failed=ranges(failed))

    def published(self, ticket: int, rows: Sequence[Row]) -> None:
        dead = [row for row in rows if isinstance(row.outcome, Failure)]
        self._log.debug("published", batch=ticket, records=ranges(rows), dead_letters=ranges(dead))

    def acknowledged(self, rows: Sequence[Row]) -> None:
        self._log.debug("acknowledged", records=ranges(rows))

    def dropped(self, rows: Sequence[Row]) -> None:
        self._log.debug("dropped", records=ranges(rows))

    def stored(self, offsets: Sequence[tuple[Partition, int]]) -> None:
        self._log.debug("stored", next=[f"{topic}/{number}/{offset}" for (topic, number), offset in offsets])
