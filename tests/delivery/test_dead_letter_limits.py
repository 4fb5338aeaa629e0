"""Too many dead letters, in a row or among the latest records, stop the program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.dead_letter_limits import DeadLetterLimit, DeadLetterLimits
from consumer.delivery.errors import DeadLetterLimitExceeded
from consumer.delivery.records import Stage


def limits(max_run: int = 1000, max_ratio: float = 1.0, window: int = 10) -> DeadLetterLimits:
    return DeadLetterLimits({Stage.MODEL: DeadLetterLimit(max_run, max_ratio, window)})


def count(counted: DeadLetterLimits, pattern: str) -> None:
    for letter in pattern:
        counted.count(Stage.MODEL, letter == "x")


def test_a_run_of_the_limit_is_allowed_and_one_more_is_not() -> None:
    counted = limits(max_run=3)
    count(counted, "xxx")
    with pytest.raises(DeadLetterLimitExceeded, match="stage model: 4 in a row, more than 3"):
        count(counted, "x")


def test_one_success_ends_a_run() -> None:
    count(limits(max_run=3), "xxx.xxx.xxx")


def test_a_ratio_above_the_limit_over_a_full_window_stops() -> None:
    counted = limits(max_ratio=0.3)
    count(counted, "x.x.x.....")
    with pytest.raises(DeadLetterLimitExceeded, match="4 of the last 10 records, more than 30%"):
        count(counted, "xx")


def test_the_ratio_is_not_judged_before_the_window_is_full() -> None:
    count(limits(max_ratio=0.1), "xxx.xx.xx")


def test_what_left_the_window_no_longer_counts() -> None:
    count(limits(max_ratio=0.2), "xx........" * 3 + "....xx")


def test_a_success_never_stops_the_program() -> None:
    counted = limits(max_ratio=0.1)
    count(counted, "xxxxxxxxx" + "." * 20)


def test_a_stage_without_a_limit_is_not_limited() -> None:
    counted = limits(max_run=1)
    for _ in range(100):
        counted.count(Stage.DECODE, True)


def test_stages_are_counted_apart() -> None:
    counted = DeadLetterLimits({stage: DeadLetterLimit(1, 1.0) for stage in (Stage.MODEL, Stage.DECODE)})
    counted.count(Stage.MODEL, True)
    counted.count(Stage.DECODE, True)
    with pytest.raises(DeadLetterLimitExceeded, match="decode"):
        counted.count(Stage.DECODE, True)


@pytest.mark.parametrize("share", range(1, 100))
def test_exactly_the_allowed_share_is_allowed_whatever_its_rounding(share: int) -> None:
    counted = limits(max_ratio=share / 100, window=100)
    count(counted, "." * (100 - share) + "x" * share)


@pytest.mark.parametrize("broken", [(0, 0.5, 10), (1, -0.1, 10), (1, 1.1, 10), (1, 0.5, 0)])
def test_limits_without_meaning_are_refused(broken: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        DeadLetterLimit(*broken)


@given(st.text("x.", max_size=60), st.integers(1, 5), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(1, 8))
def test_it_stops_at_the_first_record_that_breaks_a_limit(pattern: str, run: int, ratio: float, window: int) -> None:
    def breaks(upto: str) -> bool:
        in_a_row = len(upto) - len(upto.rstrip("x"))
        latest = upto[-window:]
        return in_a_row > run or (upto[-1] == "x" and len(latest) == window and latest.count("x") / window > ratio)

    expected = next((n for n in range(1, len(pattern) + 1) if breaks(pattern[:n])), None)
    counted = limits(run, ratio, window)
    stopped = None
    for number, letter in enumerate(pattern, 1):
        try:
            count(counted, letter)
        except DeadLetterLimitExceeded:
            stopped = number
            break
    assert stopped == expected
