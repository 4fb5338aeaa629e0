"""A window of the input labeled again, by the real command: complete, resumable, apart from the live service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conformance.program import ROOT, until
from tests.replay.running import MODEL_FLAGS, command, dead_letters, environment, ledger_of, relabel, run
from tests.support.brokers import Broker
from tests.support.traffic import Topics, committed, end_offsets, read_all, unique_topics

PARTITIONS = 4
Coordinates = tuple[int, int]


@pytest.fixture
def target(broker: Broker, topics: Topics) -> str:
    return new_target(broker, topics)


def new_target(broker: Broker, topics: Topics, suffix: str = "again") -> str:
    broker.create_topic(f"{topics.output}-{suffix}", 2)
    return f"{topics.output}-{suffix}"


def comment(number: int) -> bytes:
    return json.dumps({"id": f"c{number}", "text": f"加油 {number}"}).encode()


def produce_at(broker: Broker, topic: str, values: Iterable[bytes], timestamps: Iterable[int] = ()) -> None:
    """Round robin, with these timestamps (ms) if given."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
    times = iter(timestamps)
    for number, value in enumerate(values):
        producer.produce(topic, value, b"k%d" % number, partition=number % PARTITIONS, timestamp=next(times, 0))
    assert not producer.flush(60)


def events_in(broker: Broker, topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.value() or b"") for message in read_all(broker.bootstrap, topic)]


def keys(events: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """By what a reader tells repeated events."""
    return Counter((event["event_id"], event["run_id"]) for event in events)


def coordinates(broker: Broker, topics: Topics) -> list[str]:
    return [f"{m.topic()}/{m.partition()}/{m.offset()}" for m in read_all(broker.bootstrap, topics.input)]


def set_live_offsets(broker: Broker, topics: Topics) -> dict[int, int]:
    live = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topics.group, "enable.auto.commit": False})
    live.commit(offsets=[TopicPartition(topics.input, n, 3 + n) for n in range(PARTITIONS)], asynchronous=False)
    live.close()
    return {n: 3 + n for n in range(PARTITIONS)}


@pytest.mark.container
def test_a_window_in_the_middle_is_labeled_exactly(container_broker: Broker) -> None:
    topics = unique_topics()
    container_broker.create_topic(topics.input, PARTITIONS)
    container_broker.create_topic(topics.dead_letters, 1)
    target = new_target(container_broker, topics)
    noon = 1_769_860_800_000  # 2026-01-31T12:00:00Z
    produce_at(container_broker, topics.input, map(comment, range(400)), (noon + 1000 * n for n in range(400)))
    live = set_live_offsets(container_broker, topics)
    window = ("--to", target, "--since", "2026-01-31T12:01:40Z", "--until", "2026-01-31T13:05:00+01:00")
    result = relabel(container_broker, topics, *window)
    assert (result.code, result.said["finished"], result.said["labeled"]) == (0, True, 200), result.err
    events = events_in(container_broker, target)
    assert {event["comment_id"] for event in events} == {f"c{n}" for n in range(100, 300)}
    assert set(keys(events).values()) == {1}
    assert {event["run_id"] for event in events} == {result.said["run_id"]}
    assert committed(container_broker.bootstrap, topics.group, topics.input, PARTITIONS) == live
    again = relabel(container_broker, topics, *window)
    assert (again.code, again.said["labeled"], again.said["run_id"]) == (0, 0, result.said["run_id"])
    assert len(events_in(container_broker, target)) == 200
    nothing = relabel(container_broker, topics, "--to", target, "--since", "2027-01-01T00:00:00Z")
    assert (nothing.code, nothing.said["offsets"]) == (0, 0)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_the_same_window(broker: Broker, topics: Topics, target: str) -> None:
    produce_at(broker, topics.input, map(comment, range(2000)))
    window = coordinates(broker, topics)
    live = set_live_offsets(broker, topics)
    arguments = ("--to", target, "--run-id", "r1", "--batch.max-comments", "16", "--flow.max-records", "64")

    def progress() -> int:
        return sum(committed(broker.bootstrap, f"{topics.group}-relabel-r1", topics.input, PARTITIONS).values())

    for kill in (1, 2, 3):
        before = progress()
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.replay.program",
                *command(broker, topics, "relabel", *arguments),
                *MODEL_FLAGS,
            ],
            cwd=ROOT,
            env=environment(TEST_MODEL_SECONDS="0.02"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as killed:
            until(lambda b=before: killed.poll() is not None or progress() > max(0, b) + 300, 90, "at work")
            killed.kill()
        assert killed.returncode == -signal.SIGKILL
        produce_at(broker, topics.input, [comment(10_000 + kill)])  # after the window
    last = relabel(broker, topics, *arguments)
    assert (last.code, last.said["finished"], last.said["offsets"]) == (0, True, 2000), last.err
    assert "going on" in last.err
    assert 0 < last.said["labeled"] < 2000
    found = keys(events_in(broker, target))
    assert set(found) == {(event_id, "r1") for event_id in window}
    assert found.total() - len(found) <= 3 * (64 + 2000 // 4), "more was repeated than was in flight or uncommitted"
    assert committed(broker.bootstrap, topics.group, topics.input, PARTITIONS) == live


def test_a_run_that_is_told_to_stop_doubles_nothing(broker: Broker, topics: Topics, target: str) -> None:
    produce_at(broker, topics.input, map(comment, range(1000)))
    arguments = ("--to", target, "--batch.max-comments", "16", "--flow.max-records", "64")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.replay.program",
         *command(broker, topics, "relabel", "--json", *arguments), *MODEL_FLAGS],
        cwd=ROOT,
        env=environment(TEST_MODEL_SECONDS="0.02"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as stopped:  # fmt: skip
        until(lambda: sum(end_offsets(broker.bootstrap, target, 2).values()) > 100, 90, "at work")
        stopped.send_signal(signal.SIGINT)
        out, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + signal.SIGINT, said
    told = json.loads(out.splitlines()[-1])
    assert (told["finished"], told["labeled"]) == (False, told["offsets_done"])
    last = relabel(broker, topics, *arguments)
    assert (last.code, last.said["labeled"]) == (0, 1000 - told["labeled"]), last.err
    found = keys(events_in(broker, target))
    assert (len(found), found.total()) == (1000, 1000)


def test_what_cannot_be_labeled_is_a_letter_of_the_run_and_never_sent_back(
    broker: Broker, topics: Topics, target: str
) -> None:
    broker.create_topic(ledger_of(topics), 1, cleanup_policy="compact")
    produce_at(broker, topics.input, [comment(1), b"{", comment(2), b"[]"])
    result = relabel(broker, topics, "--to", target, "--run-id", "r2")
    assert (result.code, result.said["labeled"]) == (1, 2), result.err
    assert result.said["dead_letters"] == {"invalid_json": 1, "not_an_object": 1}
    letters = read_all(broker.bootstrap, topics.dead_letters)
    assert [dict(letter.headers() or [])["dlq.run_id"] for letter in letters] == [b"r2", b"r2"]
    back = dead_letters(broker, topics, "--go")
    assert (back.said["sent"], back.said["left_alone"]) == (0, {"of_a_relabelling": 2})


def test_a_run_goes_on_only_with_what_it_was_begun_with(broker: Broker, topics: Topics, target: str) -> None:
    produce_at(broker, topics.input, map(comment, range(8)))
    assert relabel(broker, topics, "--to", target, "--run-id", "r3").code == 0
    for change in (
        ("--policy.default-threshold", "0.9"),
        ("--until", "2030-01-01T00:00:00Z"),
        ("--events.include-text", "true"),
        ("--model.label-names", "A,B,C,D"),
    ):
        result = relabel(broker, topics, "--to", target, "--run-id", "r3", *change)
        assert (result.code, len(result.err.splitlines())) == (2, 1), (change, result)
        assert "that run was begun with another" in result.err
    other = relabel(broker, topics, "--to", target, "--policy.default-threshold", "0.9")
    assert (other.code, other.said["labeled"]) == (0, 8)
    assert len(keys(events_in(broker, target))) == 16


def test_a_topic_that_ends_with_transaction_markers_is_finished(broker: Broker, topics: Topics, target: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topics.group})
    producer.init_transactions(30)
    for number in range(3):
        producer.begin_transaction()
        producer.produce(topics.input, comment(number), partition=number)
        producer.commit_transaction(30)
    result = relabel(broker, topics, "--to", target)
    assert (result.code, result.said["finished"], result.said["labeled"]) == (0, True, 3), result.err
    assert result.said["offsets"] == result.said["offsets_done"] == 6


@pytest.mark.parametrize(
    ("to", "more", "said"),
    [
        ("comments", (), "--to is the input topic"),
        ("comments-dead-letters", (), "--to is the dead-letter topic"),
        ("labeled-comments", (), "--allow-live-output"),
        ("labeled comments", (), "give a topic name"),
        ("again", ("--run-id", "a/b"), "letters, digits"),
        (None, (), "--to is missing"),
    ],
)
def test_a_wrong_target_is_refused_before_anything_is_done(to: str | None, more: tuple[str, ...], said: str) -> None:
    target = () if to is None else ("--to", to)
    result = run(["replay", "relabel", *target, *more, "--kafka.bootstrap-servers", "localhost:1", *MODEL_FLAGS])
    assert result.code == 2
    assert said in result.err


@pytest.mark.parametrize("what", [("dead-letters",), ("relabel", "--to", "again", *MODEL_FLAGS)])
def test_an_option_that_the_client_refuses_is_told_in_one_line(what: tuple[str, ...]) -> None:
    extra = ("--kafka.bootstrap-servers", "localhost:1", "--kafka.extra", '{"no.such.option": 1}')
    result = run(["replay", *what, *extra])
    assert (result.code, len(result.err.splitlines())) == (2, 1), result.err
    assert "no.such.option" in result.err


def test_the_live_output_is_allowed_by_name_and_a_missing_target_is_told(broker: Broker, topics: Topics) -> None:
    produce_at(broker, topics.input, map(comment, range(4)))
    missing = relabel(broker, topics, "--to", "not-there")
    assert (missing.code, len(missing.err.splitlines())) == (2, 1)
    assert "--to=not-there: UNKNOWN_TOPIC_OR_PART" in missing.err
    result = relabel(broker, topics, "--to", topics.output, "--allow-live-output")
    assert (result.code, len(events_in(broker, topics.output))) == (0, 4), result.err
