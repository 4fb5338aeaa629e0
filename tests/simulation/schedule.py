"""Runs one schedule: processes that are stepped, killed, frozen and restarted in a virtual world, until all is quiet.

What is asserted at every step lives with the broker and the ports; what must be true at the end is here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from consumer.classifier.runner import Runner
from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.dead_letter_limits import DeadLetterLimits
from consumer.delivery.errors import DeliveryStopped
from consumer.delivery.flow import FlowLimits
from consumer.delivery.protocol import DeliveryProtocol
from consumer.delivery.results import ResultCache
from tests.simulation.broker import SESSION_TIMEOUT, Violation
from tests.simulation.classifier import BatchJudge, SimClassifier
from tests.simulation.codec import SimCodec, expected_outputs
from tests.simulation.model import FakeEngine, Texts
from tests.simulation.ports import Facts, SimSink
from tests.simulation.scenario import Scenario
from tests.simulation.source import SimSource
from tests.simulation.world import World

QUIET_TURNS = 1000, 60  # turns after the last fault, and more for each record, within which everything must be done


@dataclass(frozen=True)
class Build:
    """Which code runs: the real one, or one with a planted bug."""

    protocol: Callable[..., DeliveryProtocol] = DeliveryProtocol
    runner: Callable[..., Runner[Texts]] = Runner


REAL = Build()


class Process:
    """One running worker: the real protocol over simulated ports."""

    def __init__(self, world: World, name: int, build: Build) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        facts = Facts()
        self.engine = FakeEngine(world.scenario, world.rng, world.happened)
        self.engine.healed = world.healed
        self.source = SimSource(world, name, facts, self.engine)
        scenario = world.scenario
        runner = build.runner(self.engine, sleep=lambda seconds: None)
        self.protocol = build.protocol(
            source=self.source,
            sink=SimSink(world, facts, self),
            classifier=SimClassifier(world, self.engine, runner, facts),
            codec=SimCodec(),
            clock=world.clock,
            batching=BatchPolicy(scenario.max_rows, scenario.max_tokens, scenario.max_wait, scenario.idle_dispatch),
            limits=FlowLimits(records=scenario.limit_records, bytes=10_000, tokens=500, hold=scenario.hold),
            dead_letter_limits=DeadLetterLimits({}),
            cache=ResultCache(scenario.cache_entries),
            observer=BatchJudge(world, facts),
            revoke_timeout=scenario.revoke_timeout,
        )
        self.source.listener = self.protocol

    def step(self) -> None:
        flow = self.protocol.flow
        before = flow.bytes, flow.tokens
        try:
            self.protocol.step()
        except DeliveryStopped as stopped:
            self.world.happened[f"stopped by {type(stopped).__name__}"] += 1
            self.stop(commit=self.world.rng.random() < 0.5)
            return
        if flow.records > self.world.scenario.limit_records:
            raise Violation(f"{flow.records} records in flight, the limit is {self.world.scenario.limit_records}")
        if flow.bytes > max(before[0], 10_000) + 60 * self.world.scenario.limit_records:
            raise Violation(f"{flow.bytes} bytes in flight")

    def drain(self) -> None:
        """A clean stop."""
        with contextlib.suppress(DeliveryStopped):
            self.protocol.drain(20.0)
        self.stop(commit=True)

    def stop(self, *, commit: bool) -> None:
        """End now: either the client closes and commits what was stored, or the process is killed."""
        self.alive = False
        if commit:
            self.source.close()


def run_schedule(scenario: Scenario, build: Build = REAL) -> World:
    """Run a schedule to its end.

    Raises:
        Violation: a rule was broken; any other exception is a bug in the code under test as well.
    """
    world = World(scenario)
    started = 0
    processes: list[Process] = []

    def start() -> None:
        nonlocal started
        started += 1
        processes.append(Process(world, started, build))

    for _ in range(scenario.processes):
        start()
    world.feed(scenario.records // 2)
    for _ in range(scenario.turns):
        if world.rng.random() < 0.2:
            world.feed(world.rng.randint(1, 4))
        if len(processes) < scenario.processes and world.rng.random() < 0.1:
            start()
        if processes:
            _one_turn(world, world.rng.choice(processes))
        processes = [process for process in processes if process.alive]
        world.advance(world.rng.choice((0.0, 0.001, 0.01, 0.05, 0.3)))

    _heal(world, processes)
    if not processes:
        start()
    _await_quiet(world, processes)
    _judge_the_end(world, processes)
    return world


def _one_turn(world: World, process: Process) -> None:
    scenario = world.scenario
    if process.frozen_until > world.now:
        return
    if world.chance(scenario.crash):
        world.happened["crash"] += 1
        world.happened["crash in a catch-up"] += process.source.catching_up
        process.stop(commit=False)
    elif world.chance(scenario.clean_stop):
        world.happened["clean stop"] += 1
        process.drain()
    elif world.chance(scenario.zombie):
        world.happened["freeze"] += 1
        process.frozen_until = world.now + world.rng.choice((0.5, SESSION_TIMEOUT * 1.5))
        if world.rng.random() < 0.5:
            world.advance(SESSION_TIMEOUT * 1.2)
    elif world.chance(scenario.model_swap):
        world.happened["model swapped"] += 1
        process.engine.generation += 1
    else:
        process.step()


def _heal(world: World, processes: list[Process]) -> None:
    world.healed = True
    world.feed(world.to_feed)
    for process in processes:
        process.frozen_until = 0.0
        process.engine.healed = True


def _await_quiet(world: World, processes: list[Process]) -> None:
    turns = QUIET_TURNS[0] + QUIET_TURNS[1] * world.scenario.records
    for _ in range(turns):
        for process in processes:
            process.step()
            if not process.alive:  # a model that broke before the world healed
                processes[processes.index(process)] = Process(world, 1000 + process.name, Build())
        world.advance(0.05)
        if _done(world) and all(process.protocol.flow.records == 0 for process in processes):
            return
    behind = {p: (world.broker.committed.get(p), world.broker.unseen(p)) for p in world.partitions}
    raise Violation(f"not done {turns} turns after the last fault: {behind}")


def _done(world: World) -> bool:
    return all(
        not log or (world.broker.committed.get(partition, 0) > log[-1].offset and not world.broker.metadata[partition])
        for partition, log in world.broker.log.items()
    )


def _judge_the_end(world: World, processes: list[Process]) -> None:
    for partition, log in world.broker.log.items():
        for record in log:
            outputs = world.broker.visible[partition, record.offset]
            kinds = {(message.value or b"tombstone").decode().partition("|")[0] for message in outputs}
            if not kinds <= expected_outputs(record):
                raise Violation(f"{partition} {record.offset}: outputs {kinds}")
    if world.scenario.orderly and world.broker.duplicates:
        raise Violation(f"doubled without a fault that could: {dict(world.broker.duplicates)}")
    for process in processes:
        if process.protocol.flow.tokens or process.protocol.flow.bytes:
            raise Violation("the flow count does not come back to zero")
