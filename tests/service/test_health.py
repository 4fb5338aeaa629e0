"""When the process counts as alive and as ready."""

from __future__ import annotations

import pytest

from consumer.service import health as bounds
from consumer.service.health import Health


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


@pytest.fixture
def ready(health: Health) -> Health:
    health.model_is_warm()
    health.was_assigned()
    assert health.why_not_ready() == []
    return health


class TestAlive:
    def test_a_process_that_still_loads_its_model_is_alive_however_long_it_takes(self, health: Health, clock: Clock):
        clock.now += 10_000
        assert health.why_not_alive() == []

    def test_the_poll_loop_must_go_round(self, health: Health, clock: Clock):
        health.beat()
        clock.now += bounds.LOOP_BOUND
        assert health.why_not_alive() == []
        clock.now += 1
        assert "poll loop" in health.why_not_alive()[0]
        health.beat()
        assert health.why_not_alive() == []

    def test_the_first_batch_may_take_as_long_as_the_floor(self, health: Health, clock: Clock):
        health.batch_began()
        clock.now += bounds.BATCH_FLOOR
        assert health.why_not_alive() == []
        clock.now += 1
        assert "one batch" in health.why_not_alive()[0]
        health.batch_ended()
        assert health.why_not_alive() == []

    def test_a_slow_model_may_take_longer(self, health: Health, clock: Clock):
        for _ in range(10):
            health.batch_began()
            clock.now += 20
            health.batch_ended()
        assert health.batch_bound == 200
        health.batch_began()
        clock.now += 199
        assert health.why_not_alive() == []
        clock.now += 2
        assert health.why_not_alive() != []

    def test_one_outlier_does_not_set_the_bound(self, health: Health, clock: Clock):
        for seconds in [100.0] + [0.1] * 499:
            health.batch_began()
            clock.now += seconds
            health.batch_ended()
        assert health.batch_bound == bounds.BATCH_FLOOR

    def test_an_idle_model_is_not_stuck(self, health: Health, clock: Clock):
        health.batch_began()
        health.batch_ended()
        clock.now += 10_000
        assert health.why_not_alive() == []

    def test_brokers_producer_and_draining_do_not_matter(self, health: Health, clock: Clock):
        health.brokers_are(False)
        health.producer_failed()
        health.drains()
        clock.now += 10_000
        assert health.why_not_alive() == []


class TestReady:
    def test_needs_a_warm_model_and_an_assignment(self, health: Health):
        assert len(health.why_not_ready()) == 2
        health.model_is_warm()
        assert health.why_not_ready() == ["the group has given no assignment yet"]
        health.was_assigned()
        assert health.why_not_ready() == []

    def test_not_while_draining(self, ready: Health):
        ready.drains()
        assert ready.why_not_ready() == ["draining"]

    def test_not_with_a_failed_producer(self, ready: Health):
        ready.producer_failed()
        assert "producer" in ready.why_not_ready()[0]

    def test_lost_brokers_count_after_a_grace_time_and_until_one_is_back(self, ready: Health, clock: Clock):
        ready.brokers_are(False)
        clock.now += bounds.BROKER_GRACE
        ready.brokers_are(False)
        assert ready.why_not_ready() == []
        clock.now += 1
        assert "no broker" in ready.why_not_ready()[0]
        ready.brokers_are(True)
        assert ready.why_not_ready() == []
