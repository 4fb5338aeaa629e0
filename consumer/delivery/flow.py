"""How much may be on its way at once, and when the input pauses. No I/O.

A row is in flight from the moment it is received until its message is acknowledged or it is dropped. At any of the
three limits the input is paused; it resumes when all three are back under their low marks. The space between the
marks matters: a pause throws away what the Kafka client has prefetched, and a resume fetches it again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """High marks, and the low mark as a share of them. ``bytes`` counts keys, values and headers as received."""

    records: int = 4096
    bytes: int = 64 * 1024 * 1024
    tokens: int = 128 * 1024
    low_mark: float = 0.5

    def __post_init__(self) -> None:
        if min(self.records, self.bytes, self.tokens) < 1 or not 0 < self.low_mark < 1:
            raise ValueError("limits are at least 1, and the low mark lies between 0 and 1")


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

    def regulate(self) -> Change | None:
        """Say whether the input must pause or resume now."""
        limits = self._limits
        load = max(self.records / limits.records, self.bytes / limits.bytes, self.tokens / limits.tokens)
        if not self.paused and load >= 1:
            self.paused = True
            return Change.PAUSE
        if self.paused and load <= limits.low_mark:
            self.paused = False
            return Change.RESUME
        return None
