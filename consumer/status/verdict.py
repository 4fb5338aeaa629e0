"""Whether it keeps up, and what bounds it: judged from one interval's figures. Pure."""

from __future__ import annotations

import enum
from typing import NamedTuple

from consumer.status.figures import Figures

LATE = 5.0  # seconds of lag from which labels are late, and seconds' worth of work that may wait
BUSY = 0.85  # share of its time from which the model is the bottleneck
FULL = 0.9  # of the limits in flight
SLOW_ACKNOWLEDGEMENT = 1.0  # seconds, of half of the messages
STUCK = 10.0  # seconds in flight, while nothing is completed
RETRIED = 0.1  # share of the messages that had to be sent again
WAITS = 0.5  # share of the time in which the poll thread waits for records though some are there


class State(enum.Enum):
    """How it goes."""

    KEEPS_UP = "keeps up"
    CATCHES_UP = "catches up"
    FALLS_BEHIND = "falls behind"
    NOT_READY = "not ready"

    @property
    def good(self) -> bool:
        """Whether nobody has to do anything."""
        return self in (State.KEEPS_UP, State.CATCHES_UP)


class Bound(enum.Enum):
    """What it waits for most."""

    INPUT = "input"
    MODEL = "model"
    OUTPUT = "output"
    BROKER = "broker"
    PROGRAM = "program"


class Verdict(NamedTuple):
    """A state, what bounds it, and why, in words."""

    state: State
    bound: Bound
    why: tuple[str, ...]


def judge(figures: Figures) -> Verdict:
    """Judge a group of processes by one interval."""
    state, why = _state(figures)
    bound, because = _bound(figures)
    return Verdict(state, bound, why if state is State.NOT_READY else (*why, because))


def _state(figures: Figures) -> tuple[State, tuple[str, ...]]:
    reasons = tuple(dict.fromkeys(figures.not_alive + figures.not_ready))
    if reasons:
        return State.NOT_READY, reasons
    if not figures.brokers_reachable:
        return State.FALLS_BEHIND, ("what waits is not known",)
    if figures.lag_seconds <= LATE or figures.backlog <= figures.completed * LATE:
        return State.KEEPS_UP, ()
    fewer = (figures.backlog_before - figures.backlog) / figures.seconds
    if fewer <= 0:
        more = f"{-fewer:,.0f} more each second" if fewer else "no fewer than before"
        return State.FALLS_BEHIND, (f"{figures.backlog:,.0f} records wait, {more}",)
    left = _duration(figures.backlog / fewer)
    return State.CATCHES_UP, (f"{figures.backlog:,.0f} records wait, {fewer:,.0f} fewer each second: {left} left",)


def _bound(figures: Figures) -> tuple[Bound, str]:
    if not figures.brokers_reachable:
        return Bound.BROKER, "no broker can be reached"
    if figures.commit_errors > figures.commits:
        return Bound.BROKER, f"{figures.commit_errors:,.0f} commits failed"
    if figures.retries and figures.retries >= RETRIED * figures.completed * figures.seconds:
        return Bound.BROKER, f"{figures.retries:,.0f} messages had to be sent again"
    with_the_output = figures.in_flight > 0 and figures.unacknowledged >= figures.in_flight / 2
    stuck = figures.completed == 0 and figures.in_flight > 0 and figures.oldest_in_flight >= STUCK
    full = figures.paused or figures.load >= FULL
    if with_the_output and (stuck or full):
        return Bound.OUTPUT, f"{figures.unacknowledged:,.0f} messages wait for their acknowledgement"
    if figures.acknowledge_p50 is not None and figures.acknowledge_p50 >= SLOW_ACKNOWLEDGEMENT:
        return Bound.OUTPUT, f"half of the acknowledgements take {figures.acknowledge_p50:.1f} s or more"
    if figures.busy >= BUSY:
        return Bound.MODEL, f"it is busy {figures.busy:.0%} of the time"
    if stuck:
        return Bound.MODEL, f"it has not answered for {figures.oldest_in_flight:,.0f} s"
    if figures.lag_records > figures.completed:  # more than a second's worth is not even read
        if figures.input_wait >= WAITS:
            return Bound.BROKER, f"records wait, but fetching them takes {figures.input_wait:.0%} of the time"
        return Bound.PROGRAM, f"its own thread, with {figures.cpu:.1f} cores in use: add processes"
    return Bound.INPUT, "nothing waits"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
