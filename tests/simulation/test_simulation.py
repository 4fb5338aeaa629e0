"""Random schedules hold every rule, replay by their seed, and catch each planted bug."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from consumer.kafka import divisions
from tests.simulation.bugs import BUGS
from tests.simulation.scenario import Scenario, draw
from tests.simulation.schedule import REAL, Build, run_schedule
from tests.simulation.shrink import failure_of, shrink
from tests.simulation.world import World

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "3000"))
CHUNKS = 6
BUG_SEEDS = 5000  # about 30 s: by then every planted bug must have shown itself

# Whatever a schedule can meet. One that never occurs any more is a rule that is no longer tested.
MUST_HAPPEN = {
    *("crash", "clean stop", "freeze", "model swapped"),
    *("revoked", "lost", "dropped", "withdrawn", "late acknowledgement"),
    *("paused", "resumed"),
    *("closed for count", "closed for tokens", "closed for deadline", "closed for idle", "cache hit", "collapsed"),
    *("out of memory", "transient model error", "broken model", "stopped by ModelBroken"),
    *("source failed", "stopped by SourceFailed"),
    *("publish again", "acknowledgement withheld", "labeled too large", "dead_letter too large"),
    *("divided", "divided with something done", "gap at a seam", "backlog read", "metadata dropped"),
    *("crash in a catch-up", "lost in a catch-up", "revoked in a catch-up"),
    *("labeled", "skipped", "tombstone", "dead:decode", "dead:model", "dead:publish", "stub", "duplicate"),
}


def history(world: World) -> str:
    """All that can be seen of a schedule from outside."""
    broker = world.broker
    seen = [
        sorted(broker.visible.items()),
        sorted(broker.committed.items()),
        sorted(broker.metadata.items()),
        sorted(broker.duplicates.items()),
        sorted(world.happened.items()),
        broker.generation,
        world.now,
    ]
    return sha256(repr(seen).encode()).hexdigest()


def reproduction(scenario: Scenario) -> str:
    return f"python -m tests.simulation --seed {scenario.seed} shrinks and replays it"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_rule_holds_on_every_schedule(chunk: int) -> None:
    seeds = range(chunk, SCHEDULES, CHUNKS)
    began = time.perf_counter()
    for seed in seeds:
        scenario = draw(seed)
        failure = failure_of(scenario, REAL)
        assert failure is None, f"{failure!r}; {reproduction(scenario)}"
    seconds = time.perf_counter() - began
    print(f"{len(seeds)} schedules, {60 * len(seeds) / seconds:.0f} a minute")


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_gives_the_same_history_twice(seed: int) -> None:
    assert history(run_schedule(draw(seed))) == history(run_schedule(draw(seed)))


def test_a_seed_gives_the_same_history_in_another_process_with_other_hashes() -> None:
    seeds = range(20, 40)
    here = [history(run_schedule(draw(seed))) for seed in seeds]
    script = (
        "from tests.simulation.test_simulation import draw, history, run_schedule\n"
        f"for seed in {seeds!r}: print(history(run_schedule(draw(seed))))"
    )
    there = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert there.stdout.split() == here


def test_different_seeds_give_different_histories() -> None:
    assert len({history(run_schedule(draw(seed))) for seed in range(50)}) == 50


@dataclass(frozen=True)
class Catch:
    """The first seed on which a planted bug breaks a rule."""

    scenario: Scenario
    failure: Exception


def catch(build: Build) -> Catch | None:
    for seed in range(BUG_SEEDS):
        scenario = draw(seed)
        failure = failure_of(scenario, build)
        if failure is not None:
            return Catch(scenario, failure)
    return None


@pytest.mark.parametrize("bug", sorted(BUGS))
@pytest.mark.timeout(60)
def test_a_planted_bug_is_caught_and_shrinks_to_a_scenario_that_replays(bug: str) -> None:
    build = BUGS[bug]
    caught = catch(build)
    assert caught is not None, f"{bug} went unnoticed for {BUG_SEEDS} schedules"
    assert isinstance(caught.failure, AssertionError), f"{bug} crashes instead of breaking a rule: {caught.failure!r}"

    small = shrink(caught.scenario, build)

    first, again = failure_of(small, build), failure_of(small, build)
    assert isinstance(first, AssertionError)
    assert repr(again) == repr(first), "the shrunk scenario does not replay"
    assert small.seed == caught.scenario.seed
    assert (small.turns, small.records) <= (caught.scenario.turns, caught.scenario.records)
    assert failure_of(small, REAL) is None, "the shrunk scenario fails without the bug as well"


def test_an_owner_that_does_not_read_what_was_committed_above_the_offset_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(divisions, "read_spans", lambda *committed: ())
    caught = catch(REAL)
    assert caught is not None
    assert "labeled again, though its partition came with the news" in str(caught.failure)


def test_every_fault_and_every_way_out_occurs() -> None:
    happened: Counter[str] = Counter()
    for seed in range(500):
        world = run_schedule(draw(seed))
        happened += world.happened
        happened["duplicate"] += sum(world.broker.duplicates.values())
    never = MUST_HAPPEN - set(+happened)
    assert not never, f"the simulation has gone blind to {sorted(never)}"


def test_enough_schedules_are_calm_enough_to_forbid_duplicates_and_overtaking() -> None:
    scenarios = [draw(seed) for seed in range(500)]
    assert sum(scenario.orderly for scenario in scenarios) > 50
    assert sum(scenario.in_order for scenario in scenarios) > 250
