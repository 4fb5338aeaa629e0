"""Lag in seconds means what it says, whatever the input, the flow and the poll thread do."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery.records import Partition
from consumer.delivery.tracker import Progress
from consumer.service import catalogue
from consumer.service.lag import Lateness
from consumer.service.metrics import Metrics
from consumer.service.vitals import INTERVAL, OVERDUE, Vitals

P0, P1 = Partition("comments", 0), Partition("comments", 1)
NOW = 1_000_000.0  # seconds since the epoch
MONOTONIC = 50.0


def in_flight(written: float | None, received_before: float = 0.0, newest: float | None = None) -> Progress:
    """Something in flight, written at ``written`` (seconds since the epoch)."""
    return Progress(
        MONOTONIC - received_before,
        None if written is None else int(written * 1000),
        None if newest is None else int(newest * 1000),
    )


def idle(newest: float | None = None) -> Progress:
    return Progress(newest_timestamp_ms=None if newest is None else int(newest * 1000))


class TestLateness:
    def look(self, backlog: dict[Partition, int], progress: dict[Partition, Progress], now: float = NOW):
        return Lateness().look(now, MONOTONIC, backlog, progress)

    def test_nothing_waiting_is_no_lag_however_old_the_last_record_is(self):
        assert self.look({P0: 0}, {P0: idle(newest=NOW - 900)}) == {P0: 0.0}

    def test_a_backlog_is_as_old_as_what_was_seen_of_it_also_when_nothing_of_it_is_in_flight(self):
        seen = Progress(oldest_timestamp_ms=int((NOW - 3600) * 1000), newest_timestamp_ms=int(NOW * 1000))
        assert self.look({P0: 14_000}, {P0: seen}) == {P0: 3600.0}

    def test_the_oldest_record_in_flight_counts_from_when_it_was_written(self):
        assert self.look({P0: 5}, {P0: in_flight(NOW - 30, received_before=2, newest=NOW)}) == {P0: 30.0}

    def test_each_partition_has_its_own(self):
        assert self.look({P0: 0, P1: 0}, {P0: in_flight(NOW - 30), P1: idle()}) == {P0: 30.0, P1: 0.0}

    @pytest.mark.parametrize("nonsense", [None, 0.0, -5.0])
    def test_without_a_usable_timestamp_it_counts_from_receipt(self, nonsense: float | None):
        assert self.look({}, {P0: in_flight(nonsense, received_before=7)}) == {P0: 7.0}

    def test_a_clock_that_is_ahead_is_no_negative_lag(self):
        assert self.look({P0: 0}, {P0: in_flight(NOW + 60)}) == {P0: 0.0}
        assert self.look({P0: 1}, {P0: idle(newest=NOW + 60)}) == {P0: 0.0}

    def test_a_backlog_that_is_not_fetched_counts_from_the_last_record_received(self):
        """The input is paused for another partition's sake, say: nothing of this one is in flight."""
        lateness = Lateness()
        lateness.look(NOW - 100, MONOTONIC, {P0: 9}, {P0: in_flight(NOW - 100, newest=NOW - 20)})
        assert lateness.look(NOW, MONOTONIC, {P0: 9}, {P0: idle(newest=NOW - 20)}) == {P0: 20.0}

    def test_after_silence_a_backlog_counts_from_the_last_look_that_saw_none(self):
        lateness = Lateness()
        lateness.look(NOW - 3, MONOTONIC, {P0: 0}, {P0: idle(newest=NOW - 900)})
        assert lateness.look(NOW, MONOTONIC, {P0: 1}, {P0: idle(newest=NOW - 900)}) == {P0: 3.0}

    def test_a_backlog_that_stays_grows_older(self):
        lateness = Lateness()
        lateness.look(NOW, MONOTONIC, {P0: 0}, {P0: idle()})
        ages = [lateness.look(NOW + s, MONOTONIC, {P0: 4}, {P0: idle()})[P0] for s in (1, 60, 600)]
        assert ages == [1.0, 60.0, 600.0]

    def test_of_a_new_partition_with_a_backlog_the_time_since_it_came_is_known(self):
        lateness = Lateness()
        assert lateness.look(NOW, MONOTONIC, {P0: 400}, {P0: idle()}) == {P0: 0.0}
        assert lateness.look(NOW + 5, MONOTONIC, {P0: 400}, {P0: idle()}) == {P0: 5.0}

    def test_of_a_partition_of_which_nothing_is_known_nothing_is_said(self):
        assert self.look({}, {P0: idle()}) == {}

    def test_a_partition_that_left_and_came_back_starts_anew(self):
        lateness = Lateness()
        lateness.look(NOW, MONOTONIC, {P0: 0}, {P0: idle()})
        lateness.look(NOW + 50, MONOTONIC, {}, {})
        assert lateness.look(NOW + 100, MONOTONIC, {P0: 1}, {P0: idle()}) == {P0: 0.0}


class Stand:
    """Vitals over a state that a test sets, and a clock that it moves."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.progress: dict[Partition, Progress] = {}
        self.backlog: dict[Partition, int] = {}
        self.metrics = Metrics(CollectorRegistry())
        self.vitals = Vitals(
            self.metrics,
            lambda: self.progress,
            lambda: self.backlog,
            lambda: MONOTONIC + self.passed,
            lambda: NOW + self.passed,
        )

    def value(self, entry: catalogue.Metric, partition: Partition | None = None) -> float | None:
        labels = {} if partition is None else {"partition": str(partition.number)}
        return self.metrics.registry.get_sample_value(entry.sample, labels)


class TestVitals:
    def test_it_looks_once_an_interval(self):
        stand = Stand()
        stand.progress, stand.backlog = {P0: idle()}, {P0: 3}
        stand.vitals.tick()
        assert stand.value(catalogue.LAG_RECORDS, P0) is None
        stand.passed = INTERVAL
        stand.vitals.tick()
        assert stand.value(catalogue.LAG_RECORDS, P0) == 3

    def test_between_two_looks_a_healthy_lag_does_not_climb(self):
        stand = Stand()
        stand.progress, stand.backlog = {P0: in_flight(NOW - 0.02)}, {P0: 0}
        stand.vitals.look()
        stand.passed = INTERVAL * 0.9
        assert stand.value(catalogue.LAG_SECONDS, P0) == pytest.approx(0.02)

    def test_when_the_poll_thread_hangs_what_was_late_grows_later(self):
        stand = Stand()
        stand.progress = {P0: in_flight(NOW - 1, received_before=0.5), P1: idle()}
        stand.backlog = {P0: 0, P1: 0}
        stand.vitals.look()
        stand.passed = 100.0
        assert stand.value(catalogue.LAG_SECONDS, P0) == pytest.approx(1 + 100 - OVERDUE)
        assert stand.value(catalogue.LAG_SECONDS, P1) == 0
        assert stand.value(catalogue.OLDEST_IN_FLIGHT) == pytest.approx(0.5 + 100 - OVERDUE)

    def test_the_oldest_in_flight_is_that_of_all_partitions(self):
        stand = Stand()
        assert stand.value(catalogue.OLDEST_IN_FLIGHT) == 0
        stand.progress = {P0: in_flight(NOW, received_before=2), P1: in_flight(NOW, received_before=9)}
        stand.vitals.look()
        assert stand.value(catalogue.OLDEST_IN_FLIGHT) == 9
        stand.progress = {P0: idle(), P1: idle()}
        stand.vitals.look()
        assert stand.value(catalogue.OLDEST_IN_FLIGHT) == 0

    def test_series_of_partitions_that_moved_on_are_taken_away_and_come_back(self):
        stand = Stand()
        for _ in range(2):
            stand.progress, stand.backlog = {P0: in_flight(NOW - 4), P1: idle()}, {P0: 7, P1: 0}
            stand.vitals.look()
            assert (stand.value(catalogue.LAG_RECORDS, P0), stand.value(catalogue.LAG_SECONDS, P0)) == (7, 4)
            # The backlog is of a moment ago: it may still name a partition that is no longer assigned.
            stand.progress = {P1: idle()}
            stand.vitals.look()
            assert (stand.value(catalogue.LAG_RECORDS, P0), stand.value(catalogue.LAG_SECONDS, P0)) == (None, None)
            assert stand.value(catalogue.LAG_SECONDS, P1) == 0
