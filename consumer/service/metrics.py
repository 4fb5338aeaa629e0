"""The catalogue of metrics: each one's name, kind, unit, labels, and what it is for. On a registry of its own.

Units are seconds, bytes, records and tokens, and stand in the name. Labels have few and known values: never a text, a
key, or a name that came from outside. To be read with ``rate()`` over counters and ``histogram_quantile()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from consumer.delivery.records import ModelIdentity

PREFIX = "comment_consumer"
LATENCY = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 120.0)
MODEL_TIME = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
MAX_TYPES = 30  # different error types that get a label of their own; the names come from exceptions


class BulkHistogram(Collector):
    """A histogram that takes many values at once: one call a poll, not one a record."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = np.asarray(buckets)
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe(self, values: Sequence[float]) -> None:
        """Count values; from one thread."""
        array = np.asarray(values)
        places = np.searchsorted(self._bounds, array)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(array.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What the registry asks for."""
        upto = np.cumsum(self._counts).tolist()
        bounds = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(bounds, upto, strict=True)), self._sum)
        yield family


class Metrics:
    """Every metric there is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        # Input
        self.received = counter("received_records", "Records received from the input topic.")
        self.lag_records = gauge("lag_records", "Records of the input topic that were not read yet.", "partition")
        self.lag_seconds = gauge("lag_seconds", "Age of the newest record of the last poll; 0 when idle.")
        self.assigned = gauge("assigned_partitions", "Partitions this member owns now.")
        self.rebalances = counter("rebalances", "Changes of the assignment: assigned, revoked, lost.", "kind")
        self.paused = gauge("paused", "1 while the input is paused because too much is in flight.")
        self.pauses = counter("pauses", "Times the input was paused.")
        self.in_flight_records = gauge("in_flight_records", "Records received and neither acknowledged nor dropped.")
        self.in_flight_bytes = gauge("in_flight_bytes", "Bytes of the records in flight.")
        self.in_flight_tokens = gauge("in_flight_tokens", "Upper bound of the tokens in flight.")
        self.dropped = counter("dropped_records", "Records given up because their partition moved on.")
        self.loop = counter("poll_loops", "Rounds of the poll loop: its beat.")

        # Batches and the model
        self.batches = counter("batches", "Batches closed, by the bound that closed them.", "reason")
        self.batch_rows = histogram("batch_records", "Records in a batch.", ROWS)
        self.batch_tokens = histogram("batch_tokens", "Upper bound of a batch's tokens.", TOKENS)
        self.batch_wait = histogram("batch_wait_seconds", "Age of the oldest record when its batch closed.", LATENCY)
        self.cache_hits = counter("cache_hits", "Comments answered by the result cache.")
        self.collapsed = counter("collapsed_comments", "Comments answered by an equal text of the same batch.")
        self.tokenize_seconds = histogram("tokenize_seconds", "Time to tokenise a batch.", MODEL_TIME)
        self.inference_seconds = histogram("inference_seconds", "Time the model spent on a batch.", MODEL_TIME)
        self.model_texts = counter("model_texts", "Texts that went through the model.")
        self.model_tokens = counter("model_tokens", "Tokens that went through the model, padding left out.")
        self.out_of_memory = counter("out_of_memory", "Times the device ran out of memory and a batch was halved.")
        self.bisections = counter("bisections", "Times a batch was split to find the text that breaks the model.")

        # Output
        self.published = counter(
            "published_records", "Records whose output was acknowledged, by what it was.", "outcome"
        )
        self.labels = counter("labels", "Labels flagged in labeled events, by the policy's thresholds.", "label")
        self.actions = counter("actions", "Labeled events by the action that the policy asks for.", "action")
        self.audited = counter("audited_events", "Labeled events in the policy's sample for people.")
        self.policy = gauge("policy_info", "Always 1; tells the policy in force.", "name", "digest")
        self.policy_refusals = counter("policy_refusals", "Policy files that could not be used; the old one goes on.")
        self.dead_lettered = counter("dead_lettered_records", "Dead letters, by stage and error type.", "stage", "type")
        self.undelivered = counter("undelivered_messages", "Messages that were not accepted, by why.", "delivery")
        self.end_to_end = BulkHistogram(
            f"{PREFIX}_end_to_end_seconds", "Time from receipt to acknowledged output.", LATENCY, registry
        )
        self.acknowledge_seconds = BulkHistogram(
            f"{PREFIX}_acknowledge_seconds",
            "Time from publishing a message to its acknowledgement.",
            LATENCY,
            registry,
        )
        self.stored = counter("stored_offsets", "Offsets handed over for committing.")
        self.commit_errors = counter("commit_errors", "Commits that failed; the offsets are committed later.")
        self.build = gauge("build_info", "Always 1; tells version and model.", "version", "model", "revision", "digest")
        self._types: set[str] = set()

    def describe_build(self, version: str, model: ModelIdentity) -> None:
        """Say which program and which model this is."""
        self.build.labels(version, model.name, model.revision, model.digest).set(1)

    def error_type(self, name: str) -> str:
        """A label value for an error's type: its name, or ``other`` once there are too many."""
        if name in self._types or len(self._types) < MAX_TYPES:
            self._types.add(name)
            return name
        return "other"

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", documentation, buckets=buckets, registry=self.registry)


def read_at_scrape(readings: Mapping[Gauge, Callable[[], float]]) -> None:
    """Let gauges read their values when they are asked for, from attributes that one thread writes."""
    for gauge, reading in readings.items():
        gauge.set_function(reading)
