"""How much may be on its way at once, and when the input waits or pauses. No I/O, no clock.

A row is in flight from the moment it is received until its message is acknowledged or it is dropped. At any of the
three limits the input is *held*: it is not asked for records. A hold is free, but nobody polls Kafka meanwhile, so
after ``hold`` seconds the input is *paused* instead: then it is polled again and returns nothing. A pause is dear: it
throws away what the Kafka client has prefetched, and the resume fetches it again, which cost up to a second a time on
a slow broker when every batch brought a pause. It ends when all three counts are back under their low marks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """High marks, the low mark as a share of them, and the longest hold in seconds.

    ``bytes`` counts keys, values and headers as received. ``hold`` also bounds how late a rebalance is noticed.
    """

    records: int = 4096
    bytes: int = 64 * 1024 * 1024
    tokens: int = 128 * 1024
    low_mark: float = 0.5
    hold: float = 1.0

    def __post_init__(self) -> None:
        if min(self.records, self.bytes, self.tokens) < 1 or not 0 < self.low_mark < 1 or self.hold < 0:
            raise ValueError("limits are at least 1, the low mark lies between 0 and 1, a hold is not negative")


class Change(enum.Enum):
    """What the input must do now."""

    PAUSE = "pause"
    RESUME = "resume"


class Weighed(Protocol):
    """What flow control reads of a row."""

    @property
    def tokens(self) -> int: ...

    @property
    def size(self) -> int: ...


class Flow:
    """What is in flight. The records limit is exact; bytes and tokens may exceed theirs by one poll."""

    def __init__(self, limits: FlowLimits) -> None:
        self._limits = limits
        self.records = 0
        self.bytes = 0
        self.tokens = 0
        self.paused = False
        self._full_since: float | None = None

    @property
    def full(self) -> bool:
        """Whether a limit is reached."""
        return self.load >= 1

    @property
    def load(self) -> float:
        """The fullest of the three limits; 1 is full."""
        limits = self._limits
        return max(self.records / limits.records, self.bytes / limits.bytes, self.tokens / limits.tokens)

    @property
    def room(self) -> int:
        """How many more records may be received."""
        return max(0, self._limits.records - self.records)

    def enter(self, row: Weighed) -> None:
        self.records += 1
        self.bytes += row.size
        self.tokens += row.tokens

    def leave(self, row: Weighed) -> None:
        self.records -= 1
        self.bytes -= row.size
        self.tokens -= row.tokens
        assert self.records >= 0, "a row left twice"

    def regulate(self, now: float) -> Change | None:
        """Say whether the input must pause or resume now; ``now`` is in monotonic seconds."""
        if not self.full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        if self.paused and self.load <= self._limits.low_mark:
            self.paused = False
            return Change.RESUME
        if not self.paused and self._full_since is not None and now - self._full_since >= self._limits.hold:
            self.paused = True
            return Change.PAUSE
        return None
