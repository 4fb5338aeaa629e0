"""From two scrapes of each process to the figures of the time between them. No I/O.

A counter that went back belongs to a process that was started anew: it is counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.service import catalogue
from consumer.service.catalogue import Metric
from consumer.status.scrape import Bucket, Scrape


@dataclass(frozen=True)
class Pair:
    """One process, seen twice."""

    before: Scrape
    after: Scrape

    @property
    def seconds(self) -> float:
        return max(1e-3, self.after.at - self.before.at)

    def risen(self, read: Callable[[Scrape], float]) -> float:
        """By how much a counter rose."""
        before, after = read(self.before), read(self.after)
        return after - before if after >= before else after


@dataclass(frozen=True)
class Figures:
    """A group of processes over one interval.

    Rates are a second. ``lag_seconds``, ``load`` and ``oldest_in_flight`` are those of the worst process, ``busy`` and
    ``cpu`` of the busiest, ``input_wait`` of the one that waits least (shares of time, ``cpu`` in cores). Latencies are
    seconds, ``None`` where nothing was measured. ``before`` counts what had happened when the interval began.
    """

    processes: int
    seconds: float
    not_alive: tuple[str, ...]
    not_ready: tuple[str, ...]
    brokers_reachable: bool
    received: float
    completed: float
    lag_records: float
    lag_records_before: float
    lag_seconds: float
    lag_unknown: int
    in_flight: float
    in_flight_before: float
    waiting: float
    unacknowledged: float
    load: float
    paused: bool
    oldest_in_flight: float
    busy: float
    input_wait: float
    batch_size: float | None
    close_reasons: Mapping[str, float]
    cached: float
    collapsed: float
    tokens: float
    forward_p50: float | None
    latency_p50: float | None
    latency_p99: float | None
    acknowledge_p50: float | None
    acknowledge_p99: float | None
    retries: float
    commits: float
    commit_errors: float
    dead_letters: Mapping[tuple[str, str], float]
    dead_letters_total: Mapping[tuple[str, str], float]
    cpu: float
    memory: float
    identities: tuple[tuple[str, str, str, str], ...]

    @property
    def backlog(self) -> float:
        """Records that have no acknowledged output yet."""
        return self.lag_records + self.in_flight

    @property
    def backlog_before(self) -> float:
        return self.lag_records_before + self.in_flight_before


def figures_of(pairs: Sequence[Pair]) -> Figures:
    """The figures of a group; at least one pair.

    Raises:
        ValueError: there is none.
    """
    if not pairs:
        raise ValueError("figures are made of one process at least")
    seconds = sum(pair.seconds for pair in pairs) / len(pairs)

    def per_second(entry: Metric, **labels: str) -> float:
        return sum(pair.risen(lambda scrape: scrape.sum(entry, **labels)) / pair.seconds for pair in pairs)

    def risen(entry: Metric, **labels: str) -> float:
        return sum(pair.risen(lambda scrape: scrape.sum(entry, **labels)) for pair in pairs)

    def shares(entry: Metric) -> list[float]:
        return [pair.risen(lambda scrape: scrape.sum(entry)) / pair.seconds for pair in pairs]

    def now(entry: Metric) -> float:
        return sum(pair.after.sum(entry) for pair in pairs)

    def earlier(entry: Metric) -> float:
        return sum(pair.before.sum(entry) for pair in pairs)

    def worst(entry: Metric) -> float:
        return max(pair.after.most(entry) for pair in pairs)

    def percentile(entry: Metric, share: float) -> float | None:
        return quantile([_between(pair, entry) for pair in pairs], share)

    batches = sum(pair.risen(lambda scrape: scrape.count(catalogue.BATCH_RECORDS)) for pair in pairs)
    in_batches = sum(pair.risen(lambda scrape: scrape.total(catalogue.BATCH_RECORDS)) for pair in pairs)
    return Figures(
        processes=len(pairs),
        seconds=seconds,
        not_alive=tuple(reason for pair in pairs for reason in pair.after.not_alive),
        not_ready=tuple(reason for pair in pairs for reason in pair.after.not_ready),
        brokers_reachable=all(pair.after.sum(catalogue.BROKERS_REACHABLE) > 0 for pair in pairs),
        received=per_second(catalogue.RECEIVED_RECORDS),
        completed=per_second(catalogue.PUBLISHED_RECORDS),
        lag_records=now(catalogue.LAG_RECORDS),
        lag_records_before=earlier(catalogue.LAG_RECORDS),
        lag_seconds=worst(catalogue.LAG_SECONDS),
        lag_unknown=int(
            sum(
                max(0.0, pair.after.sum(catalogue.ASSIGNED_PARTITIONS) - pair.after.series(catalogue.LAG_SECONDS))
                for pair in pairs
            )
        ),
        in_flight=now(catalogue.IN_FLIGHT_RECORDS),
        in_flight_before=earlier(catalogue.IN_FLIGHT_RECORDS),
        waiting=now(catalogue.WAITING_RECORDS),
        unacknowledged=now(catalogue.UNACKNOWLEDGED_MESSAGES),
        load=worst(catalogue.IN_FLIGHT_LOAD),
        paused=worst(catalogue.PAUSED) > 0,
        oldest_in_flight=worst(catalogue.OLDEST_IN_FLIGHT),
        busy=max(shares(catalogue.MODEL_BUSY)),
        input_wait=min(shares(catalogue.INPUT_WAIT)),
        batch_size=in_batches / batches if batches else None,
        close_reasons=_risen_by(pairs, catalogue.BATCHES, "reason"),
        cached=risen(catalogue.CACHE_HITS),
        collapsed=risen(catalogue.COLLAPSED_COMMENTS),
        tokens=per_second(catalogue.MODEL_TOKENS),
        forward_p50=percentile(catalogue.INFERENCE_SECONDS, 0.5),
        latency_p50=percentile(catalogue.END_TO_END_SECONDS, 0.5),
        latency_p99=percentile(catalogue.END_TO_END_SECONDS, 0.99),
        acknowledge_p50=percentile(catalogue.ACKNOWLEDGE_SECONDS, 0.5),
        acknowledge_p99=percentile(catalogue.ACKNOWLEDGE_SECONDS, 0.99),
        retries=risen(catalogue.UNDELIVERED_MESSAGES, delivery="retry"),
        commits=risen(catalogue.COMMITS),
        commit_errors=risen(catalogue.COMMIT_ERRORS),
        dead_letters=_two(_risen(pairs, catalogue.DEAD_LETTERED_RECORDS, "stage", "type")),
        dead_letters_total=_two(_sum_by(pairs, catalogue.DEAD_LETTERED_RECORDS, "stage", "type")),
        cpu=max(shares(catalogue.PROCESS_CPU)),
        memory=now(catalogue.PROCESS_RESIDENT),
        identities=tuple(
            sorted(
                {
                    (version, model, revision, digest)
                    for pair in pairs
                    for version, model, revision, digest in pair.after.by(
                        catalogue.BUILD_INFO, "version", "model", "revision", "digest"
                    )
                }
            )
        ),
    )


def quantile(histograms: Sequence[Sequence[Bucket]], share: float) -> float | None:
    """The value below which this share of the observations lies, interpolated in its bucket; ``None`` without any.

    The histograms must have the same buckets; beyond the last finite bound, that bound is returned.
    """
    counts: dict[float, float] = {}
    for buckets in histograms:
        for bound, upto in buckets:
            counts[bound] = counts.get(bound, 0.0) + upto
    rising = sorted(counts.items())
    if not rising or rising[-1][1] <= 0:
        return None
    wanted = share * rising[-1][1]
    low = below = 0.0
    for bound, upto in rising:
        if upto >= wanted:
            if bound == float("inf"):
                return low
            inside = upto - below
            return bound if inside <= 0 else low + (bound - low) * (wanted - below) / inside
        low, below = bound, upto
    return low


def _between(pair: Pair, entry: Metric) -> list[Bucket]:
    """A histogram of the interval alone."""
    before, after = pair.before.buckets(entry), pair.after.buckets(entry)
    if not before or len(before) != len(after) or before[-1].upto > after[-1].upto:
        return after
    return [Bucket(new.bound, new.upto - old.upto) for old, new in zip(before, after, strict=True)]


def _sum_by(pairs: Sequence[Pair], entry: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = {}
    for pair in pairs:
        for key, value in pair.after.by(entry, *labels).items():
            sums[key] = sums.get(key, 0.0) + value
    return sums


def _risen(pairs: Sequence[Pair], entry: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = {}
    for pair in pairs:
        before = pair.before.by(entry, *labels)
        for key, value in pair.after.by(entry, *labels).items():
            old = before.get(key, 0.0)
            rise = value - old if value >= old else value
            if rise > 0:
                sums[key] = sums.get(key, 0.0) + rise
    return sums


def _risen_by(pairs: Sequence[Pair], entry: Metric, label: str) -> dict[str, float]:
    return {key[0]: rise for key, rise in _risen(pairs, entry, label).items()}


def _two(sums: Mapping[tuple[str, ...], float]) -> dict[tuple[str, str], float]:
    return {(key[0], key[1]): value for key, value in sums.items()}
