"""W3C trace contexts of records: read, and written. No I/O."""

from __future__ import annotations

from opentelemetry.trace import SpanContext, TraceFlags

from consumer.delivery.records import Skipped, ToClassify
from consumer.delivery.row import Row
from consumer.events.traceparent import read_traceparent


def context_of(row: Row) -> SpanContext | None:
    """The context that a record came with; ``None`` without a valid ``traceparent``."""
    decoded = row.decoded
    if isinstance(decoded, ToClassify | Skipped):
        header = decoded.comment.traceparent
    else:
        header = read_traceparent(row.record.headers)
    if header is None:
        return None
    _, trace, span, flags = header.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def traceparent_of(context: SpanContext) -> bytes:
    """The header that hands a context on."""
    return b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)
