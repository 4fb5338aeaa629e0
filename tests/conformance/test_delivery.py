"""The whole program against a broker: comments in, labels out, offsets only after. One suite, two brokers.

Every process here is the real program; only its model may be slowed down, and some kill themselves at a failpoint.
"""

from __future__ import annotations

import itertools
import json

import pytest

from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import Ledger, all_committed, outputs_so_far, read_ledger
from tests.conformance.program import Program, until
from tests.support.brokers import Broker, MockBroker
from tests.support.traffic import Topics, committed, feeding, produce, produce_with_raw_header, read_all

PROTOCOLS = ("classic", "consumer")
IN_FLIGHT = 64
# The mock cluster sits out the session timeout at each rebalance of a classic group.
SHORT_SESSION = json.dumps({"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"})

# The poison each trap is made of, and what must become of it.
MALFORMED = (
    b"not json",
    b"\xff\xfe\x00",
    b'{"id": "1", "text": "a"},{"id": "2", "text": "b"}',
    b'{"id": "1", "text": "\\ud800"}',
    b'{"id": "1", "text": "x", "metadata": {"a": NaN}}',
    b"[" * 100_000,
    b'{"id": "1"}',
    b'{"id": "1", "text": 5}',
    b"[]",
    b"",
    b'{"id": "1", "text": "' + b"a" * 1_000_000 + b'"}',
)


def comment(number: int, text: str = "") -> bytes:
    return json.dumps({"id": f"c{number}", "text": text or f"加油{number}", "author": "someone"}).encode()


def comments(count: int) -> list[bytes]:
    return [comment(number) for number in range(count)]


def settled(broker: Broker, topics: Topics, *programs: Program, seconds: float = 60.0) -> Ledger:
    """Wait until everything is committed, and read what came out."""
    until(lambda: all_committed(broker, topics), seconds, "committed to the end", *programs)
    return read_ledger(broker, topics)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_comments_are_labeled_published_and_committed_and_a_clean_stop_doubles_nothing(
    broker: Broker, topics: Topics, protocol: str
) -> None:
    produce(broker.bootstrap, topics.input, comments(500))
    with Program(broker.bootstrap, topics, kafka__group_protocol=protocol) as first:
        until(lambda: outputs_so_far(broker, topics) >= 100, 30, "at work", first)
        produce(broker.bootstrap, topics.input, comments(500))
        assert first.stop() == ExitCode.DRAINED
    with Program(broker.bootstrap, topics, kafka__group_protocol=protocol) as second:
        ledger = settled(broker, topics, second)
        assert second.stop() == ExitCode.DRAINED
    assert (ledger.inputs, len(ledger.labeled), ledger.missing, ledger.duplicates) == (1000, 1000, 0, 0)
    event = ledger.events[0]
    assert {label["label"] for label in event["labels"]} == {"Cheer", "Game", "Broadcast", "Chat"}
    assert all(0 <= label["score"] <= 1 for label in event["labels"])
    assert event["model"]["digest"]
    assert "text" not in event


def test_the_order_of_a_key_is_kept_and_the_key_is_passed_on(broker: Broker, topics: Topics) -> None:
    keys = [b"alice", b"bob", b"carol"]
    values: dict[bytes, list[bytes]] = {key: [] for key in keys}
    for number in range(300):
        text = "" if number % 7 == 0 else f"{'好球' * (number % 11 + 1)}{number}"  # skipped ones stand in line too
        values[keys[number % 3]].append(json.dumps({"id": f"c{number}", "text": text}).encode())
    for key in keys:
        produce(broker.bootstrap, topics.input, values[key], key=key)
    with Program(broker.bootstrap, topics, batch__max_comments=16) as program:
        ledger = settled(broker, topics, program)
        assert program.stop() == ExitCode.DRAINED
    assert ledger.duplicates == ledger.missing == 0
    assert len(ledger.skipped) == 300 // 7 + 1
    for key in keys:
        offsets = [offset for found, offset in ledger.keys if found == key]
        assert offsets == sorted(offsets)
        assert len(offsets) == 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_second_member_joining_and_leaving_under_load_loses_and_doubles_nothing(
    broker: Broker, topics: Topics, protocol: str
) -> None:
    """A revoke while the model is busy: what runs is published and stored before the partition moves."""
    settings = {"kafka__group_protocol": protocol, "flow__max_records": IN_FLIGHT, "batch__max_comments": 8}
    if protocol == "classic":
        settings["kafka__extra"] = SHORT_SESSION
    many = map(comment, itertools.count())
    with Program(broker.bootstrap, topics, model_seconds=0.05, **settings) as first:
        with feeding(broker.bootstrap, topics.input, many):
            until(lambda: outputs_so_far(broker, topics) >= 50, 30, "at work", first)
            with Program(broker.bootstrap, topics, model_seconds=0.05, **settings) as second:
                until(lambda: published(second) > 50, 60, "sharing", first, second)
                assert second.stop() == ExitCode.DRAINED
        ledger = settled(broker, topics, first)
        assert first.stop() == ExitCode.DRAINED
    assert ledger.inputs > 100
    assert (ledger.missing, ledger.duplicates) == (0, 0)


def published(program: Program) -> float:
    return program.metric("comment_consumer_published_records_total")


@pytest.mark.parametrize("failpoint", ["after-produce:100", "after-ack:100", "after-store:3"])
def test_a_process_killed_at_a_failpoint_loses_nothing_and_doubles_at_most_what_was_in_flight(
    broker: Broker, topics: Topics, failpoint: str
) -> None:
    settings = {"flow__max_records": IN_FLIGHT, "batch__max_comments": 16, "kafka__extra": SHORT_SESSION}
    produce(broker.bootstrap, topics.input, comments(400))
    with Program(broker.bootstrap, topics, failpoint=failpoint, ready=False, **settings) as doomed:
        assert doomed.process.wait(60) == -9
    before = committed(broker.bootstrap, topics.group, topics.input, 4)
    seen = read_ledger(broker, topics)
    for partition, offset in before.items():
        below = {where for where in seen.answered if where[0] == partition and where[1] < offset}
        assert len(below) == max(0, offset), "an offset was committed whose output is not there"
    with Program(broker.bootstrap, topics, **settings) as next_one:
        ledger = settled(broker, topics, next_one)
        assert next_one.stop() == ExitCode.DRAINED
    assert (ledger.inputs, ledger.missing) == (400, 0)
    # What was in flight, and what auto-commit had not yet sent: with this failpoint nothing had been.
    assert ledger.duplicates <= len(seen.answered)
    if failpoint.startswith("after-produce"):
        assert ledger.duplicates > 0


def test_partitions_paused_under_load_come_back_after_a_rebalance(broker: Broker, topics: Topics) -> None:
    """A tiny in-flight limit keeps the input paused most of the time, also while partitions move."""
    settings = {"flow__max_records": 4, "batch__max_comments": 4, "model_seconds": 1.2}
    settings["kafka__group_protocol"] = "consumer"  # rebalances in moments on both brokers
    with Program(broker.bootstrap, topics, **settings) as first:
        with feeding(broker.bootstrap, topics.input, map(comment, itertools.count()), per_second=5):
            until(lambda: first.metric("comment_consumer_pauses_total") > 0, 30, "pausing", first)
            with Program(broker.bootstrap, topics, **settings) as second:
                until(lambda: published(second) >= 4, 60, "sharing", first, second)
                assert second.stop() == ExitCode.DRAINED
        ledger = settled(broker, topics, first)
        assert first.stop() == ExitCode.DRAINED
    assert ledger.inputs > 20
    assert (ledger.missing, ledger.duplicates) == (0, 0)


def test_malformed_records_become_dead_letters_byte_for_byte_and_the_rest_is_labeled(
    broker: Broker, topics: Topics
) -> None:
    headers = [("one", b"\x00\xff"), ("two", None), ("one", b"again"), ("two", b"")]
    for bad in MALFORMED:
        produce(broker.bootstrap, topics.input, [bad], key=b"k\x00\xff", partition=0, headers=headers)
        produce(broker.bootstrap, topics.input, [comment(1)], key=b"k", partition=0)
    produce_with_raw_header(broker.bootstrap, topics.input, b"bad and its header too", b"\xff\xfe")
    produce_with_raw_header(broker.bootstrap, topics.input, comment(2), b"\xff\xfe")
    produce(broker.bootstrap, topics.input, [None], key=b"deleted", partition=1)
    with Program(broker.bootstrap, topics) as program:
        ledger = settled(broker, topics, program)
        assert program.stop() == ExitCode.DRAINED
        assert "not json" not in program.log
        assert "someone" not in program.log
    assert len(ledger.dead) == len(MALFORMED) + 1
    assert len(ledger.labeled) == len(MALFORMED) + 1
    letters = read_all(broker.bootstrap, topics.dead_letters)
    for bad, letter in zip(MALFORMED, letters, strict=False):
        found = letter.headers() or []
        if len(bad) < 900_000:
            assert letter.value() == bad or (bad == b"" and not letter.value())
            assert found[: len(headers)] == headers
        else:  # near the topic's limit: a stub
            assert len(letter.value() or b"") < 10_000
            assert dict(found)["dlq.left_out"]
        assert letter.key() == b"k\x00\xff"
        assert dict(found)["dlq.stage"] == b"decode"
    assert letters[-1].value() == b"bad and its header too"
    assert b"headers" in (dict(letters[-1].headers() or [])["dlq.left_out"] or b"")
    tombstones = [m.key() for m in read_all(broker.bootstrap, topics.output) if m.value() is None]
    assert tombstones == [b"deleted"]


@pytest.mark.broker
def test_a_refused_dead_letter_stops_the_program_and_leaves_the_offset(mock_broker: MockBroker) -> None:
    topics = Topics("in", "out", "dead", "group")
    for name in (topics.input, topics.output, topics.dead_letters):
        mock_broker.create_topic(name, 1)
    produce(mock_broker.bootstrap, topics.input, [comment(1), comment(2)])
    with Program(mock_broker.bootstrap, topics) as program:
        until(lambda: committed(mock_broker.bootstrap, "group", "in", 1)[0] == 2, 30, "committed", program)
        mock_broker.embedded.push_errors("Produce", [29] * 20)  # TOPIC_AUTHORIZATION_FAILED
        produce_past_errors(mock_broker, topics.input)
        assert program.process.wait(30) == ExitCode.OUTPUT_REFUSED
        assert "kafka-acls" in program.log
    assert committed(mock_broker.bootstrap, "group", "in", 1)[0] == 2


def produce_past_errors(broker: MockBroker, topic: str) -> None:
    """The mock answers every producer with the pushed errors, this one's too: insist."""
    from confluent_kafka import KafkaException

    for attempt in itertools.count():
        try:
            produce(broker.bootstrap, topic, [b"bad record"])
            broker.embedded.push_errors("Produce", [29] * 20)
            return
        except (AssertionError, KafkaException):
            assert attempt < 40


@pytest.mark.container
def test_a_dead_letter_topic_that_is_gone_stops_the_program_and_leaves_the_offset(container_broker: Broker) -> None:
    topics = Topics("gone-in", "gone-out", "gone-dead", "gone-group")
    for name, partitions in ((topics.input, 4), (topics.output, 2), (topics.dead_letters, 1)):
        container_broker.create_topic(name, partitions)
    with Program(
        container_broker.bootstrap, topics, kafka__extra=json.dumps({"topic.metadata.refresh.interval.ms": "1000"})
    ) as program:
        container_broker.delete_topic(topics.dead_letters)  # type: ignore[attr-defined]
        produce(container_broker.bootstrap, topics.input, [comment(1), b"bad", comment(2)], partition=0)
        assert program.process.wait(90) == ExitCode.OUTPUT_REFUSED
        assert "create the topic" in program.log
    assert committed(container_broker.bootstrap, topics.group, topics.input, 4)[0] <= 1


def test_a_broker_that_is_away_for_a_minute_is_waited_for(broker: Broker, topics: Topics) -> None:
    import time

    seconds = 60 if broker.kind == "real" else 15  # the client's side of it is the same, and seen in less
    produce(broker.bootstrap, topics.input, comments(200))
    with Program(broker.bootstrap, topics, batch__max_comments=8, model_seconds=0.02) as program:
        until(lambda: outputs_so_far(broker, topics) >= 40, 30, "at work", program)
        broker.cut()
        away = time.monotonic() + seconds
        try:
            until(lambda: time.monotonic() > away, seconds + 5, "over", program)
            assert program.get("/livez")[0] == 200
        finally:
            broker.heal()
        produce(broker.bootstrap, topics.input, comments(100))
        ledger = settled(broker, topics, program, seconds=90)
        assert program.stop() == ExitCode.DRAINED
    assert (ledger.inputs, ledger.missing) == (300, 0)
    assert ledger.duplicates <= 200  # an outage longer than the session throws the member out


def test_sigterm_is_obeyed_within_the_deadline_when_the_broker_is_gone(mock_broker: MockBroker) -> None:
    import time

    topics = Topics("in", "out", "dead", "group")
    for name in (topics.input, topics.output, topics.dead_letters):
        mock_broker.create_topic(name, 1)
    produce(mock_broker.bootstrap, topics.input, comments(50))
    with Program(
        mock_broker.bootstrap, topics, delivery__drain_timeout=6, delivery__revoke_timeout=2, model_seconds=0.05
    ) as program:
        until(lambda: program.metric("comment_consumer_published_records_total") > 0, 30, "at work", program)
        mock_broker.cut()
        began = time.monotonic()
        code = program.stop()
        assert code in (ExitCode.DRAINED, ExitCode.DEADLINE_PASSED)
        assert time.monotonic() - began < 8
