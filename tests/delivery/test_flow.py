"""In-flight limits: an exact record limit, and space between pause and resume."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.flow import Change, Flow, FlowLimits


@dataclass(frozen=True)
class Load:
    tokens: int = 0
    size: int = 0


def test_there_is_room_for_exactly_the_limit() -> None:
    flow = Flow(FlowLimits(records=3, hold=0.0))
    assert flow.room == 3
    for left in (2, 1, 0):
        flow.enter(Load())
        assert flow.room == left


def test_below_every_limit_nothing_changes() -> None:
    flow = Flow(FlowLimits(records=3, hold=0.0))
    flow.enter(Load())
    flow.enter(Load())
    assert flow.regulate(0.0) is None


@pytest.mark.parametrize(
    ("limits", "load"),
    [
        (FlowLimits(records=1, hold=0.0), Load()),
        (FlowLimits(bytes=100, hold=0.0), Load(size=100)),
        (FlowLimits(tokens=10, hold=0.0), Load(tokens=10)),
        (FlowLimits(tokens=10, hold=0.0), Load(tokens=5000)),
    ],
    ids=["records", "bytes", "tokens", "one far above"],
)
def test_any_one_limit_that_is_reached_pauses_the_input(limits: FlowLimits, load: Load) -> None:
    flow = Flow(limits)
    flow.enter(load)
    assert flow.regulate(0.0) is Change.PAUSE
    assert flow.paused
    flow.leave(load)
    assert flow.regulate(0.0) is Change.RESUME
    assert not flow.paused


def test_a_pause_is_told_once() -> None:
    flow = Flow(FlowLimits(records=1, hold=0.0))
    flow.enter(Load())
    assert flow.regulate(0.0) is Change.PAUSE
    assert flow.regulate(0.0) is None


def test_the_input_resumes_at_the_low_mark_and_not_before() -> None:
    flow = Flow(FlowLimits(records=10, low_mark=0.5, hold=0.0))
    for _ in range(10):
        flow.enter(Load())
    assert flow.regulate(0.0) is Change.PAUSE
    for _ in range(4):
        flow.leave(Load())
        assert flow.regulate(0.0) is None
        assert flow.paused
    flow.leave(Load())
    assert flow.regulate(0.0) is Change.RESUME


def test_it_resumes_only_when_all_three_are_low() -> None:
    flow = Flow(FlowLimits(records=4, bytes=100, hold=0.0))
    heavy = Load(size=90)
    for load in (heavy, Load(), Load(), Load()):
        flow.enter(load)
    assert flow.regulate(0.0) is Change.PAUSE
    for _ in range(3):
        flow.leave(Load())
    assert flow.regulate(0.0) is None, "records are low, bytes are not"
    flow.leave(heavy)
    assert flow.regulate(0.0) is Change.RESUME


def test_a_row_that_leaves_twice_is_a_bug() -> None:
    flow = Flow(FlowLimits())
    flow.enter(Load())
    flow.leave(Load())
    with pytest.raises(AssertionError, match="twice"):
        flow.leave(Load())


@pytest.mark.parametrize("broken", [{"records": 0}, {"bytes": 0}, {"tokens": 0}, {"low_mark": 0.0}, {"low_mark": 1.0}])
def test_limits_that_would_never_let_anything_in_or_never_resume_are_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limits are at least 1"):
        FlowLimits(**broken)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 50))), st.integers(1, 8))
def test_the_counts_are_sums_of_what_is_inside_and_pauses_alternate(
    moves: list[tuple[bool, int, int]], records: int
) -> None:
    flow = Flow(FlowLimits(records=records, bytes=100, tokens=30, low_mark=0.5, hold=0.0))
    inside: list[Load] = []
    for entering, tokens, size in moves:
        if entering and flow.room and not flow.paused:
            inside.append(Load(tokens, size))
            flow.enter(inside[-1])
        elif inside:
            flow.leave(inside.pop(0))
        was = flow.paused
        change = flow.regulate(0.0)
        assert change is {(False, True): Change.PAUSE, (True, False): Change.RESUME}.get((was, flow.paused))
        assert flow.records == len(inside) <= records
        assert flow.tokens == sum(load.tokens for load in inside)
        assert flow.bytes == sum(load.size for load in inside)
        assert flow.room == records - len(inside)
        if flow.records >= records or flow.tokens >= 30 or flow.bytes >= 100:
            assert flow.paused
        if not inside:
            assert not flow.paused


def test_a_full_flow_is_held_first_and_paused_only_when_that_lasts() -> None:
    flow = Flow(FlowLimits(records=1, hold=0.5))
    flow.enter(Load())
    assert flow.regulate(10.0) is None
    assert flow.full
    assert flow.regulate(10.4) is None
    assert not flow.paused
    assert flow.regulate(10.5) is Change.PAUSE


def test_room_in_between_begins_the_hold_anew() -> None:
    flow = Flow(FlowLimits(records=1, hold=0.5))
    load = Load()
    flow.enter(load)
    assert flow.regulate(10.0) is None
    flow.leave(load)
    assert flow.regulate(10.4) is None
    flow.enter(load)
    assert flow.regulate(10.45) is None
    assert flow.regulate(10.9) is None
    assert flow.regulate(10.95) is Change.PAUSE
