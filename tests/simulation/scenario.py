"""One schedule's parameters, drawn from its seed. Pure data; a failing one is shrunk field by field."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Scenario:
    """Everything that varies between schedules. Times are virtual seconds; probabilities are per opportunity."""

    seed: int
    turns: int = 150  # scheduler choices before the world heals
    partitions: int = 2
    records: int = 40
    processes: int = 2
    max_rows: int = 4
    max_tokens: int = 40
    max_wait: float = 0.05
    idle_dispatch: bool = True
    limit_records: int = 16
    hold: float = 0.0
    cache_entries: int = 8
    revoke_timeout: float = 5.0
    ack_delay: float = 0.02
    ack_never: float = 0.0
    sink_retry: float = 0.0
    sink_too_large: float = 0.0
    model_delay: float = 0.05
    any_order: bool = False  # the model finishes its batches in any order
    poison: float = 0.0
    model_hiccup: float = 0.0
    model_breaks: float = 0.0
    memory_tokens: int = 1000
    bad_records: float = 0.05
    plain_records: float = 0.1  # skipped or tombstones
    repeats: float = 0.2
    gaps: float = 0.2
    crash: float = 0.0
    clean_stop: float = 0.0
    zombie: float = 0.0
    model_swap: float = 0.0
    source_fails: float = 0.0
    eager: bool = False
    commit_chance: float = 0.3
    newest_first: bool = False
    chunk: int = 3  # offsets of a backlog that are read in one piece
    metadata_spans: int = 50  # as many fit into a committed offset's metadata

    @property
    def orderly(self) -> bool:
        """No fault that may rightly double an output: then nothing may be doubled at all."""
        return not (self.crash or self.zombie or self.source_fails or self.model_breaks or self.ack_never) and (
            not self.sink_retry and self.revoke_timeout >= 5.0 and self.metadata_spans >= 50
        )

    @property
    def in_order(self) -> bool:
        """The model is first in, first out: then outputs are published in the order of each part that is read."""
        return not self.any_order


def draw(seed: int) -> Scenario:
    """The scenario of a seed; the same on every machine."""
    rng = random.Random(seed)

    def maybe(chance: float, low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.random() < chance else 0.0

    long = rng.random() < 0.03
    return Scenario(
        seed=seed,
        turns=800 if long else rng.choice((60, 120, 200)),
        partitions=rng.choice((1, 2, 2, 3)),
        records=300 if long else rng.choice((5, 20, 40, 60)),
        processes=rng.choice((1, 2, 2, 3)),
        max_rows=rng.choice((1, 2, 4, 8)),
        max_tokens=rng.choice((8, 20, 40, 1000)),
        max_wait=rng.choice((0.0, 0.02, 0.05, 0.2)),
        idle_dispatch=rng.random() < 0.6,
        limit_records=rng.choice((1, 4, 16, 64)),
        hold=rng.choice((0.0, 0.0, 0.3)),
        cache_entries=rng.choice((0, 2, 8, 100)),
        revoke_timeout=rng.choice((0.05, 5.0, 5.0)),
        ack_delay=rng.choice((0.001, 0.02, 0.3)),
        ack_never=maybe(0.15, 0.01, 0.1),
        sink_retry=maybe(0.2, 0.01, 0.2),
        sink_too_large=maybe(0.2, 0.01, 0.2),
        model_delay=rng.choice((0.002, 0.05, 0.4)),
        any_order=rng.random() < 0.3,
        poison=maybe(0.3, 0.02, 0.2),
        model_hiccup=maybe(0.2, 0.01, 0.1),
        model_breaks=maybe(0.1, 0.01, 0.05),
        memory_tokens=rng.choice((12, 30, 1000, 1000)),
        bad_records=maybe(0.5, 0.02, 0.3),
        plain_records=maybe(0.5, 0.02, 0.3),
        repeats=maybe(0.6, 0.05, 0.5),
        gaps=maybe(0.5, 0.05, 0.5),
        crash=maybe(0.3, 0.005, 0.05),
        clean_stop=maybe(0.4, 0.005, 0.05),
        zombie=maybe(0.2, 0.005, 0.03),
        model_swap=maybe(0.3, 0.005, 0.05),
        source_fails=maybe(0.1, 0.001, 0.01),
        eager=rng.random() < 0.3,
        commit_chance=rng.choice((0.05, 0.3, 1.0)),
        newest_first=rng.random() < 0.4,
        chunk=rng.choice((1, 3, 10)),
        metadata_spans=rng.choice((0, 1, 50, 50, 50)),
    )


def simpler(scenario: Scenario) -> list[Scenario]:
    """Scenarios one step simpler: shorter, smaller, or with one fault less."""
    easier = [
        replace(scenario, **{name: value})
        for name, value in (
            ("turns", scenario.turns // 2),
            ("turns", scenario.turns - 5),
            ("records", scenario.records // 2),
            ("records", scenario.records - 1),
            ("processes", scenario.processes - 1),
            ("partitions", scenario.partitions - 1),
        )
        if value >= 1
    ]
    plain = Scenario(seed=scenario.seed)
    for field in fields(Scenario):
        now = getattr(scenario, field.name)
        calm: float | bool = False if isinstance(now, bool) else 0.0
        if field.type in ("float", "bool") and now and field.name not in ("ack_delay", "model_delay", "revoke_timeout"):
            easier.append(replace(scenario, **{field.name: calm}))
        elif field.type == "int" and field.name.startswith(("max_", "limit_", "memory_")):
            usual = getattr(plain, field.name)
            if now != usual:
                easier.append(replace(scenario, **{field.name: usual}))
    return [candidate for candidate in easier if candidate != scenario]
