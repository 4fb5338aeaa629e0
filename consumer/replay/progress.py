"""How far a replay is, on standard error: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console

from consumer.files.progress import Bar, PlainLines


class Gauge:
    """Shows figures at the display's pace, with the rate over the last second or so."""

    def __init__(self, display: Bar | PlainLines, clock: Callable[[], float] = time.monotonic) -> None:
        self._display = display
        self._clock = clock
        self._shown = self._since = clock()
        self._before = 0
        self._rate = 0.0

    def update(self, done: int, total: int, unit: str, more: str = "") -> None:
        """Show the figures if it is time: ``done`` of ``total`` things called ``unit``."""
        now = self._clock()
        if now - self._shown < self._display.interval:
            return
        self._shown = now
        if now - self._since >= 1.0:
            self._rate = (done - self._before) / (now - self._since)
            self._before, self._since = done, now
        figures = f"{done:,} of {total:,} {unit}, {self._rate:,.0f}/s{more and ', '}{more}"
        self._display.show(figures, done / total if total else None)


def display_on_stderr() -> Bar | PlainLines:
    """A bar on a terminal, else plain lines."""
    if sys.stderr.isatty():
        return Bar(Console(stderr=True))
    return PlainLines(lambda line: print(line, file=sys.stderr, flush=True))
