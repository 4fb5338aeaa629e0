"""Measures the whole path with the real program: see README.md beside this file.

``python -m tests.benchmarks.path --broker real --model demo --measure throughput``
"""

from __future__ import annotations

import argparse
import json
import sys
from statistics import median

from consumer.settings import BatchSettings
from tests.benchmarks import machine, measures
from tests.benchmarks.comments import demo_comments, distinct_texts, real_comments, sent_as
from tests.benchmarks.stand import Stand, stand
from tests.support.data import TO_HAVE_IT, find_data

COMMENTS = {
    ("throughput", "demo"): 100_000,
    ("throughput", "seed"): 6_000,
    ("share", "demo"): 40_000,
    ("share", "seed"): 4_000,
    ("latency", "demo"): 330,
    ("latency", "seed"): 330,
    ("loaded", "demo"): 400_000,
    ("loaded", "seed"): 40_000,
    ("memory", "demo"): 300_000,
    ("memory", "seed"): 4_000,
}

BACKLOG = {"demo": 50_000, "seed": 4_000}  # comments that measure the capacity before the load is offered


def measure(given: argparse.Namespace, on: Stand) -> dict[str, float]:
    """One repetition of what was asked for."""
    count = given.comments or COMMENTS[given.measure, given.model]
    several = real_comments if given.input == "real" else demo_comments
    if given.measure == "throughput":
        return measures.throughput(on, several(count))
    if given.measure == "share":
        default = BatchSettings()
        rows = int(str(on.settings.get("batch.max_comments", default.max_comments)))
        tokens = int(str(on.settings.get("batch.max_tokens", default.max_tokens)))
        return measures.against_bare(on, distinct_texts(count, given.input), given.repeat, rows, tokens)
    if given.measure == "latency":
        return measures.latency(on, distinct_texts(count, given.input))
    if given.measure == "loaded":
        return measures.loaded(on, several(count), min(count // 2, BACKLOG[given.model]), given.seconds)
    long = [sent_as(10_000_000 + number, "好" * 600 + str(number)) for number in range(count // 100)]
    return measures.memory(on, [*long, *several(count)] if given.model == "seed" else several(count), count // 3)


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", choices=["real", "mock"], default="real")
    parser.add_argument("--model", choices=["demo", "seed"], default="demo")
    parser.add_argument("--measure", choices=["throughput", "share", "latency", "loaded", "memory"], required=True)
    parser.add_argument("--input", choices=["demo", "real"], default="demo", help="synthetic comments, or TVL_DATA's")
    parser.add_argument("--comments", type=int, help="how many; each measure has a number of its own")
    parser.add_argument("--seconds", type=float, default=60.0, help="of offered load, for loaded")
    parser.add_argument("--repeat", type=int, default=3, help="the figures are medians")
    parser.add_argument("--cpus", default="2,3", help="those of the program, and of the broker unless it has others")
    parser.add_argument("--broker-cpus", default="", help="those of the broker")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the program")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    if given.input == "real" and find_data() is None:
        parser.error(f"real comments are not here; {TO_HAVE_IT}")
    cpus, broker_cpus = ([int(cpu) for cpu in named.split(",") if cpu] for named in (given.cpus, given.broker_cpus))
    settings: dict[str, object] = dict(setting.split("=", 1) for setting in given.set)
    once = given.measure in ("share", "memory", "loaded")  # share repeats by itself, the others last long
    results = []
    with stand(given.broker, given.model, cpus, settings, broker_cpus) as on:
        for _ in range(1 if once else given.repeat):
            results.append(measure(given, on))
            print(json.dumps(results[-1]), file=sys.stderr)
    names = ("broker", "model", "measure", "input")
    whole = {
        **{name: getattr(given, name) for name in names},
        "machine": machine.describe(),
        "cpus": given.cpus,
        "broker_cpus": given.broker_cpus or given.cpus,
        "settings": settings,
        "figures": {name: median(result[name] for result in results) for name in results[0]},
    }
    if given.json:
        print(json.dumps(whole))
    else:
        print("  ".join(f"{name} {whole[name]}" for name in (*names, "cpus", "broker_cpus", "machine")))
        for name, value in whole["figures"].items():
            print(f"{name:>36}  {value:,.3f}" if abs(value) < 100 else f"{name:>36}  {value:,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
