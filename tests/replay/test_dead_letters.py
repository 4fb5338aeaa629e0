"""Dead letters back to the input, by the real command on the mock cluster and a real broker."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from consumer.delivery.records import Message
from consumer.events.sent_back import read_sent_back
from tests.replay.letters import BREAKING, MALFORMED, ODD, put, record, stub, write
from tests.replay.running import dead_letters, ledger_of, parts, run
from tests.support.brokers import Broker
from tests.support.traffic import Topics, committed, end_offsets, produce, read_all, unique_topics


@pytest.fixture
def ledger(broker: Broker, topics: Topics) -> str:
    broker.create_topic(ledger_of(topics), 1, cleanup_policy="compact")
    return ledger_of(topics)


def mixed(topics: Topics) -> list[Message]:
    """Twelve letters: two error types, four partitions."""
    return [
        write(record(topics.input, n % 4, n, value=b"v%d" % n), MALFORMED if n % 3 else BREAKING) for n in range(12)
    ]


def values(broker: Broker, topics: Topics) -> list[bytes | None]:
    return [message.value() for message in read_all(broker.bootstrap, topics.input)]


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(broker: Broker, topics: Topics, ledger: str) -> None:
    put(broker.bootstrap, topics.dead_letters, mixed(topics))
    before = {topic: end_offsets(broker.bootstrap, topic, n) for topic, n in ((topics.input, 4), (ledger, 1))}
    result = dead_letters(broker, topics, "--stage", "model")
    assert result.code == 0, result.err
    assert (result.said["dry_run"], result.said["would_send"], result.said["letters"]) == (True, 4, 12)
    assert result.said["left_alone"] == {"filtered_out": 8}
    assert [(by["error_type"], by["partition"], by["records"]) for by in result.said["by"]] == [
        ("RuntimeError", number, 1) for number in range(4)
    ]
    assert before == {topic: end_offsets(broker.bootstrap, topic, n) for topic, n in ((topics.input, 4), (ledger, 1))}
    for group in (topics.group, f"{topics.group}-replay"):
        assert set(committed(broker.bootstrap, group, topics.dead_letters, 1).values()) == {-1001}


def test_records_come_back_byte_for_byte_to_their_partition(broker: Broker, topics: Topics, ledger: str) -> None:
    originals = [
        record(topics.input, n, 10 + n, value=value, key=key, headers=headers)
        for n, (value, key, headers) in enumerate(
            [(b"\xff\x00{", b"\x00", ODD), (b"", b"", ()), (None, None, (("h", None),)), (b"{}", None, (("h", b""),))]
        )
    ]
    put(broker.bootstrap, topics.dead_letters, map(write, originals))
    result = dead_letters(broker, topics, "--go")
    assert (result.code, result.said["sent"]) == (0, 4), result.err
    came = {message.partition(): message for message in read_all(broker.bootstrap, topics.input)}
    for original in originals:
        number = original.partition.number
        ours = [("dlq.origin", b"%s/%d/%d" % (topics.input.encode(), number, original.offset)), ("dlq.attempt", b"1")]
        assert parts(came[number]) == (original.key, original.value, [*(original.headers or ()), *ours])


def test_each_filter_takes_its_own_and_leaves_the_others_for_later(broker: Broker, topics: Topics, ledger: str) -> None:
    put(broker.bootstrap, topics.dead_letters, mixed(topics), [1000 * (n + 1) for n in range(12)])
    sent: list[int] = []
    for filters, expected in (
        (("--partition", "1", "--error-type", "invalid_json"), {1, 5}),
        (("--error-type", "RuntimeError"), {0, 3, 6, 9}),
        (("--since", "1970-01-01T00:00:02Z", "--until", "1970-01-01T00:00:05+00:00"), {2}),  # 1 and 3 went before
        (("--stage", "model"), set()),
        (("--stage", "decode", "--stage", "publish"), {4, 7, 8, 10, 11}),
        ((), set()),
    ):
        result = dead_letters(broker, topics, "--go", *filters)
        assert (result.code, result.said.get("sent")) == (0, len(expected)), (filters, result)
        now = sorted(int((value or b"")[1:]) for value in values(broker, topics))
        assert now == sorted([*sent, *expected])
        sent = now
    assert result.said["left_alone"] == {"sent_before": 12}


def test_a_letter_that_was_written_twice_is_sent_once(broker: Broker, topics: Topics, ledger: str) -> None:
    twice = [write(record(topics.input, 0, 5)), write(record(topics.input, 0, 5), BREAKING)]
    put(broker.bootstrap, topics.dead_letters, twice)
    assert dead_letters(broker, topics, "--go").said["sent"] == 1
    put(broker.bootstrap, topics.dead_letters, twice)
    result = dead_letters(broker, topics, "--go")
    assert (result.said["sent"], result.said["left_alone"]) == (0, {"sent_before": 4})
    assert len(values(broker, topics)) == 1


def test_what_cannot_go_back_is_said_and_left_alone(broker: Broker, topics: Topics, ledger: str) -> None:
    often = record(topics.input, 0, 1, headers=(("dlq.attempt", b"2"),))
    put(
        broker.bootstrap,
        topics.dead_letters,
        [
            write(record(topics.input, 0, 0, value=b"good")),
            write(often),
            write(record("elsewhere", 0, 2)),
            write(record(topics.input, 0, 3), run_id="again"),
            stub(record(topics.input, 0, 4)),
            write(record(topics.input, 0, 5))._replace(headers=(("mine", b"1"),)),
        ],
    )
    result = dead_letters(broker, topics, "--go")
    assert (result.code, result.said["sent"]) == (1, 1)
    assert result.said["impossible"] == {"not_whole": 1}
    assert result.said["left_alone"] == dict.fromkeys(
        ("too_many_attempts", "of_another_topic", "of_a_relabelling", "not_a_dead_letter"), 1
    )
    assert values(broker, topics) == [b"good"]
    more = dead_letters(broker, topics, "--go", "--max-attempts", "4")
    assert more.said["sent"] == 1
    sent_back = [read_sent_back(tuple(m.headers() or ())) for m in read_all(broker.bootstrap, topics.input)]
    assert Counter(each.attempts for each in sent_back if each) == {1: 1, 3: 1}


def test_stubs_are_fetched_from_the_input_if_it_has_the_very_record(
    broker: Broker, topics: Topics, ledger: str
) -> None:
    produce(broker.bootstrap, topics.input, [b"a" * 5000, b"b" * 5000, b"c"], key=b"k", partition=1, headers=ODD)
    (first, second, third) = read_all(broker.bootstrap, topics.input)

    def source(message, **changes):
        headers = tuple(message.headers())
        return record(
            topics.input, 1, message.offset(), value=message.value(), key=b"k", headers=headers,
            timestamp_ms=message.timestamp()[1],
        )._replace(**changes)  # fmt: skip

    put(
        broker.bootstrap,
        topics.dead_letters,
        [
            write(source(first), max_message_bytes=2000),
            write(source(second), coordinates_only=True),
            stub(source(third, value=b"d")),  # another record stands there now
            stub(source(third, offset=99)),
            write(source(third, headers=None)),
        ],
    )
    dry = dead_letters(broker, topics, "--fetch-stubs")
    assert (dry.code, dry.said["would_send"], dry.said["of_these_fetched_again"]) == (0, 3, 3), dry
    result = dead_letters(broker, topics, "--go", "--fetch-stubs")
    assert (result.code, result.said["sent"]) == (1, 3)
    assert result.said["impossible"] == {"no_longer_in_the_input": 1, "not_the_record_that_failed": 1}
    came = read_all(broker.bootstrap, topics.input)[3:]
    assert [m.value() for m in came] == [b"a" * 5000, b"b" * 5000, b"c"]
    assert all(list(m.headers() or [])[: len(ODD)] == list(ODD) for m in came)


@pytest.mark.parametrize("value", ["yesterday", "2026-01-31", "2026-01-31T12:00:00"])
def test_a_time_needs_its_zone(value: str) -> None:
    result = run(["replay", "dead-letters", "--kafka.bootstrap-servers", "localhost:1", "--since", value])
    assert result.code == 2
    assert "2026-01-31T18:00:00Z" in result.err


def test_missing_topics_are_told_with_their_remedy(broker: Broker, topics: Topics) -> None:
    put(broker.bootstrap, topics.dead_letters, mixed(topics))
    dry = dead_letters(broker, topics)
    assert (dry.code, dry.said["would_send"]) == (0, 12), dry.err
    assert f"there is no topic {ledger_of(topics)} yet" in dry.err
    result = dead_letters(broker, topics, "--go")
    assert result.code == 2
    assert f"kafka-topics --create --topic {ledger_of(topics)} " in result.err
    assert values(broker, topics) == []
    nowhere = Topics(topics.input, topics.output, "not-there", topics.group)
    result = dead_letters(broker, nowhere)
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "kafka.dead_letter_topic=not-there: UNKNOWN_TOPIC_OR_PART" in result.err


@pytest.mark.container
def test_one_record_too_large_for_the_topic_does_not_hold_up_the_others(container_broker: Broker) -> None:
    topics = unique_topics()
    container_broker.create_topic(topics.input, 2, max_message_bytes="20000")
    container_broker.create_topic(topics.dead_letters, 1)
    container_broker.create_topic(ledger_of(topics), 1, cleanup_policy="compact")
    large = random.Random(1).randbytes(50_000)  # no compression makes it smaller
    letters = [write(record(topics.input, n % 2, n, value=b"%d" % n if n != 4 else large)) for n in range(9)]
    put(container_broker.bootstrap, topics.dead_letters, letters)
    result = dead_letters(container_broker, topics, "--go")
    assert (result.code, result.said["sent"]) == (1, 8), result
    assert result.said["impossible"] == {"refused_by_the_topic": 1}
    assert sorted(values(container_broker, topics)) == sorted(b"%d" % n for n in range(9) if n != 4)
    markers = [json.loads(m.value() or b"") for m in read_all(container_broker.bootstrap, ledger_of(topics))]
    assert len(markers) == 8


@pytest.mark.container
def test_a_ledger_that_would_forget_is_refused(container_broker: Broker) -> None:
    topics = unique_topics()
    for name in (topics.input, topics.dead_letters, ledger_of(topics)):
        container_broker.create_topic(name, 1)
    put(container_broker.bootstrap, topics.dead_letters, [write(record(topics.input))])
    result = dead_letters(container_broker, topics, "--go")
    assert (result.code, len(result.err.splitlines())) == (2, 1), result
    assert f"kafka-configs --alter --topic {ledger_of(topics)} --add-config cleanup.policy=compact" in result.err
    assert values(container_broker, topics) == []
    kept = f"{topics.dead_letters}-kept"
    container_broker.create_topic(kept, 1, retention_ms="-1")
    assert dead_letters(container_broker, topics, "--go", "--ledger-topic", kept).said["sent"] == 1
