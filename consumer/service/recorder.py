"""Turns what the protocol and the model's threads tell into metrics, health and the summary line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from consumer.classifier.runner import Tally
from consumer.delivery.batcher import CloseReason
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Failure, Labeled, Outcome, Skipped
from consumer.events.encode import Judged
from consumer.moderation.judgement import CompiledPolicy
from consumer.service.health import Health
from consumer.service.metrics import Metrics

MAX_AGES = 100_000  # ages kept for one summary line's percentiles


@dataclass(slots=True)
class Totals:
    """Counts since the start."""

    received: int = 0
    labeled: int = 0
    skipped: int = 0
    tombstones: int = 0
    dead_lettered: int = 0
    completed: int = 0
    batches: int = 0
    cache_hits: int = 0
    collapsed: int = 0
    retried: int = 0


class Recorder:
    """An :class:`~consumer.delivery.observer.Observer` on the poll thread.

    ``wall`` is the time of day in seconds since the epoch, as broker timestamps are.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._wall = wall
        self._ages: list[float] = []
        self.totals = Totals()

    def received(self, records: int, newest_timestamp_ms: int | None) -> None:
        """See :class:`~consumer.delivery.observer.Observer`, as for all that follow."""
        self.totals.received += records
        self._metrics.received.inc(records)
        if newest_timestamp_ms:
            self._metrics.lag_seconds.set(max(0.0, self._wall() - newest_timestamp_ms / 1000.0))

    def batch_submitted(
        self, reason: CloseReason, *, rows: int, tokens: int, waited: float, distinct: int, cached: int, collapsed: int
    ) -> None:
        """A batch left for the model."""
        self.totals.batches += 1
        self.totals.cache_hits += cached
        self.totals.collapsed += collapsed
        metrics = self._metrics
        metrics.batches.labels(reason.value).inc()
        metrics.batch_rows.observe(rows)
        metrics.batch_tokens.observe(tokens)
        metrics.batch_wait.observe(waited)
        metrics.cache_hits.inc(cached)
        metrics.collapsed.inc(collapsed)

    def completed(self, outcomes: Sequence[Outcome], ages: Sequence[float]) -> None:
        """Outputs were acknowledged."""
        labeled = sum(isinstance(outcome, Labeled) for outcome in outcomes)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        skipped = sum(isinstance(outcome, Skipped) for outcome in outcomes)
        tombstones = len(outcomes) - labeled - len(failures) - skipped
        self.totals.completed += len(outcomes)
        self.totals.labeled += labeled
        self.totals.skipped += skipped
        self.totals.tombstones += tombstones
        self.totals.dead_lettered += len(failures)
        metrics = self._metrics
        for outcome, count in (
            ("labeled", labeled),
            ("skipped", skipped),
            ("tombstone", tombstones),
            ("dead_letter", len(failures)),
        ):
            if count:
                metrics.published.labels(outcome).inc(count)
        for failure in failures:
            metrics.dead_lettered.labels(failure.stage.value, metrics.error_type(failure.type)).inc()
        metrics.end_to_end.observe(ages)
        if len(self._ages) < MAX_AGES:
            self._ages.extend(ages)

    def undelivered(self, delivery: Delivery) -> None:
        """A message was not accepted."""
        self.totals.retried += delivery is Delivery.RETRY
        if delivery is Delivery.REFUSED:
            self._health.producer_failed()
        self._metrics.undelivered.labels(delivery.value).inc()

    def dropped(self, records: int) -> None:
        """Records were given up."""
        self._metrics.dropped.inc(records)

    def rebalanced(self, kind: str, partitions: int) -> None:
        """The assignment changed."""
        if kind == "assigned":
            self._health.was_assigned()
        self._metrics.rebalances.labels(kind).inc()

    def stored(self, partitions: int) -> None:
        """Offsets were handed over."""
        self._metrics.stored.inc(partitions)

    def flow_changed(self, paused: bool) -> None:
        """The input was paused or resumed."""
        self._metrics.paused.set(paused)
        if paused:
            self._metrics.pauses.inc()

    def take_ages(self) -> list[float]:
        """The seconds from receipt to acknowledgement since the last call."""
        ages, self._ages = self._ages, []
        return ages


class PolicyRecorder:
    """Told what the policy makes of comments, and which policy that is; on the poll thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def judged(self, judged: Judged) -> None:
        """Comments were judged."""
        metrics = self._metrics
        for label, count in judged.flags.items():
            if count:
                metrics.labels.labels(label).inc(count)
        for action, count in judged.actions.items():
            metrics.actions.labels(action).inc(count)
        metrics.audited.inc(judged.audited)

    def in_force(self, policy: CompiledPolicy) -> None:
        """Comments are judged by this policy from now on."""
        self._metrics.policy.clear()
        self._metrics.policy.labels(policy.name, policy.digest).set(1)

    def refused(self) -> None:
        """A new policy file cannot be used."""
        self._metrics.policy_refusals.inc()


class ModelRecorder:
    """A :class:`~consumer.service.model_pipeline.Watcher` on the tokeniser's and the model's threads."""

    def __init__(self, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._seen = Tally()

    def tokenized(self, rows: int, tokens: int, seconds: float) -> None:
        """A batch was tokenised."""
        self._metrics.tokenize_seconds.observe(seconds)

    def started(self) -> None:
        """A batch is with the model."""
        self._health.batch_began()

    def ran(self, rows: int, tokens: int, seconds: float, tally: Tally) -> None:
        """The batch is done."""
        self._health.batch_ended()
        metrics = self._metrics
        metrics.inference_seconds.observe(seconds)
        metrics.model_texts.inc(rows)
        metrics.model_tokens.inc(tokens)
        metrics.out_of_memory.inc(tally.out_of_memory - self._seen.out_of_memory)
        metrics.bisections.inc(tally.bisections - self._seen.bisections)
        self._seen = replace(tally)
