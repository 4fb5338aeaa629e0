"""The input topic is deleted, or deleted and made anew, under a program that reads it."""

from __future__ import annotations

import signal

import pytest

from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import all_committed, read_ledger
from tests.conformance.program import Program, until
from tests.conformance.test_delivery import comments
from tests.support.brokers import RealBroker
from tests.support.traffic import Topics, produce, unique_topics

pytestmark = pytest.mark.container


@pytest.fixture
def topics(container_broker: RealBroker) -> Topics:
    names = unique_topics()
    container_broker.create_topic(names.input, 4)
    container_broker.create_topic(names.output, 2)
    container_broker.create_topic(names.dead_letters, 1)
    return names


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_topic_that_is_made_anew_stops_the_program_and_is_never_silently_read_from_the_old_offset(
    container_broker: RealBroker, topics: Topics, protocol: str
) -> None:
    produce(container_broker.bootstrap, topics.input, comments(400))
    with Program(container_broker.bootstrap, topics, kafka__group_protocol=protocol) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        old = len(read_ledger(container_broker, topics).events)
        container_broker.delete_topic(topics.input)
        container_broker.create_topic(topics.input, 4)
        assert program.process.wait(60) == ExitCode.SOURCE_FAILED
    produce(container_broker.bootstrap, topics.input, comments(40))
    with Program(container_broker.bootstrap, topics, ready=False, kafka__group_protocol=protocol) as program:
        stopped = lambda: program.process.poll() == ExitCode.OFFSET_OUT_OF_RANGE  # noqa: E731
        until(
            lambda: stopped() or all_committed(container_broker, topics),
            60,
            "stopped, or committed to the end",
            program,
            may_end=(ExitCode.OFFSET_OUT_OF_RANGE,),
        )
        if stopped():
            assert "the topic was made anew" in program.log
            return
    events = read_ledger(container_broker, topics).events[old:]
    assert {event["comment_id"] for event in events} >= {f"c{number}" for number in range(40)}


def test_a_new_topic_that_is_longer_than_what_was_read_of_the_old_one_is_noticed_too(
    container_broker: RealBroker, topics: Topics
) -> None:
    """The client's position is a valid offset of the new topic: it reads on there as if nothing had happened."""
    produce(container_broker.bootstrap, topics.input, comments(100), partition=0)
    with Program(container_broker.bootstrap, topics) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        old = len(read_ledger(container_broker, topics).events)
        program.process.send_signal(signal.SIGSTOP)
        container_broker.delete_topic(topics.input)
        container_broker.create_topic(topics.input, 4)
        produce(container_broker.bootstrap, topics.input, comments(300), partition=0)
        program.process.send_signal(signal.SIGCONT)
        assert program.process.wait(60) == ExitCode.SOURCE_FAILED
        assert "was deleted and made anew" in program.log
    with Program(container_broker.bootstrap, topics) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        assert program.stop() == ExitCode.DRAINED
    events = read_ledger(container_broker, topics).events[old:]
    assert {event["comment_id"] for event in events} >= {f"c{number}" for number in range(300)}


def test_a_topic_that_is_gone_stops_the_program(container_broker: RealBroker, topics: Topics) -> None:
    produce(container_broker.bootstrap, topics.input, comments(40))
    with Program(container_broker.bootstrap, topics) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        container_broker.delete_topic(topics.input)
        assert program.process.wait(90) == ExitCode.SOURCE_FAILED
        assert "was deleted while it was read" in program.log or "create the topic" in program.log
