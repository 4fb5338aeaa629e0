"""The classifier's port by the real runner, and the judge of the batches that come to it."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.classifier.runner import Runner
from consumer.delivery.batcher import CloseReason
from consumer.delivery.errors import DeliveryStopped
from consumer.delivery.observer import Silent
from consumer.delivery.ports import Finished
from consumer.delivery.records import ModelIdentity
from tests.simulation.broker import Violation
from tests.simulation.model import FakeEngine, Texts
from tests.simulation.ports import Facts
from tests.simulation.world import World


class SimClassifier:
    """Two batches at most, finished in order or in any order, by the real runner over a fake engine."""

    def __init__(self, world: World, engine: FakeEngine, runner: Runner[Texts], facts: Facts) -> None:
        self._world = world
        self._engine = engine
        self._runner = runner
        self._facts = facts
        self._waiting: dict[int, tuple[str, ...]] = {}
        self._running: set[int] = set()
        self._done: list[Finished] = []
        self._broken: DeliveryStopped | None = None

    @property
    def identity(self) -> ModelIdentity:
        return self._engine.identity

    @property
    def idle(self) -> bool:
        return not self._waiting

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        if len(set(texts)) != len(texts):
            raise Violation("equal texts were not collapsed")
        self._waiting[ticket] = tuple(texts)
        self._facts.submitted_at = min((self._facts.text_at[t] for t in texts), default=0.0)
        self._facts.with_model = len(self._waiting) + len(self._done)
        if self._facts.with_model > 2:
            raise Violation(f"{self._facts.with_model} batches are with the model")
        self._start()

    def withdraw(self) -> Sequence[int]:
        taken = sorted(self._waiting.keys() - self._running)
        for ticket in taken:
            del self._waiting[ticket]
        self._world.happened["withdrawn"] += len(taken)
        return taken

    def finished(self, timeout: float) -> Sequence[Finished]:
        if not self._done and timeout > 0:
            self._world.await_next(timeout)
        if self._broken is not None:
            raise self._broken
        done, self._done = self._done, []
        self._start()
        return done

    def _start(self) -> None:
        for ticket in sorted(self._waiting.keys() - self._running):
            if self._running and not self._world.scenario.any_order:
                return
            self._running.add(ticket)
            self._world.at(self._world.delay(self._world.scenario.model_delay), lambda t=ticket: self._finish(t))

    def _finish(self, ticket: int) -> None:
        texts = self._waiting.pop(ticket)
        self._running.discard(ticket)
        try:
            self._done.append(Finished(ticket, self._runner.run(self._engine.tokenize(texts))))
        except DeliveryStopped as stopped:
            self._broken = stopped
        self._start()


class BatchJudge(Silent):
    """Holds every closed batch against the batching rule, by times noted outside the code under test."""

    def __init__(self, world: World, facts: Facts) -> None:
        self._world = world
        self._facts = facts

    def batch_submitted(
        self, reason: CloseReason, *, rows: int, tokens: int, waited: float, distinct: int, cached: int, collapsed: int
    ) -> None:
        scenario = self._world.scenario
        happened = self._world.happened
        happened[f"closed for {reason.value}"] += 1
        happened["cache hit"] += cached
        happened["collapsed"] += collapsed
        if rows < 1 or rows > scenario.max_rows:
            raise Violation(f"a batch of {rows} rows, allowed are 1 to {scenario.max_rows}")
        if tokens > scenario.max_tokens and rows > 1:
            raise Violation(f"a batch of {rows} rows costs {tokens} tokens, the budget is {scenario.max_tokens}")
        if reason is CloseReason.IDLE and not (scenario.idle_dispatch and self._facts.with_model <= 1):
            raise Violation("a batch was dispatched as idle, but the model was not, or this is turned off")
        waited = self._world.now - self._facts.submitted_at
        if reason is CloseReason.DEADLINE and rows == distinct and waited < scenario.max_wait - 1e-9:
            raise Violation(f"closed for its deadline, but the oldest record waited {waited:.3f} s only")
        if reason is CloseReason.COUNT and rows < scenario.max_rows:
            raise Violation(f"closed for count with {rows} of {scenario.max_rows} rows")

    def dropped(self, records: int) -> None:
        self._world.happened["dropped"] += records

    def flow_changed(self, paused: bool) -> None:
        self._world.happened["paused" if paused else "resumed"] += 1
