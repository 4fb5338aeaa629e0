"""Ranges of offsets, and how a partition's log is divided into what is read now and what is caught up with. Pure.

Offsets are not dense, so a span says between which offsets something lies, never how many records that are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """The offsets from ``start`` up to, and without, ``end``."""

    start: int
    end: int


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same offsets in ascending spans that neither overlap nor touch; empty ones are left out."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.start >= span.end:
            continue
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)


def gaps(whole: Span, done: Iterable[Span]) -> tuple[Span, ...]:
    """What of ``whole`` is not in ``done``, ascending."""
    found = []
    start = whole.start
    for span in merged(done):
        if span.start > start:
            found.append(Span(start, min(span.start, whole.end)))
        start = max(start, span.end)
        if start >= whole.end:
            break
    if start < whole.end:
        found.append(Span(start, whole.end))
    return tuple(span for span in found if span.start < span.end)


def largest(spans: Sequence[Span], count: int) -> tuple[Span, ...]:
    """At most ``count`` of these spans, the largest, in their order; of equal ones the lower stay."""
    keep = set(sorted(spans, key=lambda span: (span.start - span.end, span.start))[:count])
    return tuple(span for span in spans if span in keep)


class Division(NamedTuple):
    """How a partition is read while there is a backlog.

    Live reading begins at ``live``. The backlog is what lies from ``begin``, the committed offset, up to there, without
    what is ``done`` already: that is ascending, neither overlaps nor touches, and may reach no further than ``live``.
    It is read in chunks of ``chunk`` offsets, the newest first, ascending inside a chunk.
    """

    begin: int
    live: int
    done: tuple[Span, ...]
    chunk: int

    @property
    def backlog(self) -> tuple[Span, ...]:
        """What is to be caught up with, ascending."""
        return gaps(Span(self.begin, self.live), self.done)

    def chunks(self) -> Iterator[Span]:
        """The backlog in the order in which it is read."""
        for gap in reversed(self.backlog):
            for end in range(gap.end, gap.start, -self.chunk):
                yield Span(max(gap.start, end - self.chunk), end)

    def chunk_of(self, offset: int) -> Span | None:
        """The chunk that an offset is read in, or ``None`` if it is not in the backlog."""
        for gap in self.backlog:
            if gap.start <= offset < gap.end:
                end = gap.end - (gap.end - 1 - offset) // self.chunk * self.chunk
                return Span(max(gap.start, end - self.chunk), end)
        return None
