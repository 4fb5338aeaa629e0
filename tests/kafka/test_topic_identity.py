"""A topic that goes away, or comes back as another one, under a program that reads it."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from consumer.delivery.errors import SourceFailed
from consumer.kafka.topic_identity import ASK_AGAIN, ASK_EVERY, GONE_AFTER, MadeAnew, TopicIdentity

UNKNOWN = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)


class Brokers:
    """What they answer, when a test says so."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def describe_topics(self, topics: TopicCollection, *, request_timeout: float) -> dict[str, Future[Any]]:
        self.asked.append(Future())
        return {"comments": self.asked[-1]}

    def answer(self, said: object) -> None:
        if isinstance(said, KafkaError):
            self.asked[-1].set_exception(KafkaException(said))
        else:
            self.asked[-1].set_result(SimpleNamespace(topic_id=said))


class Stand:
    def __init__(self) -> None:
        self.now = 0.0
        self.brokers = Brokers()
        self.identity = TopicIdentity(self.brokers, "comments", lambda: self.now)

    def ask(self, said: object, *, after: float = ASK_EVERY) -> None:
        """Let time pass, have it ask, answer, and have it judge."""
        self.now += after
        before = len(self.brokers.asked)
        self.identity.tick()
        assert len(self.brokers.asked) == before + 1, "it did not ask"
        self.brokers.answer(said)
        self.identity.tick()


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_topic_that_stays_what_it_was_is_asked_for_now_and_then(stand: Stand) -> None:
    for _ in range(5):
        stand.ask("one")
    stand.now += ASK_EVERY / 2
    stand.identity.tick()
    assert len(stand.brokers.asked) == 5


def test_it_never_waits_for_an_answer_and_asks_one_question_at_a_time(stand: Stand) -> None:
    for _ in range(50):
        stand.now += ASK_EVERY
        stand.identity.tick()
    assert len(stand.brokers.asked) == 1


def test_another_topic_of_the_same_name_stops_the_program(stand: Stand) -> None:
    stand.ask("one")
    with pytest.raises(MadeAnew, match="comments was deleted and made anew") as stopped:
        stand.ask("two")
    assert stopped.value.topic_id == "two"


def test_at_the_start_it_is_asked_for_and_waited_for(stand: Stand) -> None:
    class AtOnce(Brokers):
        def describe_topics(self, topics: TopicCollection, *, request_timeout: float) -> dict[str, Future[Any]]:
            asked = super().describe_topics(topics, request_timeout=request_timeout)
            asked["comments"].set_result(SimpleNamespace(topic_id="one", partitions=[SimpleNamespace(id=0)]))
            return asked

    identity = TopicIdentity(AtOnce(), "comments", lambda: 0.0)
    assert identity.establish() == ("one", [0])


def test_brokers_that_do_not_tell_are_not_waited_for_for_ever(stand: Stand) -> None:
    assert stand.identity.establish(patience=-1.0) is None


def test_a_topic_that_is_gone_stops_the_program_once_that_is_certain(stand: Stand) -> None:
    stand.ask("one")
    stand.ask(UNKNOWN)
    for _ in range(GONE_AFTER - 2):
        stand.ask(UNKNOWN, after=ASK_AGAIN)
    with pytest.raises(SourceFailed, match="comments was deleted while it was read"):
        stand.ask(UNKNOWN, after=ASK_AGAIN)


def test_brokers_that_do_not_know_it_for_a_moment_stop_nothing(stand: Stand) -> None:
    for _ in range(10):
        stand.ask("one")
        for _ in range(GONE_AFTER - 1):
            stand.ask(UNKNOWN)


@pytest.mark.parametrize(
    "silence", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED]
)
def test_silence_and_refusals_are_no_news(stand: Stand, silence: int) -> None:
    stand.ask("one")
    for _ in range(10):
        stand.ask(KafkaError(silence))
    with pytest.raises(MadeAnew):
        stand.ask("two")
