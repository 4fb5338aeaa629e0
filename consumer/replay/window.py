"""The window of a relabelling, as it is noted with the run's committed offsets. No I/O."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import orjson

from consumer.delivery.spans import Span

VERSION: Final = 1


class Note(NamedTuple):
    """What is committed beside each offset: the partition's span, and what the run is made of."""

    span: Span
    made_of: str

    def written(self) -> str:
        """As the offset's metadata; some hundred bytes, where brokers take 4096."""
        return orjson.dumps({"v": VERSION, "start": self.span.start, "end": self.span.end, "of": self.made_of}).decode()

    @classmethod
    def read(cls, metadata: str | None) -> Note | None:
        """``None`` if this is no note of ours."""
        try:
            said = orjson.loads(metadata or "")
            if said["v"] != VERSION:
                return None
            start, end, made_of = said["start"], said["end"], said["of"]
        except (ValueError, KeyError, TypeError):
            return None
        if type(start) is not int or type(end) is not int or type(made_of) is not str or not 0 <= start <= end:
            return None
        return cls(Span(start, end), made_of)


def fingerprint(**parts: object) -> str:
    """Sixteen hex digits of all that decides what a run writes."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
