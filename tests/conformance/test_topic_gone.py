"""The input topic is deleted, or deleted and made anew, under a program that reads it."""

from __future__ import annotations

import signal

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import all_committed, read_ledger
from tests.conformance.program import Program, until
from tests.conformance.test_delivery import comment, comments
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
def test_a_topic_that_is_made_anew_stops_every_start_until_the_offsets_are_set_anew(
    container_broker: RealBroker, topics: Topics, protocol: str
) -> None:
    """The brokers keep the group's offsets, which lie somewhere in the new log."""
    produce(container_broker.bootstrap, topics.input, comments(400))
    with Program(container_broker.bootstrap, topics, kafka__group_protocol=protocol) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        container_broker.delete_topic(topics.input)
        container_broker.create_topic(topics.input, 4)
        assert program.process.wait(60) == ExitCode.SOURCE_FAILED
    produce(container_broker.bootstrap, topics.input, later(900))  # longer than the old one was
    for _ in range(2):
        with Program(container_broker.bootstrap, topics, ready=False, kafka__group_protocol=protocol) as program:
            assert program.process.wait(60) == ExitCode.SOURCE_FAILED
            assert "since the group committed its offsets" in program.log
            assert "--reset-offsets --to-earliest --execute" in program.log
    reset_to_the_beginning(container_broker, topics)
    with Program(container_broker.bootstrap, topics, kafka__group_protocol=protocol) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        assert program.stop() == ExitCode.DRAINED
    assert labeled(container_broker, topics) >= {f"c{1000 + number}" for number in range(900)}


def later(count: int) -> list[bytes]:
    """Comments with ids of their own."""
    return [comment(1000 + number) for number in range(count)]


def labeled(broker: RealBroker, topics: Topics) -> set[str]:
    return {event["comment_id"] for event in read_ledger(broker, topics).events}


def reset_to_the_beginning(broker: RealBroker, topics: Topics) -> None:
    """As the command in the message does."""
    beginning = [TopicPartition(topics.input, number, 0) for number in range(4)]
    asked = broker.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(topics.group, beginning)])
    for answer in asked.values():
        answer.result(30)


def test_a_new_topic_that_is_longer_than_what_was_read_of_the_old_one_is_noticed_too(
    container_broker: RealBroker, topics: Topics
) -> None:
    """The client's position is a valid offset of the new topic: it reads on there as if nothing had happened."""
    produce(container_broker.bootstrap, topics.input, comments(100), partition=0)
    with Program(container_broker.bootstrap, topics) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        program.process.send_signal(signal.SIGSTOP)
        container_broker.delete_topic(topics.input)
        container_broker.create_topic(topics.input, 4)
        produce(container_broker.bootstrap, topics.input, later(300), partition=0)
        program.process.send_signal(signal.SIGCONT)
        assert program.process.wait(60) == ExitCode.SOURCE_FAILED
        assert "was deleted and made anew" in program.log
    with Program(container_broker.bootstrap, topics) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        assert program.stop() == ExitCode.DRAINED
    assert labeled(container_broker, topics) >= {f"c{1000 + number}" for number in range(300)}


def test_a_topic_that_is_gone_stops_the_program(container_broker: RealBroker, topics: Topics) -> None:
    produce(container_broker.bootstrap, topics.input, comments(40))
    with Program(container_broker.bootstrap, topics) as program:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", program)
        container_broker.delete_topic(topics.input)
        assert program.process.wait(90) == ExitCode.SOURCE_FAILED
        assert "was deleted while it was read" in program.log or "create the topic" in program.log
