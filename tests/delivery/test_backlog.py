"""What of a divided partition may be committed, and how its two parts take turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.backlog import BacklogLimits, BacklogProgress, BacklogTurns, Covered
from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Partition
from consumer.delivery.spans import Division, Span
from consumer.delivery.tracker import Assignment, Tracker, Watermark
from tests.delivery.test_spans import divisions

P0 = Partition("comments", 0)


def progress(begin: int = 0, live: int = 20, done: tuple[Span, ...] = (), chunk: int = 10) -> BacklogProgress:
    return BacklogProgress(P0, Division(begin, live, done, chunk))


def finish(backlog: BacklogProgress, *offsets: int) -> None:
    for offset in offsets:
        backlog.receive(offset, 7)
        backlog.complete(offset)


def test_the_committed_offset_stays_below_the_backlog_while_newer_chunks_are_done() -> None:
    backlog = progress()
    finish(backlog, *range(10, 20))
    backlog.passed(Span(10, 20))
    assert backlog.covered(None, None) == Covered(0, None, (Span(10, 20),))
    assert backlog.covered(23, 5) == Covered(0, None, (Span(10, 23),)), "the seam closes"


def test_in_a_chunk_only_what_is_done_without_a_hole_counts() -> None:
    backlog = progress()
    for offset in (10, 11, 12):
        backlog.receive(offset, 7)
    backlog.complete(12)
    assert backlog.covered(None, None).above == ()
    backlog.complete(10)
    assert backlog.covered(None, None).above == (Span(10, 11),)
    backlog.complete(11)
    assert backlog.covered(None, None).above == (Span(10, 13),)


def test_a_chunk_is_not_at_its_end_when_its_last_received_record_is_done() -> None:
    """More of it may come, and what looks like a gap before the next chunk may be a record."""
    backlog = progress()
    finish(backlog, 10, 15)
    assert backlog.covered(20, None).above == (Span(10, 16),)
    assert not backlog.finished
    backlog.passed(Span(10, 20))
    assert backlog.covered(25, None).above == (Span(10, 25),)


def test_a_chunk_that_was_passed_waits_for_what_was_received() -> None:
    backlog = progress()
    backlog.receive(10, 7)
    backlog.receive(14, 7)
    backlog.passed(Span(10, 20))
    backlog.complete(10)
    assert backlog.covered(None, None).above == (Span(10, 11),)
    backlog.complete(14)
    assert backlog.covered(None, None).above == (Span(10, 20),)


def test_a_chunk_with_nothing_in_it_is_done_when_it_is_passed() -> None:
    backlog = progress()
    backlog.passed(Span(10, 20))
    backlog.passed(Span(0, 10))
    assert backlog.finished
    assert backlog.covered(None, None) == Covered(20, None, ())


def test_what_an_earlier_owner_did_is_covered_and_never_taken_in_again() -> None:
    backlog = progress(done=(Span(5, 15),), chunk=5)
    assert backlog.covered(None, None) == Covered(0, None, (Span(5, 15),))
    with pytest.raises(SourceFailed, match=r"comments/0: offset 7 .* done already"):
        backlog.receive(7, None)


def test_an_offset_of_a_chunk_that_is_done_stops_the_program() -> None:
    backlog = progress()
    finish(backlog, 12)
    backlog.passed(Span(10, 20))
    with pytest.raises(SourceFailed, match="done already"):
        backlog.receive(13, None)


@pytest.mark.parametrize("offset", [12, 11])
def test_an_offset_that_goes_back_in_its_chunk_stops_the_program(offset: int) -> None:
    backlog = progress()
    backlog.receive(12, None)
    with pytest.raises(SourceFailed, match="arrived after 12"):
        backlog.receive(offset, None)


def test_the_offset_carries_the_leader_epoch_of_the_record_below_it_if_that_is_known() -> None:
    backlog = progress()
    finish(backlog, 0, 1)
    assert backlog.covered(None, None) == Covered(2, 7, ())


@given(divisions(), st.data())
def test_the_offset_is_the_longest_done_prefix_whatever_the_order_and_the_gaps(
    division: Division, data: st.DataObject
) -> None:
    backlog = BacklogProgress(P0, division)
    chunks = list(division.chunks())
    there = {chunk: [o for o in range(*chunk) if data.draw(st.booleans(), label=f"{o} exists")] for chunk in chunks}
    waiting = [offset for offsets in there.values() for offset in offsets]
    for chunk in chunks:
        for offset in there[chunk]:
            backlog.receive(offset, None)
        backlog.passed(chunk)
    last = division.begin
    for offset in data.draw(st.permutations(waiting)):
        backlog.complete(offset)
        waiting.remove(offset)
        covered = backlog.covered(None, None)
        assert covered.offset >= last, "it went back"
        last = covered.offset
        assert not [o for o in waiting if o < covered.offset or any(s.start <= o < s.end for s in covered.above)]
    assert backlog.finished
    assert backlog.covered(None, None) == Covered(division.live, None, ())


# ---- In the tracker ----------------------------------------------------------------------------------------------


def divided(live: int = 10) -> tuple[Tracker, Assignment]:
    tracker = Tracker()
    tracker.assign(P0)
    tracker.divide(P0, Division(4, live, (), 10))
    (assignment,) = tracker.among([P0])
    return tracker, assignment


def test_both_parts_of_a_divided_partition_are_tracked_together() -> None:
    tracker, assignment = divided()
    for offset in (10, 4, 11, 9):
        assignment.receive(offset, 3)
    assert assignment.outstanding == 4
    tracker.complete(assignment, 10)
    assert list(tracker.moved()) == [(P0, Watermark(4, None, (Span(10, 11),)))]
    tracker.complete(assignment, 4)
    assert list(tracker.moved()) == [(P0, Watermark(5, 3, (Span(10, 11),)))]
    tracker.complete(assignment, 9)
    tracker.passed(P0, Span(4, 10))
    assert tracker.divided
    assert list(tracker.moved()) == [(P0, Watermark(11, 3))]
    assert not tracker.divided, "the backlog is done: a partition like any other"
    tracker.complete(assignment, 11)
    assert list(tracker.moved()) == [(P0, Watermark(12, 3))]
    assert assignment.outstanding == 0


def test_a_backlog_that_is_done_before_anything_came_live_leaves_the_offset_at_the_division() -> None:
    tracker, assignment = divided()
    assignment.receive(5, 3)
    tracker.complete(assignment, 5)
    tracker.passed(P0, Span(4, 10))
    assert list(tracker.moved()) == [(P0, Watermark(10, None))]
    with pytest.raises(SourceFailed, match="arrived after 9"):
        assignment.receive(6, 3)
    assignment.receive(10, 3)
    tracker.complete(assignment, 10)
    assert list(tracker.moved()) == [(P0, Watermark(11, 3))]


def test_a_dropped_record_of_a_backlog_is_never_passed() -> None:
    tracker, assignment = divided()
    for offset in (5, 6):
        assignment.receive(offset, None)
    assignment.drop()
    tracker.passed(P0, Span(4, 10))
    tracker.complete(assignment, 6)
    assert list(tracker.moved()) == [(P0, Watermark(4, None))]
    assert tracker.divided


def test_late_news_of_a_fenced_epoch_changes_nothing_in_a_backlog_either() -> None:
    tracker, old = divided()
    old.receive(5, None)
    tracker.fence([P0])
    tracker.complete(old, 5)
    assert list(tracker.moved()) == []


# ---- Turns -------------------------------------------------------------------------------------------------------


def test_a_backlog_gets_what_room_the_line_has() -> None:
    turns = BacklogTurns(line=100)
    assert turns.limits(waiting=0) == BacklogLimits(share=0, spare=100)
    assert turns.limits(waiting=99) == BacklogLimits(share=0, spare=1)
    assert turns.limits(waiting=500) == BacklogLimits(share=0, spare=0)


def test_a_live_stream_that_takes_all_the_room_leaves_a_share() -> None:
    turns = BacklogTurns(line=10, every=8)
    turns.took(live=7, backlog=0)
    assert turns.limits(waiting=1000).share == 0
    turns.took(live=17, backlog=0)
    assert turns.limits(waiting=1000).share == 3
    turns.took(live=0, backlog=2)
    assert turns.limits(waiting=1000).share == 1


def test_what_a_backlog_is_owed_does_not_pile_up() -> None:
    turns = BacklogTurns(line=10, every=8)
    for _ in range(100):
        turns.took(live=1000, backlog=0)
    assert turns.limits(waiting=0).share == 10
    turns.took(live=0, backlog=500)
    assert turns.limits(waiting=0).share == 0
