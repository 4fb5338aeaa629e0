"""After an outage: a backlog of thousands while the stream goes on. The real program, on both brokers."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from consumer.delivery.records import Partition
from consumer.delivery.spans import Span
from consumer.kafka.offset_metadata import spans_in
from consumer.kafka.span_metadata import read_spans
from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import PARTITIONS, Ledger, all_committed, outputs_so_far, read_ledger
from tests.conformance.program import Program, until
from tests.support.brokers import Broker
from tests.support.traffic import Topics, feeding, produce

BACKLOG = 3000
CHUNK = 100
IN_FLIGHT = 64
SHORT_SESSION = json.dumps({"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"})
# The mock cluster cannot look offsets up by time, so here a partition is divided whatever its age.
NEWEST_FIRST: dict[str, object] = {
    "catch_up__order": "newest_first",
    "catch_up__behind": 0,
    "catch_up__chunk": CHUNK,
    "flow__max_records": IN_FLIGHT,
    "batch__max_comments": 16,
    "cache__max_entries": 0,
    "kafka__extra": SHORT_SESSION,
    "model_seconds": 0.02,
}


def comments(prefix: str = "c") -> Iterator[bytes]:
    names = (f"{prefix}{number}" for number in itertools.count())
    return (json.dumps({"id": name, "text": f"加油{name}"}).encode() for name in names)


def have_a_backlog(broker: Broker, topics: Topics) -> None:
    for number in range(PARTITIONS):
        share = itertools.islice(comments(f"{number}-"), BACKLOG // PARTITIONS)
        produce(broker.bootstrap, topics.input, share, partition=number)


def divided_at(program: Program) -> dict[int, int]:
    """Where each partition's backlog ends, as the program's log tells."""
    lines = [json.loads(line) for line in program.log.splitlines() if '"partition divided"' in line]
    assert len(lines) == PARTITIONS
    return {line["partition"]: line["live_from"] for line in lines}


def committed_positions(broker: Broker, topics: Topics) -> dict[int, tuple[int, str]]:
    asking = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topics.group, "enable.auto.commit": False})
    try:
        found = asking.committed([TopicPartition(topics.input, number) for number in range(PARTITIONS)], timeout=30)
        return {p.partition: (p.offset, spans_in(p.metadata) or "") for p in found}
    finally:
        asking.close()


def covered_spans(broker: Broker, topics: Topics) -> dict[int, list[Span]]:
    """What the group's committed offsets say is done."""
    covered = {}
    for number, (offset, metadata) in committed_positions(broker, topics).items():
        above = read_spans(Partition(topics.input, number), offset, metadata)
        covered[number] = [Span(0, max(0, offset)), *above]
    return covered


def within(where: tuple[int, int], covered: dict[int, list[Span]]) -> bool:
    return any(span.start <= where[1] < span.end for span in covered[where[0]])


def caught_up(broker: Broker, topics: Topics, *programs: Program) -> Ledger:
    """Wait until all is committed and nothing stands above it any more, and read what came out."""
    until(lambda: all_committed(broker, topics), 120, "committed to the end", *programs)
    until(
        lambda: not any(metadata for _, metadata in committed_positions(broker, topics).values()),
        20,
        "without metadata again",
        *programs,
    )
    return read_ledger(broker, topics)


def test_the_newest_are_labeled_first_and_everything_once(broker: Broker, topics: Topics) -> None:
    have_a_backlog(broker, topics)
    with Program(broker.bootstrap, topics, **NEWEST_FIRST) as program:
        with feeding(broker.bootstrap, topics.input, comments("live"), per_second=50):
            until(lambda: outputs_so_far(broker, topics) >= BACKLOG, 90, "through the backlog", program)
            ends = divided_at(program)
        ledger = caught_up(broker, topics, program)
        assert program.stop() == ExitCode.DRAINED
    assert ledger.inputs > BACKLOG
    assert (len(ledger.labeled), ledger.missing, ledger.duplicates) == (ledger.inputs, 0, 0)

    chunks: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    live: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for event in ledger.events:
        number, offset = event["source"]["partition"], event["source"]["offset"]
        if offset >= ends[number]:
            live[number].append((offset, event["classified_at"]))
        else:
            chunks[number][(ends[number] - 1 - offset) // CHUNK].append(event["classified_at"])
    for number, by_age in chunks.items():
        in_order = [by_age[age] for age in sorted(by_age)]
        assert len(in_order) >= 3
        assert all(max(newer) <= min(older) for newer, older in itertools.pairwise(in_order)), "not the newest first"
        # Comments of the stream did not wait for the backlog.
        assert [at for _, at in sorted(live[number])[:5]] < [min(in_order[-1])]


def test_a_process_killed_in_a_catch_up_loses_nothing_and_never_repeats_what_was_committed(
    broker: Broker, topics: Topics
) -> None:
    have_a_backlog(broker, topics)
    with Program(broker.bootstrap, topics, **NEWEST_FIRST) as doomed:
        until(
            lambda: (
                sum(bool(metadata) for _, metadata in committed_positions(broker, topics).values()) >= 3
                and outputs_so_far(broker, topics) > BACKLOG / 4
            ),
            60,
            "in the middle of the catch-up",
            doomed,
        )
        doomed.kill()
    covered = covered_spans(broker, topics)
    seen = read_ledger(broker, topics)
    assert BACKLOG / 10 < len(seen.answered) < BACKLOG, "it was not in the middle"
    done = [(number, at) for number, spans in covered.items() for span in spans for at in range(span.start, span.end)]
    assert len(done) > BACKLOG / 10
    assert not [where for where in done if where not in seen.answered], "what was committed was not visible"

    with Program(broker.bootstrap, topics, **NEWEST_FIRST) as next_one:
        ledger = caught_up(broker, topics, next_one)
        assert next_one.stop() == ExitCode.DRAINED
    assert (ledger.inputs, ledger.missing) == (BACKLOG, 0)
    twice = [where for where, count in ledger.answered.items() if count > 1]
    assert not [where for where in twice if within(where, covered)]
    unsaid = [where for where in seen.answered if not within(where, covered)]
    assert ledger.duplicates <= len(unsaid) <= IN_FLIGHT + 2 * 16 / 0.02  # and what two seconds can bring


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_that_joins_in_a_catch_up_goes_on_with_it(broker: Broker, topics: Topics, protocol: str) -> None:
    settings = NEWEST_FIRST | {"kafka__group_protocol": protocol, "model_seconds": 0.25}
    if protocol == "consumer":
        del settings["kafka__extra"]
    have_a_backlog(broker, topics)
    with Program(broker.bootstrap, topics, **settings) as first:  # type: ignore[arg-type]
        until(lambda: outputs_so_far(broker, topics) > 50, 60, "at work", first)
        with Program(broker.bootstrap, topics, **settings) as second:  # type: ignore[arg-type]
            published = "comment_consumer_published_records_total"
            until(lambda: second.metric(published) > 50, 60, "sharing", first, second)
            taken_over = second.log.count('"partition divided"')
            assert second.stop() == ExitCode.DRAINED
        ledger = caught_up(broker, topics, first)
        assert first.stop() == ExitCode.DRAINED
    assert taken_over > 0, "the catch-up was over before the second member came"
    assert (ledger.inputs, ledger.missing, ledger.duplicates) == (BACKLOG, 0, 0)


def test_comments_that_are_too_old_are_skipped_with_that_reason(broker: Broker, topics: Topics) -> None:
    now = time.time()
    ages = {"old": 7200.0, "at the limit": 3500.0, "new": 0.0, "from the future": -1800.0}
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    failed: list[object] = []

    def delivered(error: object, message: object) -> None:
        if error is not None:
            failed.append(error)

    for age, seconds in ages.items():
        for _ in range(5):
            value = json.dumps({"id": age, "text": "加油"}).encode()
            producer.produce(topics.input, value, timestamp=int((now - seconds) * 1000), on_delivery=delivered)
    producer.produce(topics.input, b"no comment", timestamp=int((now - 7200) * 1000), on_delivery=delivered)
    assert producer.flush(30) == 0
    assert not failed
    with Program(broker.bootstrap, topics, catch_up__max_age=3600) as program:
        ledger = caught_up(broker, topics, program)
        assert program.stop() == ExitCode.DRAINED
    reasons = Counter((event["comment_id"], event["status"], event.get("skip_reason")) for event in ledger.events)
    assert reasons == Counter(
        {
            ("old", "skipped", "too_old"): 5,
            ("at the limit", "labeled", None): 5,
            ("new", "labeled", None): 5,
            ("from the future", "labeled", None): 5,
        }
    )
    assert (len(ledger.dead), ledger.missing, ledger.duplicates) == (1, 0, 0)
