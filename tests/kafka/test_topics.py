"""Before the group is joined: are the topics there, and what if nobody answers or the login is wrong."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient

from consumer.kafka import topics as topics_room
from consumer.kafka.settings import Connection
from consumer.kafka.topics import TopicsUnusable, check_topics
from tests.support.brokers import Broker, MockBroker
from tests.support.traffic import Topics, unique_topics

pytestmark = pytest.mark.broker


def named(topics: Topics) -> dict[str, str]:
    return {
        "kafka.input_topic": topics.input,
        "kafka.output_topic": topics.output,
        "kafka.dead_letter_topic": topics.dead_letters,
    }


def never() -> bool:
    return False


def no_waiting(seconds: float) -> None:
    raise AssertionError("a broker answers, so there is nothing to wait for")


def test_topics_that_are_there_are_no_news(broker: Broker, topics: Topics) -> None:
    check_topics(Connection(broker.bootstrap), named(topics), never, no_waiting)


def test_every_missing_topic_is_named_with_its_setting(broker: Broker) -> None:
    topics = unique_topics()
    broker.create_topic(topics.output, 1)
    with pytest.raises(TopicsUnusable) as unusable:
        check_topics(Connection(broker.bootstrap), named(topics), never, no_waiting)
    first, second = unusable.value.lines
    assert first.startswith(f"kafka.input_topic={topics.input}: UNKNOWN_TOPIC_OR_PART")
    assert second.startswith(f"kafka.dead_letter_topic={topics.dead_letters}: UNKNOWN_TOPIC_OR_PART")
    for line in unusable.value.lines:
        assert "create the topic, or correct its name" in line
        assert "\n" not in line
    assert str(unusable.value) == f"{first}; {second}"


def test_asking_for_a_topic_does_not_make_it(broker: Broker) -> None:
    """The mock cluster makes every topic that is asked for, unless the question says not to."""
    topics = unique_topics()
    for _ in range(2):
        with pytest.raises(TopicsUnusable):
            check_topics(Connection(broker.bootstrap), named(topics), never, no_waiting)
    known = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics
    assert not {topics.input, topics.output, topics.dead_letters} & known.keys()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics_room, "ASK_TIMEOUT", 0.5)


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_away_is_waited_for(mock_broker: MockBroker) -> None:
    topics = unique_topics()
    for name in (topics.input, topics.output, topics.dead_letters):
        mock_broker.create_topic(name, 1)
    mock_broker.cut()
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            mock_broker.heal()

    options = {"reconnect.backoff.max.ms": "100"}
    check_topics(Connection(mock_broker.bootstrap, options=options), named(topics), never, sleep)
    assert len(pauses) >= 3
    assert pauses[:3] == sorted(pauses[:3])
    assert all(0 < seconds <= 5 for seconds in pauses)


@pytest.mark.usefixtures("impatient")
def test_a_topic_is_still_missed_when_its_broker_comes_back(mock_broker: MockBroker) -> None:
    mock_broker.cut()
    options = {"reconnect.backoff.max.ms": "100"}
    with pytest.raises(TopicsUnusable, match=r"kafka\.input_topic"):
        check_topics(
            Connection(mock_broker.bootstrap, options=options),
            named(unique_topics()),
            never,
            lambda seconds: mock_broker.heal(),
        )


@pytest.mark.usefixtures("impatient")
def test_giving_up_ends_the_wait(mock_broker: MockBroker) -> None:
    mock_broker.cut()
    pauses: list[float] = []
    check_topics(
        Connection(mock_broker.bootstrap), {"kafka.input_topic": "in"}, lambda: len(pauses) >= 2, pauses.append
    )
    assert len(pauses) == 2


@pytest.mark.usefixtures("impatient")
def test_an_address_that_does_not_resolve_is_waited_for_as_well() -> None:
    """In a cluster that starts, a broker's name may come after its clients."""
    pauses: list[float] = []
    connection = Connection("no-such-broker.invalid:9092")
    check_topics(connection, {"kafka.input_topic": "in"}, lambda: bool(pauses), pauses.append)
    assert len(pauses) == 1


# ---- Logging in ------------------------------------------------------------------------------------------------------


def _string(text: bytes) -> bytes:
    return struct.pack(">h", len(text)) + text


def _api_versions(error: int) -> bytes:
    keys = ((3, 0, 4), (17, 0, 1), (18, 0, 0), (36, 0, 0))
    return struct.pack(">hi", error, len(keys)) + b"".join(struct.pack(">hhh", *key) for key in keys)


ANSWERS: dict[int, Callable[[int], bytes]] = {
    18: lambda version: _api_versions(35 if version else 0),  # only version 0 is spoken here
    17: lambda version: struct.pack(">hi", 0, 1) + _string(b"PLAIN"),
    36: lambda version: struct.pack(">h", 58) + _string(b"no such user") + struct.pack(">i", 0),
}


class Gatekeeper:
    """Speaks just enough of the protocol to turn every login down, as a broker with SASL does."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{1}".format(*self._listening.getsockname())
        self._over = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._over = True
        socket.create_connection(self._listening.getsockname()).close()
        self._threads[0].join()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            connected, _ = self._listening.accept()
            if self._over:
                connected.close()
                return
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with connected, connected.makefile("rwb") as stream:
            while len(head := stream.read(4)) == 4:
                request = stream.read(struct.unpack(">i", head)[0])
                key, version, correlation = struct.unpack(">hhi", request[:8])
                answer = struct.pack(">i", correlation) + ANSWERS[key](version)
                stream.write(struct.pack(">i", len(answer)) + answer)
                stream.flush()
                if key == 36:
                    return


@pytest.fixture
def gatekeeper() -> Iterator[Gatekeeper]:
    keeper = Gatekeeper()
    yield keeper
    keeper.close()


@pytest.mark.usefixtures("impatient")
def test_a_wrong_login_stops_and_is_never_waited_out(gatekeeper: Gatekeeper) -> None:
    security = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "somebody",
        "sasl.password": "s3cret",
    }
    pauses: list[float] = []
    with pytest.raises(TopicsUnusable) as unusable:
        check_topics(
            Connection(gatekeeper.address, security=security),
            {"kafka.input_topic": "in"},
            lambda: len(pauses) > 5,
            pauses.append,
        )
    (line,) = unusable.value.lines
    assert "check the user name" in line
    assert "s3cret" not in line
    assert "somebody" not in line


@pytest.mark.usefixtures("impatient")
def test_a_mechanism_that_the_broker_does_not_know_stops(gatekeeper: Gatekeeper) -> None:
    security = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "somebody",
        "sasl.password": "s3cret",
    }
    ANSWERS[17], known = (lambda version: struct.pack(">hi", 33, 1) + _string(b"PLAIN")), ANSWERS[17]
    pauses: list[float] = []
    try:
        with pytest.raises(TopicsUnusable):
            check_topics(
                Connection(gatekeeper.address, security=security),
                {"kafka.input_topic": "in"},
                lambda: len(pauses) > 5,
                pauses.append,
            )
    finally:
        ANSWERS[17] = known
