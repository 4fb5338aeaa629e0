"""Spans on their way to the collector: a bounded queue and a thread. What does not fit is dropped and counted.

The SDK's own batch processor is not used: it logs once for each span that it drops and tells nobody how many.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from threading import Thread
from typing import Literal, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

LARGEST = 512  # spans in one request
LINGER = 1.0  # seconds that the first span of a request waits for others

Reason: TypeAlias = Literal["queue_full", "export_failed"]


class BoundedExport(SpanProcessor):
    """Ended spans go to ``exporter`` on a thread of its own. Ending a span never waits and never raises.

    Args:
        exporter: Sends them; its errors are counted, and nothing else comes of them.
        max_queue: Most spans that wait.
        exported: Told how many were accepted.
        dropped: Told how many were given up, and why.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        max_queue: int,
        exported: Callable[[int], None],
        dropped: Callable[[Reason, int], None],
    ) -> None:
        self._exporter = exporter
        self._queue: Queue[ReadableSpan | None] = Queue(max_queue)
        self._exported = exported
        self._dropped = dropped
        self._thread = Thread(target=self._send_all, name="tracing", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, or drop it."""
        try:
            self._queue.put_nowait(span)
        except Full:
            self._dropped("queue_full", 1)

    def close(self, timeout: float) -> bool:
        """Send what waits; return whether that was done within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        try:
            self._queue.put(None, timeout=timeout)
            self._thread.join(max(0.0, end - time.monotonic()))
        except Full:
            pass
        sent = not self._thread.is_alive()
        self._exporter.shutdown()
        return sent

    def _send_all(self) -> None:
        over = False
        while not over and (span := self._queue.get()) is not None:
            spans = [span]
            end = time.monotonic() + LINGER
            while len(spans) < LARGEST:
                try:
                    more = self._queue.get(timeout=max(0.0, end - time.monotonic()))
                except Empty:
                    break
                if more is None:
                    over = True
                    break
                spans.append(more)
            self._send(spans)

    def _send(self, spans: list[ReadableSpan]) -> None:
        try:
            accepted = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # whatever the exporter does, spans are all that may be lost
            accepted = False
        if accepted:
            self._exported(len(spans))
        else:
            self._dropped("export_failed", len(spans))
