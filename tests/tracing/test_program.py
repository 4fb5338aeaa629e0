"""What the real program exports to a collector, through the embedded broker."""

from __future__ import annotations

import itertools
import json
import time

import pytest

from consumer.service import catalogue
from consumer.service.lifecycle import ExitCode
from tests.conformance.program import Program, until
from tests.support.brokers import MockBroker
from tests.support.collector import Collector, Received
from tests.support.traffic import Topics, produce, read_all, unique_topics

pytestmark = pytest.mark.broker

SAMPLED = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
UNSAMPLED = "00-" + "c3" * 16 + "-" + "d4" * 8 + "-00"
STAGES = ("wait", "tokenise", "forward", "encode")


def comment(number: int, text: str = "") -> bytes:
    return json.dumps({"id": f"id-{number}", "text": text or f"秘密{number}", "author": "somebody"}).encode()


@pytest.fixture
def topics(mock_broker: MockBroker) -> Topics:
    names = unique_topics()
    for name in (names.input, names.output, names.dead_letters):
        mock_broker.create_topic(name, 1)
    return names


def feed(broker: MockBroker, topics: Topics, value: bytes, traceparent: str | None = None, key: bytes = b"k") -> None:
    headers = [("secret-header", b"secret-value")]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    produce(broker.bootstrap, topics.input, [value], key=key, headers=headers)


def done(program: Program) -> int:
    return int(program.metric(catalogue.PUBLISHED_RECORDS.sample))


def traceparents(broker: MockBroker, topic: str) -> dict[int, str | None]:
    """Of each output, by the offset of its input."""
    found = {}
    for message in read_all(broker.bootstrap, topic):
        headers = dict(message.headers() or [])
        value = headers.get("traceparent")
        found[json.loads(message.value() or b"")["source"]["offset"]] = value.decode() if value else None
    return found


def only(spans: list[Received]) -> Received:
    assert len(spans) == 1, spans
    return spans[0]


def test_a_batch_with_a_sampled_comment_is_traced_whole_and_its_output_names_the_comments_span(
    mock_broker: MockBroker, topics: Topics
):
    # One batch of exactly these: it closes by count alone.
    rules = {"batch__max_comments": 5, "batch__max_wait": 60, "batch__idle_dispatch": False}
    with Collector() as collector:
        tracing = {"tracing__endpoint": collector.url, "tracing__sample_ratio": 0}
        with Program(mock_broker.bootstrap, topics, **rules, **tracing) as program:
            feed(mock_broker, topics, comment(0))
            feed(mock_broker, topics, comment(1), SAMPLED)
            feed(mock_broker, topics, comment(2), UNSAMPLED)
            feed(mock_broker, topics, b"no json", SAMPLED)
            feed(mock_broker, topics, comment(4), "not a traceparent")
            until(lambda: done(program) == 5, 60, "done", program)
            until(lambda: len(collector.spans) >= 9, 30, "exported", program)
            until(lambda: program.metric(catalogue.SPANS_EXPORTED.sample) == 9, 10, "counted", program)
            assert program.stop() == ExitCode.DRAINED
    spans = collector.spans
    processing = collector.named(f"process {topics.input}")
    batch = only([span for span in processing if not span.parent])
    messages = {span.attributes["messaging.kafka.offset"]: span for span in processing if span.parent}

    # The batch: a trace of its own, linked to what its messages came with, the sampled ones first.
    assert batch.kind == "CONSUMER"
    assert batch.attributes["messaging.system"] == "kafka"
    assert batch.attributes["messaging.operation.type"] == "process"
    assert batch.attributes["messaging.destination.name"] == topics.input
    assert batch.attributes["messaging.consumer.group.name"] == topics.group
    assert batch.attributes["messaging.batch.message_count"] == 5
    assert batch.attributes["comment_consumer.batch.close_reason"] == "count"
    assert batch.attributes["comment_consumer.records"] == [f"{topics.input}/0/0-4"]
    assert batch.attributes["comment_consumer.dead_letters"] == 1
    links = [(trace, span, dict(attributes)["messaging.kafka.offset"]) for trace, span, attributes in batch.links]
    assert links == [("a1" * 16, "b2" * 8, 1), ("a1" * 16, "b2" * 8, 3), ("c3" * 16, "d4" * 8, 2)]
    assert batch.resource["service.name"] == "comment-consumer"

    # Its stages are its children, lie within it, and follow each other.
    stages = [span for span in spans if span.parent == batch.id]
    assert [span.name for span in stages] == [f"receive {topics.input}", *STAGES, f"send {topics.output}"]
    assert {span.trace for span in stages} == {batch.trace}
    assert {span.name: span.kind for span in stages if span.kind != "INTERNAL"} == {
        f"receive {topics.input}": "CLIENT",
        f"send {topics.output}": "PRODUCER",
    }
    assert stages[-1].attributes["messaging.operation.type"] == "send"
    slack = 1_000_000  # nanoseconds: the wall clock is asked for each span
    edges = [time for span in stages for time in (span.began, span.ended)]
    assert all(earlier <= later + slack for earlier, later in itertools.pairwise(edges))
    assert batch.began - slack <= edges[0]
    assert edges[-1] <= batch.ended + slack
    assert abs(batch.ended / 1e9 - time.time()) < 120

    # A comment's own span: only for the sampled, in their producer's trace, linked to the batch.
    assert messages.keys() == {1, 3}
    for span in messages.values():
        assert (span.trace, span.parent) == ("a1" * 16, "b2" * 8)
        assert span.links == ((batch.trace, batch.id, ()),)
        assert span.attributes["messaging.destination.partition.id"] == "0"
    assert (messages[1].attributes["comment_consumer.outcome"], messages[1].failed) == ("labeled", False)
    assert (messages[3].attributes["error.type"], messages[3].failed) == ("invalid_json", True)
    assert len(spans) == 9

    # What goes out: the span's context for the sampled one, what came in for the others.
    assert traceparents(mock_broker, topics.output) == {
        0: None,
        1: f"00-{'a1' * 16}-{messages[1].id}-01",
        2: UNSAMPLED,
        4: None,
    }
    (dead,) = read_all(mock_broker.bootstrap, topics.dead_letters)
    assert dict(dead.headers() or [])["traceparent"] == SAMPLED.encode(), "a dead letter keeps what it came with"

    # Coordinates only.
    for secret in ("秘密", "somebody", "id-1", "secret-header", "secret-value", "no json"):
        assert secret.encode() not in collector.raw


def test_without_a_sampled_comment_the_ratio_decides(mock_broker: MockBroker, topics: Topics):
    with Collector() as collector:
        tracing = {"tracing__endpoint": collector.url + "/v1/traces", "tracing__sample_ratio": 1}
        with Program(mock_broker.bootstrap, topics, **tracing) as program:
            feed(mock_broker, topics, comment(0), UNSAMPLED)
            until(lambda: done(program) == 1, 60, "done", program)
            assert program.stop() == ExitCode.DRAINED, "the last spans are sent at the end"
        (batch,) = collector.named(f"process {topics.input}")
        assert [link[:2] for link in batch.links] == [("c3" * 16, "d4" * 8)]
    assert traceparents(mock_broker, topics.output) == {0: UNSAMPLED}


@pytest.mark.parametrize("trouble", ["away", "refusing"])
def test_a_collector_in_trouble_costs_nothing_but_the_spans(mock_broker: MockBroker, topics: Topics, trouble: str):
    with Collector(status=503) as refusing:
        endpoint = refusing.url if trouble == "refusing" else "http://127.0.0.1:9"
        tracing = {"tracing__endpoint": endpoint, "tracing__sample_ratio": 1, "tracing__max_queue": 8}
        small = {"batch__max_comments": 1, "tracing__timeout": 1}
        with Program(mock_broker.bootstrap, topics, **tracing, **small) as program:
            produce(mock_broker.bootstrap, topics.input, [comment(number) for number in range(200)])
            until(lambda: done(program) == 200, 60, "done", program)
            until(lambda: dropped(program, "export_failed") > 0, 30, "given up", program)
            assert dropped(program, "queue_full") > 0
            assert program.metric(catalogue.SPANS_EXPORTED.sample) == 0
            began = time.monotonic()
            assert program.stop() == ExitCode.DRAINED
            assert time.monotonic() - began < 15
            assert "秘密" not in program.log


def dropped(program: Program, reason: str) -> float:
    for line in program.get("/metrics")[1].splitlines():
        if line.startswith(f'{catalogue.SPANS_DROPPED.sample}{{reason="{reason}"}}'):
            return float(line.rsplit(" ", 1)[1])
    return 0.0
