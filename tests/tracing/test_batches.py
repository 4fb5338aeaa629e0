"""Which spans come of which steps: the protocol on scripted ports, and an exporter that keeps them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Decoded, Record, Skipped, ToClassify
from consumer.events.traceparent import read_traceparent
from consumer.service.worker import Worker
from consumer.settings.loading import BadSettings
from consumer.tracing import batches
from consumer.tracing.attributes import Names
from consumer.tracing.batches import BatchTracer
from consumer.tracing.codec import TracedCodec
from consumer.tracing.export import LARGEST, BoundedExport
from tests.delivery.fakes import P0, Bench, WordCodec, record
from tests.service.fake_kafka import FakeKafka
from tests.service.test_worker import Told, settings

SAMPLED = (("traceparent", b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"),)
UNSAMPLED = (("traceparent", b"00-" + b"c3" * 16 + b"-" + b"d4" * 8 + b"-00"),)
ONE_BY_ONE = BatchPolicy(max_rows=1, max_tokens=1000, max_wait=60.0)


class Words(WordCodec):
    """Reads the traceparent too."""

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        return [
            each._replace(comment=each.comment._replace(traceparent=read_traceparent(one.headers)))
            if isinstance(each, ToClassify | Skipped)
            else each
            for one, each in zip(records, super().decode(records), strict=True)
        ]


class Traced:
    def __init__(self, ratio: float = 0.0, **bench: object) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        names = Names("comments", "labeled", "group", "client")
        # The bench's clock is not there yet; nothing asks for the time before it is.
        self.tracer = BatchTracer(
            provider.get_tracer("test"), names, ratio, lambda: self.bench.clock(), time.time_ns, lambda: 0.5
        )
        self.bench = Bench(follower=self.tracer, codec=TracedCodec(Words(), self.tracer), **bench)  # type: ignore

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def batches(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.parent is None]

    @property
    def messages(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.parent is not None and span.parent.is_remote]

    def holds_nothing(self) -> bool:
        tracer = self.tracer
        return not (tracer._batches or tracer._batch_of or tracer._messages or tracer.outgoing)


@pytest.mark.parametrize(
    ("ratio", "headers", "traced"), [(0.4, (), 0), (0.6, (), 1), (0.0, UNSAMPLED, 0), (0.0, SAMPLED, 1)]
)
def test_a_batch_is_traced_by_chance_or_because_a_comment_is(ratio: float, headers: object, traced: int) -> None:
    stand = Traced(ratio)
    stand.bench.receive(record(0, headers=headers), record(1))
    stand.bench.finish_everything()
    assert len(stand.batches) == traced
    assert stand.holds_nothing()


def test_a_batch_ends_with_its_last_acknowledgement() -> None:
    stand = Traced(1.0)
    stand.bench.receive(record(0), record(1))
    stand.bench.classify()
    stand.bench.sink.answer(1)
    stand.bench.protocol.step()
    assert stand.spans == []
    stand.bench.sink.answer(0)
    stand.bench.protocol.step()
    assert len(stand.batches) == 1


def test_a_batch_that_was_taken_back_leaves_no_span_and_its_records_are_traced_with_the_next() -> None:
    stand = Traced(1.0, batching=ONE_BY_ONE)
    stand.bench.receive(record(0), record(1, headers=SAMPLED))
    stand.bench.protocol.assigned([])
    stand.bench.during_receive(lambda: stand.bench.protocol.revoked([]))
    stand.bench.finish_everything()
    assert [dict(span.attributes or {})["comment_consumer.records"] for span in stand.batches] == [
        ("comments/0/0",), ("comments/0/1",),
    ]  # fmt: skip
    assert len(stand.messages) == 1
    assert stand.holds_nothing()


def test_what_is_given_up_says_so_and_is_forgotten() -> None:
    stand = Traced(1.0)
    stand.bench.receive(record(0, headers=SAMPLED), record(1))
    stand.bench.classify()
    stand.bench.protocol.lost([P0])
    for offset in (0, 1):
        stand.bench.sink.answer(offset, Delivery.RETRY)
    stand.bench.protocol.step()
    assert [dict(span.attributes or {})["comment_consumer.outcome"] for span in stand.messages] == ["dropped"]
    assert stand.holds_nothing()


def test_a_message_published_again_keeps_its_span_and_its_header() -> None:
    stand = Traced()
    stand.bench.receive(record(0, headers=SAMPLED))
    stand.bench.classify()
    stand.bench.sink.answer(0, Delivery.RETRY)
    stand.bench.protocol.step()
    stand.bench.sink.acknowledge_all()
    stand.bench.protocol.step()
    (span,) = stand.messages
    first, second = (dict(message.headers)["traceparent"] for message, _ in stand.bench.sink.published)
    assert first == second == b"00-" + b"a1" * 16 + b"-%016x-01" % span.context.span_id  # type: ignore[union-attr]


def test_a_disabled_sdk_makes_no_spans_and_the_header_is_passed_on_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    stand = Traced(1.0)
    stand.bench.receive(record(0, headers=SAMPLED))
    stand.bench.finish_everything()
    assert stand.spans == []
    assert [dict(message.headers).get("traceparent") for message, _ in stand.bench.sink.published] == [SAMPLED[0][1]]


def test_links_are_bounded_and_the_sampled_ones_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_LINKS", 3)
    stand = Traced()
    stand.bench.receive(*(record(n, headers=SAMPLED if n == 9 else UNSAMPLED) for n in range(10)))
    stand.bench.finish_everything()
    (batch,) = stand.batches
    assert [dict(link.attributes or {})["messaging.kafka.offset"] for link in batch.links] == [9, 0, 1]
    assert dict(batch.attributes or {})["comment_consumer.links_left_out"] == 7


class Held(SpanExporter):
    """An exporter that waits until it is let go."""

    def __init__(self) -> None:
        self.go = Event()
        self.begun = Event()
        self.sizes: list[int] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.set()
        assert self.go.wait(20)
        self.sizes.append(len(spans))
        return SpanExportResult.SUCCESS


def ended(count: int) -> list[ReadableSpan]:
    return [ReadableSpan(f"span {n}") for n in range(count)]


def test_a_full_queue_drops_and_counts_and_never_waits() -> None:
    exporter, told = Held(), []
    export = BoundedExport(exporter, 10, lambda n: told.append(("exported", n)), lambda why, n: told.append((why, n)))
    for span in ended(LARGEST):  # taken by the thread as they come, if it is quick
        export.on_end(span)
    assert exporter.begun.wait(20)
    told.clear()
    for span in ended(25):
        export.on_end(span)
    assert told.count(("queue_full", 1)) >= 15
    exporter.go.set()
    assert export.close(20)
    assert sum(exporter.sizes) == sum(n for what, n in told if what == "exported")


def test_closing_waits_no_longer_than_told() -> None:
    exporter = Held()
    export = BoundedExport(exporter, 10, lambda n: None, lambda why, n: None)
    export.on_end(ended(1)[0])
    assert exporter.begun.wait(20)
    began = time.monotonic()
    assert not export.close(0.1)
    assert time.monotonic() - began < 5
    exporter.go.set()


def test_an_exporter_that_raises_is_survived() -> None:
    class Broken(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise RuntimeError

    told: list[tuple[str, int]] = []
    export = BoundedExport(Broken(), 10, lambda n: None, lambda why, n: told.append((why, n)))
    export.on_end(ended(1)[0])
    assert export.close(20)
    assert told == [("export_failed", 1)]


def test_without_the_extra_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "consumer.tracing.opening", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    wanted = settings(tracing={"endpoint": "http://localhost:4318"})
    with pytest.raises(BadSettings, match=r"tracing\.endpoint: OpenTelemetry is not installed .*\[tracing\]"):
        Worker.build(wanted, Told(), FakeKafka([], Told()).connect)
