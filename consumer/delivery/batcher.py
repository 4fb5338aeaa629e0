"""When a batch closes and what is in it. No clock, no I/O: time is an argument.

A batch closes when the first of these is true (:meth:`Batcher.close` is the rule, whole):

1. count: ``max_rows`` rows wait;
2. tokens: the rows that wait cost ``max_tokens`` or more;
3. deadline: the *oldest* row was received ``max_wait`` seconds ago;
4. idle: nothing runs and nothing is ready (``idle_dispatch=False`` turns this one off).

It takes rows from the front, as many as fit the count and the budget. A row over the budget travels alone.
Nothing overtakes: rows that need no model cost no tokens but stand in the same line.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """``max_wait`` is in seconds, ``max_tokens`` in tokens of the packed row, [CLS] and [SEP] included."""

    max_rows: int = 512
    max_tokens: int = 8192
    max_wait: float = 0.05
    idle_dispatch: bool = True

    def __post_init__(self) -> None:
        if self.max_rows < 1 or self.max_tokens < 1 or self.max_wait < 0:
            raise ValueError("a batch holds at least one row and one token and waits at least 0 seconds")


class CloseReason(enum.Enum):
    """Which bound closed a batch."""

    COUNT = "count"
    TOKENS = "tokens"
    DEADLINE = "deadline"
    IDLE = "idle"


class Waiting(Protocol):
    """What the batcher reads of a row: its cost, and when it was received (monotonic seconds)."""

    @property
    def tokens(self) -> int: ...

    @property
    def received_at(self) -> float: ...


WaitingT = TypeVar("WaitingT", bound=Waiting)


class ClosedBatch(NamedTuple, Generic[WaitingT]):
    """Rows that leave together. ``tokens`` is their cost, ``waited`` the oldest row's age in seconds."""

    rows: list[WaitingT]
    reason: CloseReason
    tokens: int
    waited: float


class Batcher(Generic[WaitingT]):
    """The line of rows that wait for the model."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._rows: deque[WaitingT] = deque()
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def tokens(self) -> int:
        return self._tokens

    def add(self, row: WaitingT) -> None:
        self._rows.append(row)
        self._tokens += row.tokens

    def close(self, now: float, *, idle: bool) -> ClosedBatch[WaitingT] | None:
        """Close a batch if one is due at ``now``; ``idle`` says that nothing runs and nothing is ready."""
        reason = self._due(now, idle)
        if reason is None:
            return None
        oldest = self._rows[0].received_at
        rows: list[WaitingT] = []
        tokens = 0
        while self._rows and len(rows) < self._policy.max_rows:
            cost = self._rows[0].tokens
            if rows and tokens + cost > self._policy.max_tokens:
                reason = CloseReason.TOKENS  # whatever made it due, the budget is what bounds it
                break
            rows.append(self._rows.popleft())
            tokens += cost
        self._tokens -= tokens
        return ClosedBatch(rows, reason, tokens, now - oldest)

    def _due(self, now: float, idle: bool) -> CloseReason | None:
        if not self._rows:
            return None
        if len(self._rows) >= self._policy.max_rows:
            return CloseReason.COUNT
        if self._tokens >= self._policy.max_tokens:
            return CloseReason.TOKENS
        if now - self._rows[0].received_at >= self._policy.max_wait:
            return CloseReason.DEADLINE
        if idle and self._policy.idle_dispatch:
            return CloseReason.IDLE
        return None

    def put_back(self, rows: Sequence[WaitingT]) -> None:
        """Put rows that had left back at the front, in their order."""
        self._rows.extendleft(reversed(rows))
        self._tokens += sum(row.tokens for row in rows)

    def take_all(self) -> list[WaitingT]:
        """Empty the line without closing a batch."""
        rows = list(self._rows)
        self._rows.clear()
        self._tokens = 0
        return rows
