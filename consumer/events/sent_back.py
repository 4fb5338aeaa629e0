"""What a record's headers say of the times it was a dead letter: how often, and where it stood at first. No I/O.

A record that was sent back to the input carries ``dlq.attempt`` and ``dlq.origin``. One that somebody copied back with
all its ``dlq.*`` headers has ``dlq.source.*`` instead of an origin, which says the same the first time.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from consumer.delivery.records import Headers
from schemas import dead_letter as names

_MAX_ATTEMPT_DIGITS: Final = 6
_ORIGIN: Final = re.compile(rb"[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}")
_SOURCE: Final = (names.SOURCE_TOPIC_HEADER, names.SOURCE_PARTITION_HEADER, names.SOURCE_OFFSET_HEADER)


class SentBack(NamedTuple):
    """``origin`` is ``topic/partition/offset``; ``attempts`` how often the record has become a dead letter."""

    origin: str
    attempts: int


def read_sent_back(headers: Headers | None) -> SentBack | None:
    """Whether a record was sent back, by its own word; ``None`` if it says nothing that makes sense."""
    if not headers:
        return None
    found = {name: value for name, value in headers if name in names.RESERVED}  # of repeated names the last counts
    if not found:
        return None
    origin = found.get(names.ORIGIN_HEADER) or b"/".join(found.get(name) or b"" for name in _SOURCE)
    if not _ORIGIN.fullmatch(origin):
        return None
    return SentBack(origin.decode("ascii"), earlier_attempts(headers))


def earlier_attempts(headers: Headers | None) -> int:
    """How often this record was a dead letter before, by its own word; 0 if that makes no sense."""
    attempt = next((value for name, value in reversed(headers or ()) if name == names.ATTEMPT_HEADER), None)
    return int(attempt) if attempt and len(attempt) <= _MAX_ATTEMPT_DIGITS and attempt.isdigit() else 0
