"""OpenTelemetry, set up from the settings. Only imported when tracing is on."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from consumer import __version__
from consumer.delivery.ports import Clock, Codec
from consumer.service.metrics import Metrics
from consumer.service.model_pipeline import Watcher
from consumer.settings import Settings
from consumer.tracing.attributes import Names
from consumer.tracing.batches import MAX_LINKS, BatchTracer
from consumer.tracing.codec import TracedCodec
from consumer.tracing.export import BoundedExport
from consumer.tracing.timings import TimingWatcher


@dataclass(frozen=True, slots=True)
class Tracing:
    """Tracing that is on: the follower of the protocol, and what stands around the codec and the model's watcher."""

    follower: BatchTracer
    export: BoundedExport
    clock: Clock

    def around_codec(self, codec: Codec) -> Codec:
        """The codec that hands contexts on."""
        return TracedCodec(codec, self.follower)

    def around_watcher(self, watcher: Watcher) -> Watcher:
        """The watcher that notes the model's times."""
        return TimingWatcher(watcher, self.follower.timings, self.clock)

    def close(self, timeout: float) -> bool:
        """Send the last spans; return whether that was done within ``timeout`` seconds."""
        return self.export.close(timeout)


def open_tracing(settings: Settings, metrics: Metrics, clock: Clock) -> Tracing:
    """Start exporting; nothing is asked of the collector yet, which may come later."""
    wanted = settings.tracing
    exporter = OTLPSpanExporter(endpoint=wanted.endpoint, timeout=wanted.timeout)
    export = BoundedExport(
        exporter,
        wanted.max_queue,
        exported=metrics.spans_exported.inc,
        dropped=lambda reason, spans: metrics.spans_dropped.labels(reason).inc(spans),
    )
    resource = Resource.create(
        {
            "service.name": wanted.service_name,
            "service.version": __version__,
            "service.instance.id": str(uuid.uuid4()),
        }
    )
    # Which spans are made is decided before they are: the sampler takes them all.
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=resource,
        span_limits=SpanLimits(max_links=MAX_LINKS),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(export)
    names = Names(
        settings.kafka.input_topic, settings.kafka.output_topic, settings.kafka.group_id, settings.kafka.client_id
    )
    tracer = provider.get_tracer("comment-consumer", __version__)
    follower = BatchTracer(tracer, names, wanted.sample_ratio, clock, time.time_ns)
    return Tracing(follower, export, clock)
