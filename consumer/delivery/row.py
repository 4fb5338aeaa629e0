"""One received record on its way through the program."""

from __future__ import annotations

from dataclasses import dataclass

from consumer.delivery.records import Decoded, Failure, Message, Outcome, Record, ToClassify, Verdict
from consumer.delivery.tracker import Assignment


@dataclass(slots=True, eq=False)
class Row:
    """A record, its assignment epoch, and what has become of it so far.

    ``verdict`` is the model's answer once known (or found in the cache), ``message`` what was published and is not
    yet acknowledged, ``attempts`` how often it was handed to the sink.
    """

    record: Record
    assignment: Assignment
    decoded: Decoded
    received_at: float
    tokens: int
    size: int
    verdict: Verdict | Failure | None = None
    outcome: Outcome | None = None
    message: Message | None = None
    attempts: int = 0
    is_stub: bool = False

    @classmethod
    def of(cls, record: Record, assignment: Assignment, decoded: Decoded, now: float) -> Row:
        """A row for a record received at ``now`` (monotonic seconds)."""
        size = len(record.value or b"") + len(record.key or b"")
        if record.headers:
            size += sum(len(name) + len(value or b"") for name, value in record.headers)
        return cls(record, assignment, decoded, now, decoded.tokens if isinstance(decoded, ToClassify) else 0, size)
