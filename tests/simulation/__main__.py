"""Run schedules by hand: ``python -m tests.simulation [--schedules N] [--first SEED] [--seed SEED] [--bug NAME]``."""

from __future__ import annotations

import argparse
import time

from tests.simulation.bugs import BUGS
from tests.simulation.scenario import draw
from tests.simulation.schedule import REAL, run_schedule
from tests.simulation.shrink import failure_of, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one seed and shrink it if it fails")
    parser.add_argument("--bug", choices=sorted(BUGS), help="run with a planted bug")
    arguments = parser.parse_args()
    build = BUGS[arguments.bug] if arguments.bug else REAL
    seeds = (
        [arguments.seed]
        if arguments.seed is not None
        else range(arguments.first, arguments.first + arguments.schedules)
    )
    began = time.monotonic()
    duplicates = 0
    for count, seed in enumerate(seeds, 1):
        scenario = draw(seed)
        failure = failure_of(scenario, build)
        if failure is not None:
            small = shrink(scenario, build)
            print(f"seed {seed} fails after {count} schedules, {time.monotonic() - began:.1f} s: {failure!r}")
            print(f"shrunk: {small}\n  {failure_of(small, build)!r}")
            return 1
        duplicates += len(run_schedule(scenario, build).broker.duplicates) if arguments.seed is not None else 0
    seconds = time.monotonic() - began
    print(f"{len(seeds)} schedules, {seconds:.1f} s, {len(seeds) / seconds * 60:.0f} a minute: every rule held")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
