"""Ranges of offsets: what is done, what is left, and in which order that is read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.spans import Division, Span, gaps, largest, merged

spans = st.builds(lambda start, length: Span(start, start + length), st.integers(0, 60), st.integers(0, 12))


def offsets(ranges: Iterable[Span]) -> set[int]:
    return {offset for span in ranges for offset in range(span.start, span.end)}


@given(st.lists(spans))
def test_merged_spans_hold_the_same_offsets_ascending_and_apart(given_spans: list[Span]) -> None:
    found = merged(given_spans)
    assert offsets(found) == offsets(given_spans)
    assert all(span.start < span.end for span in found)
    assert all(one.end < other.start for one, other in pairwise(found))


@given(spans, st.lists(spans))
def test_gaps_are_what_is_in_none_of_the_spans(whole: Span, done: list[Span]) -> None:
    found = gaps(whole, done)
    assert offsets(found) == offsets([whole]) - offsets(done)
    assert found == merged(found)


@given(st.lists(spans).map(merged), st.integers(0, 8))
def test_the_largest_spans_are_kept_in_their_order(given_spans: tuple[Span, ...], count: int) -> None:
    kept = largest(given_spans, count)
    assert len(kept) == min(count, len(given_spans))
    assert list(kept) == sorted(kept)
    left_out = set(given_spans) - set(kept)
    assert all(k.end - k.start >= o.end - o.start for k in kept for o in left_out)


@st.composite
def divisions(draw: st.DrawFn) -> Division:
    begin = draw(st.integers(0, 30))
    live = begin + draw(st.integers(0, 60))
    done = gaps(Span(begin + 1, live), draw(st.lists(spans)))  # any spans above `begin` that stay apart
    return Division(begin, live, done, draw(st.integers(1, 20)))


@given(divisions())
def test_chunks_are_the_whole_backlog_once_the_newest_first_and_none_is_too_large(division: Division) -> None:
    chunks = list(division.chunks())
    assert sum(chunk.end - chunk.start for chunk in chunks) == len(offsets(chunks))
    assert offsets(chunks) == set(range(division.begin, division.live)) - offsets(division.done)
    assert all(0 < chunk.end - chunk.start <= division.chunk for chunk in chunks)
    assert all(newer.start >= older.end for newer, older in pairwise(chunks))


@given(divisions())
def test_every_offset_of_the_backlog_knows_its_chunk_and_no_other_offset_has_one(division: Division) -> None:
    for chunk in division.chunks():
        assert {division.chunk_of(offset) for offset in range(chunk.start, chunk.end)} == {chunk}
    for offset in offsets(division.done) | {division.begin - 1, division.live, division.live + 100}:
        assert division.chunk_of(offset) is None


def test_the_newest_chunk_is_whole_and_the_oldest_takes_what_is_left() -> None:
    assert list(Division(0, 25, (), 10).chunks()) == [Span(15, 25), Span(5, 15), Span(0, 5)]


@pytest.mark.parametrize("count", [0, 1])
def test_of_equal_spans_the_lower_stay(count: int) -> None:
    assert largest((Span(0, 2), Span(4, 6)), count) == ((Span(0, 2),) if count else ())
