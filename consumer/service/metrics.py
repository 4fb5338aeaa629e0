"""The metrics of one process: an instrument for each entry of :mod:`consumer.service.catalogue`, on a registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from consumer.delivery.ports import Clock
from consumer.delivery.records import ModelIdentity
from consumer.service import catalogue
from consumer.service.catalogue import Metric

MAX_TYPES = 30  # different error types that get a label of their own; the names come from exceptions


class BulkHistogram(Collector):
    """A histogram that takes many values at once: one call a poll, not one a record."""

    def __init__(self, entry: Metric, registry: CollectorRegistry) -> None:
        self._entry = entry
        self._bounds = np.asarray(entry.buckets)
        self._counts = np.zeros(len(entry.buckets) + 1, dtype=np.int64)
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
        family = HistogramMetricFamily(self._entry.name, self._entry.help)
        family.add_metric([], list(zip(bounds, upto, strict=True)), self._sum)
        yield family


class BusyTime(Collector):
    """Seconds in which something was at work, the work under way included, so that a long batch is no idle minute."""

    class _State(NamedTuple):
        done: float
        began: float | None

    def __init__(self, entry: Metric, registry: CollectorRegistry, clock: Clock) -> None:
        self._entry = entry
        self._clock = clock
        self._state = self._State(0.0, None)  # one reference, set at once: a scrape never sees half a change
        registry.register(self)

    def began(self) -> None:
        """Work begins; from one thread, as :meth:`ended`."""
        self._state = self._State(self._state.done, self._clock())

    def ended(self) -> None:
        """Work is done."""
        done, began = self._state
        if began is not None:
            self._state = self._State(done + self._clock() - began, None)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What the registry asks for."""
        done, began = self._state
        under_way = 0.0 if began is None else max(0.0, self._clock() - began)
        yield CounterMetricFamily(self._entry.name, self._entry.help, done + under_way)


class Metrics:
    """Every metric there is. ``clock`` is in monotonic seconds."""

    def __init__(self, registry: CollectorRegistry, clock: Clock = time.monotonic) -> None:
        # When a counter was made is known from the process's start; it would double the number of series.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        # Input
        self.received = counter(catalogue.RECEIVED_RECORDS)
        self.newest_record = gauge(catalogue.NEWEST_RECORD)
        self.lag_records = gauge(catalogue.LAG_RECORDS)
        self.lag_seconds = gauge(catalogue.LAG_SECONDS)
        self.assigned = gauge(catalogue.ASSIGNED_PARTITIONS)
        self.rebalances = counter(catalogue.REBALANCES)
        self.paused = gauge(catalogue.PAUSED)
        self.pauses = counter(catalogue.PAUSES)
        self.input_wait = counter(catalogue.INPUT_WAIT)
        self.loop = counter(catalogue.POLL_LOOPS)

        # In flight
        self.in_flight_records = gauge(catalogue.IN_FLIGHT_RECORDS)
        self.in_flight_bytes = gauge(catalogue.IN_FLIGHT_BYTES)
        self.in_flight_tokens = gauge(catalogue.IN_FLIGHT_TOKENS)
        self.in_flight_load = gauge(catalogue.IN_FLIGHT_LOAD)
        self.waiting = gauge(catalogue.WAITING_RECORDS)
        self.unacknowledged = gauge(catalogue.UNACKNOWLEDGED_MESSAGES)
        self.oldest_in_flight = gauge(catalogue.OLDEST_IN_FLIGHT)
        self.dropped = counter(catalogue.DROPPED_RECORDS)

        # Batches and the model
        self.batches = counter(catalogue.BATCHES)
        self.last_batch = gauge(catalogue.LAST_BATCH)
        self.batch_rows = histogram(catalogue.BATCH_RECORDS)
        self.batch_tokens = histogram(catalogue.BATCH_TOKENS)
        self.batch_wait = histogram(catalogue.BATCH_WAIT)
        self.cache_hits = counter(catalogue.CACHE_HITS)
        self.collapsed = counter(catalogue.COLLAPSED_COMMENTS)
        self.tokenize_seconds = histogram(catalogue.TOKENIZE_SECONDS)
        self.inference_seconds = histogram(catalogue.INFERENCE_SECONDS)
        self.model_busy = BusyTime(catalogue.MODEL_BUSY, registry, clock)
        self.model_texts = counter(catalogue.MODEL_TEXTS)
        self.model_tokens = counter(catalogue.MODEL_TOKENS)
        self.out_of_memory = counter(catalogue.OUT_OF_MEMORY)
        self.bisections = counter(catalogue.BISECTIONS)

        # Output
        self.published = counter(catalogue.PUBLISHED_RECORDS)
        self.labels = counter(catalogue.LABELS)
        self.actions = counter(catalogue.ACTIONS)
        self.audited = counter(catalogue.AUDITED_EVENTS)
        self.dead_lettered = counter(catalogue.DEAD_LETTERED_RECORDS)
        self.undelivered = counter(catalogue.UNDELIVERED_MESSAGES)
        self.end_to_end = BulkHistogram(catalogue.END_TO_END_SECONDS, registry)
        self.acknowledge_seconds = BulkHistogram(catalogue.ACKNOWLEDGE_SECONDS, registry)
        self.stored = counter(catalogue.STORED_OFFSETS)
        self.commits = counter(catalogue.COMMITS)
        self.last_commit = gauge(catalogue.LAST_COMMIT)
        self.commit_errors = counter(catalogue.COMMIT_ERRORS)

        # The process
        self.ready = gauge(catalogue.READY)
        self.draining = gauge(catalogue.DRAINING)
        self.brokers_reachable = gauge(catalogue.BROKERS_REACHABLE)
        self.brokers_reachable.set(1)
        self.build = gauge(catalogue.BUILD_INFO)
        self.policy = gauge(catalogue.POLICY_INFO)
        self.policy_refusals = counter(catalogue.POLICY_REFUSALS)
        self.spans_exported = counter(catalogue.SPANS_EXPORTED)
        self.spans_dropped = counter(catalogue.SPANS_DROPPED)
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.PlatformCollector(registry=registry)
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

    def _counter(self, entry: Metric) -> Counter:
        assert entry.kind == "counter"
        return Counter(entry.name, entry.help, entry.labels, registry=self.registry)

    def _gauge(self, entry: Metric) -> Gauge:
        assert entry.kind == "gauge"
        return Gauge(entry.name, entry.help, entry.labels, registry=self.registry)

    def _histogram(self, entry: Metric) -> Histogram:
        assert entry.kind == "histogram"
        return Histogram(entry.name, entry.help, entry.labels, buckets=entry.buckets, registry=self.registry)


def read_at_scrape(readings: Mapping[Gauge, Callable[[], float]]) -> None:
    """Let gauges read their values when they are asked for, from attributes that one thread writes."""
    for gauge, reading in readings.items():
        gauge.set_function(reading)
