"""Brokers for the tests. Without Docker the container tests skip, saying why; under ``CI=true`` they fail instead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from consumer.demo.broker import BrokerFailed
from tests.support.brokers import Broker, MockBroker, RealBroker, embedded_broker, real_broker, why_no_container
from tests.support.traffic import Topics, unique_topics

# How long an example takes is the machine's affair, and says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def mock_broker() -> Iterator[MockBroker]:
    """A mock cluster of its own for each test."""
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(embedded_broker())
        except BrokerFailed as failed:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"needs librdkafka's mock cluster: {failed}")
        yield broker


@pytest.fixture(scope="session")
def container_broker() -> Iterator[RealBroker]:
    """One real broker for the whole run."""
    reason = why_no_container()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the container tests, but {reason}")
        pytest.skip(f"needs Docker: {reason}")
    with real_broker() as broker:
        yield broker


@pytest.fixture(
    params=[
        pytest.param("mock", marks=pytest.mark.broker),
        pytest.param("real", marks=[pytest.mark.broker, pytest.mark.container]),
    ]
)
def broker(request: pytest.FixtureRequest) -> Broker:
    """The same test on the mock cluster and on a real broker."""
    return request.getfixturevalue("mock_broker" if request.param == "mock" else "container_broker")


@pytest.fixture
def topics(broker: Broker) -> Topics:
    """Topics of this test alone: four input partitions, one of each output."""
    names = unique_topics()
    broker.create_topic(names.input, 4)
    broker.create_topic(names.output, 2)
    broker.create_topic(names.dead_letters, 1)
    return names
