"""Finds a simpler scenario that still fails. The seed stays, so the result replays."""

from __future__ import annotations

from tests.simulation.scenario import Scenario, simpler
from tests.simulation.schedule import Build, run_schedule

ATTEMPTS = 300


def failure_of(scenario: Scenario, build: Build) -> Exception | None:
    """Run the scenario; return what went wrong."""
    try:
        run_schedule(scenario, build)
    except Exception as failure:
        return failure
    return None


def shrink(scenario: Scenario, build: Build) -> Scenario:
    """Take simpler scenarios as long as one of them fails too."""
    attempts = 0
    while True:
        for candidate in simpler(scenario):
            attempts += 1
            if attempts > ATTEMPTS:
                return scenario
            if failure_of(candidate, build) is not None:
                scenario = candidate
                break
        else:
            return scenario
