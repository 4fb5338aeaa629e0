"""The offset to commit is the one after the longest completed prefix of what was received."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Partition
from consumer.delivery.tracker import Assignment, Tracker, Watermark

P0 = Partition("comments", 0)
P1 = Partition("comments", 1)


def received(*offsets: int) -> Assignment:
    assignment = Assignment(P0, 1)
    for offset in offsets:
        assignment.receive(offset, None)
    return assignment


def test_nothing_is_committed_before_anything_is_complete() -> None:
    assert received(5, 6).watermark is None


def test_completing_in_order_moves_the_watermark_one_past_each() -> None:
    assignment = received(5, 6)
    assert assignment.complete(5)
    assert assignment.watermark == Watermark(6, None)
    assert assignment.complete(6)
    assert assignment.watermark == Watermark(7, None)


def test_an_offset_completed_out_of_order_waits_for_the_ones_before_it() -> None:
    assignment = received(0, 1, 2)
    assert not assignment.complete(2)
    assert not assignment.complete(1)
    assert assignment.watermark is None
    assert assignment.head == 0
    assert assignment.complete(0)
    assert assignment.watermark == Watermark(3, None)
    assert assignment.head is None


def test_a_gap_between_received_offsets_is_nothing_to_wait_for() -> None:
    assignment = received(3, 10, 11)
    assignment.complete(3)
    assert assignment.watermark == Watermark(4, None), "the gap is passed only with the next record"
    assignment.complete(10)
    assert assignment.watermark == Watermark(11, None)


def test_the_watermark_carries_the_leader_epoch_of_the_record_below_it() -> None:
    assignment = Assignment(P0, 1)
    assignment.receive(0, 7)
    assignment.receive(1, 8)
    assignment.complete(1)
    assignment.complete(0)
    assert assignment.watermark == Watermark(2, 8)


def test_a_dropped_record_is_never_passed_and_not_waited_for() -> None:
    assignment = received(0, 1)
    assignment.drop()
    assignment.complete(1)
    assert assignment.outstanding == 0
    assert assignment.watermark is None


@pytest.mark.parametrize("offset", [9, 8, 0])
def test_an_offset_that_goes_back_stops_the_program(offset: int) -> None:
    with pytest.raises(SourceFailed, match=f"comments/0: offset {offset} arrived after 9"):
        received(9, offset)


def test_an_offset_that_goes_back_below_what_is_complete_stops_the_program_too() -> None:
    assignment = received(9)
    assignment.complete(9)
    with pytest.raises(SourceFailed):
        assignment.receive(9, None)


def test_completing_twice_is_a_bug_and_raises() -> None:
    assignment = received(0, 1)
    assignment.complete(1)
    with pytest.raises(KeyError):
        assignment.complete(1)


def test_completing_what_was_never_received_raises() -> None:
    with pytest.raises(KeyError):
        received(0).complete(1)


@given(st.data())
def test_the_watermark_is_the_longest_completed_prefix_whatever_the_order_and_the_gaps(data: st.DataObject) -> None:
    offsets = sorted(data.draw(st.sets(st.integers(0, 10_000), min_size=1, max_size=40)))
    order = data.draw(st.permutations(offsets))
    assignment = received(*offsets)
    complete: set[int] = set()
    for offset in order:
        before = assignment.watermark
        moved = assignment.complete(offset)
        complete.add(offset)
        prefix = [o for i, o in enumerate(offsets) if complete.issuperset(offsets[: i + 1])]
        assert assignment.watermark == (Watermark(prefix[-1] + 1, None) if prefix else None)
        assert moved == (assignment.watermark != before)
        assert assignment.outstanding == len(offsets) - len(complete)
    assert assignment.watermark == Watermark(offsets[-1] + 1, None)


@given(st.lists(st.booleans(), max_size=60))
def test_receiving_and_completing_may_interleave(receives: list[bool]) -> None:
    assignment = Assignment(P0, 1)
    waiting: list[int] = []
    newest = -1
    for receive in receives:
        if receive:
            newest += 1
            assignment.receive(newest, None)
            waiting.append(newest)
        elif waiting:
            assignment.complete(waiting.pop())  # the newest first: the worst order
        expected = min(waiting, default=newest + 1)
        assert (assignment.watermark.offset if assignment.watermark else 0) == expected


def test_a_moved_watermark_is_told_once() -> None:
    tracker = Tracker()
    tracker.assign(P0)
    (assignment,) = tracker.among([P0])
    assignment.receive(0, 3)
    assignment.receive(1, 3)
    tracker.complete(assignment, 0)
    tracker.complete(assignment, 1)
    assert list(tracker.moved()) == [(P0, Watermark(2, 3))]
    assert list(tracker.moved()) == []


def test_late_news_of_a_fenced_epoch_is_ignored() -> None:
    tracker = Tracker()
    tracker.assign(P0)
    old = tracker.find(P0)
    assert old is not None
    old.receive(0, None)
    tracker.fence([P0])
    tracker.assign(P0)
    new = tracker.find(P0)
    assert new is not None
    new.receive(0, None)

    tracker.complete(old, 0)

    assert old.fenced
    assert list(tracker.moved()) == []
    assert new.outstanding == 1
    assert new.watermark is None


def test_what_was_complete_but_not_stored_when_the_epoch_ended_is_not_stored_later() -> None:
    tracker = Tracker()
    tracker.assign(P0)
    (assignment,) = tracker.among([P0])
    assignment.receive(0, None)
    tracker.complete(assignment, 0)
    tracker.fence([P0])
    tracker.assign(P0)
    assert list(tracker.moved()) == []


def test_assigning_an_open_partition_again_begins_a_new_epoch_and_fences_the_old_one() -> None:
    tracker = Tracker()
    tracker.assign(P0)
    old = tracker.find(P0)
    tracker.assign(P0)
    new = tracker.find(P0)
    assert old is not None
    assert new is not None
    assert old.fenced
    assert not new.fenced
    assert new.epoch > old.epoch
    assert len(tracker) == 1


def test_partitions_are_independent() -> None:
    tracker = Tracker()
    tracker.assign(P0)
    tracker.assign(P1)
    first, second = tracker.among([P0, P1])
    first.receive(0, None)
    second.receive(0, None)
    tracker.complete(second, 0)
    assert list(tracker.moved()) == [(P1, Watermark(1, None))]
    tracker.fence([P1])
    assert tracker.partitions == (P0,)
    assert not first.fenced


def test_fencing_or_looking_for_an_unknown_partition_changes_nothing() -> None:
    tracker = Tracker()
    tracker.fence([P0])
    assert tracker.find(P0) is None
    assert tracker.among([P0]) == []
