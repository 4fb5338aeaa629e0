"""From the steps of the protocol to spans: one a batch, its stages, and one for each sampled comment.

    process comments            a batch, from the receipt of its oldest record to its last acknowledgement; a trace of
    ├── receive comments        its own, with links to the contexts that its records came with
    ├── wait
    ├── tokenise
    ├── forward
    ├── encode
    └── send labeled-comments

    (the producer's span)
    └── process comments        one comment whose traceparent is sampled, in its own trace, linked to the batch's span;
                                the output's traceparent names this span

Names and attributes are those of OpenTelemetry's semantic conventions for messaging; ours begin with
``comment_consumer.``. Spans hold coordinates, counts and types of errors, never text, keys or header values.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind

from consumer.delivery.batcher import ClosedBatch
from consumer.delivery.coordinates import ranges
from consumer.delivery.follower import Follower
from consumer.delivery.ports import Clock
from consumer.delivery.records import Failure, Partition
from consumer.delivery.row import Row
from consumer.tracing.attributes import Attributes, Names, describe_outcome, where
from consumer.tracing.context import context_of, traceparent_of
from consumer.tracing.timings import Timing

MAX_LINKS = 128  # contexts that a batch's span is linked to; the sampled ones first
MAX_RANGES = 32  # ranges of offsets that it names
MAX_POLLS = 1024  # polls of which the time of decoding is kept


@dataclass(slots=True)
class _Batch:
    """A batch that is traced, and what is known of it so far; times are the protocol's clock."""

    span: Span
    rows: list[Row]
    received: float
    decoded: float
    submitted: float
    timings: list[Timing]
    answered: float = 0.0
    encoded: float = 0.0
    open_rows: int = 0
    published: bool = False


class BatchTracer(Follower):
    """Makes the spans, on the poll thread.

    Args:
        tracer: Makes each span it is asked for.
        names: Of topics, group and client.
        sample_ratio: Share of the batches without a sampled comment that are traced.
        clock: The protocol's.
        epoch_ns: The time of day, in nanoseconds since the epoch.
        draw: A number from 0 to 1, by chance.
    """

    def __init__(
        self,
        tracer: trace.Tracer,
        names: Names,
        sample_ratio: float,
        clock: Clock,
        epoch_ns: Clock,
        draw: Clock = random.random,
    ) -> None:
        self._tracer = tracer
        self._names = names
        self._ratio = sample_ratio
        self._clock = clock
        self._epoch_ns = epoch_ns
        self._draw = draw
        self._decoded: OrderedDict[float, float] = OrderedDict()  # by a poll's time of receipt
        self._batches: dict[int, _Batch] = {}
        self._batch_of: dict[Row, _Batch] = {}
        self._messages: dict[Row, Span] = {}
        self._outgoing: dict[tuple[Partition, int], bytes] = {}
        self.timings: SimpleQueue[Timing] = SimpleQueue()  # from the model's threads

    @property
    def outgoing(self) -> Mapping[tuple[Partition, int], bytes]:
        """The ``traceparent`` that the outputs of these coordinates get."""
        return self._outgoing

    def encoded(self) -> None:
        """The codec is done with the batch that was answered last."""
        now = self._clock()
        for batch in self._batches.values():
            if batch.answered and not batch.encoded:
                batch.encoded = now

    # ---- The follower --------------------------------------------------------------------------------------------

    def received(self, rows: Sequence[Row]) -> None:
        """See :class:`~consumer.delivery.follower.Follower`, as for all that follow."""
        if rows:
            self._decoded[rows[0].received_at] = self._clock()
            if len(self._decoded) > MAX_POLLS:
                self._decoded.popitem(last=False)

    def submitted(self, ticket: int, batch: ClosedBatch[Row], distinct: int) -> None:
        came_with = [(row, context) for row in batch.rows if (context := context_of(row)) is not None]
        came_with.sort(key=lambda each: not each[1].trace_flags.sampled)
        if not (came_with and came_with[0][1].trace_flags.sampled) and self._draw() >= self._ratio:
            return
        now = self._clock()
        received = min(row.received_at for row in batch.rows)
        attributes: Attributes = {
            **self._names.consuming("process"),
            "messaging.batch.message_count": len(batch.rows),
            "comment_consumer.batch.close_reason": batch.reason.value,
            "comment_consumer.batch.tokens": batch.tokens,
            "comment_consumer.batch.texts_to_run": distinct,
            "comment_consumer.records": ranges(batch.rows)[:MAX_RANGES],
            "comment_consumer.links_left_out": max(0, len(came_with) - MAX_LINKS),
        }
        span = self._tracer.start_span(
            f"process {self._names.input_topic}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(context, where(row)) for row, context in came_with[:MAX_LINKS]],
            start_time=self._ns(received),
        )
        decoded = min(self._decoded.get(received, received), now)
        traced = _Batch(span, batch.rows, received, decoded, now, [], open_rows=len(batch.rows))
        self._batches[ticket] = traced
        self._batch_of.update(dict.fromkeys(batch.rows, traced))

    def withdrawn(self, ticket: int) -> None:
        batch = self._batches.pop(ticket, None)  # its span is never ended, and so never exported
        for row in batch.rows if batch is not None else ():
            self._batch_of.pop(row, None)

    def answered(self, ticket: int, rows: Sequence[Row]) -> None:
        self._take_timings()
        batch = self._batches.get(ticket)
        if batch is None:
            return
        batch.answered = self._clock()
        for row in rows:
            context = context_of(row)
            if context is not None and context.trace_flags.sampled:
                self._begin_message(row, context, batch.span.get_span_context())

    def published(self, ticket: int, rows: Sequence[Row]) -> None:
        batch = self._batches.pop(ticket, None)
        for row in rows:
            self._outgoing.pop((row.record.partition, row.record.offset), None)
        if batch is not None:
            batch.published = True
            self._finish_if_done(batch)

    def acknowledged(self, rows: Sequence[Row]) -> None:
        now = self._clock()
        for row in rows:
            span = self._messages.pop(row, None)
            if span is not None:
                describe_outcome(span, row)
                span.end(self._ns(now))
            self._leave(row)

    def dropped(self, rows: Sequence[Row]) -> None:
        now = self._clock()
        for row in rows:
            span = self._messages.pop(row, None)
            if span is not None:
                span.set_attribute("comment_consumer.outcome", "dropped")
                span.end(self._ns(now))
            self._leave(row)

    # ---- Spans ---------------------------------------------------------------------------------------------------

    def _begin_message(self, row: Row, parent: SpanContext, batch: SpanContext) -> None:
        span = self._tracer.start_span(
            f"process {self._names.input_topic}",
            context=trace.set_span_in_context(trace.NonRecordingSpan(parent), Context()),
            kind=SpanKind.CONSUMER,
            attributes={**self._names.consuming("process"), **where(row)},
            links=[Link(batch)],
            start_time=self._ns(row.received_at),
        )
        self._messages[row] = span
        own = span.get_span_context()
        if own.is_valid:  # not where OTEL_SDK_DISABLED turns the SDK off
            self._outgoing[row.record.partition, row.record.offset] = traceparent_of(own)

    def _leave(self, row: Row) -> None:
        batch = self._batch_of.pop(row, None)
        if batch is not None:
            batch.open_rows -= 1
            self._finish_if_done(batch)

    def _finish_if_done(self, batch: _Batch) -> None:
        if batch.open_rows or not batch.published:
            return
        now = self._clock()
        within = trace.set_span_in_context(batch.span, Context())
        receiving, sending = self._names.consuming("receive"), self._names.sending(len(batch.rows))
        self._stage(
            within, f"receive {self._names.input_topic}", batch.received, batch.decoded, receiving, SpanKind.CLIENT
        )
        self._stage(within, "wait", batch.decoded, batch.submitted)
        for timing in batch.timings:
            of_model: Attributes = {"comment_consumer.texts": timing.texts, "comment_consumer.tokens": timing.tokens}
            self._stage(within, timing.stage, timing.began, timing.ended, of_model)
        encoded = batch.encoded or batch.answered
        self._stage(within, "encode", batch.answered, encoded)
        self._stage(within, f"send {self._names.output_topic}", encoded, now, sending, SpanKind.PRODUCER)
        batch.span.set_attribute(
            "comment_consumer.dead_letters", sum(isinstance(row.outcome, Failure) for row in batch.rows)
        )
        batch.span.end(self._ns(now))

    def _stage(
        self,
        within: Context,
        name: str,
        began: float,
        ended: float,
        attributes: Attributes | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        span = self._tracer.start_span(
            name, context=within, kind=kind, attributes=attributes, start_time=self._ns(began)
        )
        span.end(self._ns(ended))

    def _take_timings(self) -> None:
        try:
            while True:
                timing = self.timings.get_nowait()
                batch = self._batches.get(timing.ticket)
                if batch is not None:
                    batch.timings.append(timing)
        except Empty:
            pass

    def _ns(self, at: float) -> int:
        """The time of day of a moment of the protocol's clock."""
        return int(self._epoch_ns() - (self._clock() - at) * 1e9)
