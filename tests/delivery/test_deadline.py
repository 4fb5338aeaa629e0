"""One deadline for several waits."""

from __future__ import annotations

from consumer.delivery.deadline import Deadline
from tests.delivery.fakes import FakeClock


def test_it_passes_once_its_seconds_are_over_and_not_before() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 2.0)
    clock.advance(1.5)
    assert not deadline.passed
    assert deadline.remaining == 0.5
    clock.advance(0.5)
    assert deadline.passed


def test_what_remains_is_never_negative() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 1.0)
    clock.advance(10.0)
    assert deadline.remaining == 0.0


def test_a_deadline_of_zero_seconds_has_passed() -> None:
    assert Deadline(FakeClock(), 0.0).passed
