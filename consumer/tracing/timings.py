"""When the model's threads did what: noted there, read on the poll thread."""

from __future__ import annotations

from queue import SimpleQueue
from typing import NamedTuple

from consumer.classifier.runner import Tally
from consumer.delivery.ports import Clock
from consumer.service.model_pipeline import Watcher


class Timing(NamedTuple):
    """What a stage did, and when, in seconds of the protocol's clock."""

    ticket: int
    stage: str
    began: float
    ended: float
    texts: int
    tokens: int


class TimingWatcher:
    """A :class:`~consumer.service.model_pipeline.Watcher` that notes times, and tells another one everything."""

    def __init__(self, watcher: Watcher, timings: SimpleQueue[Timing], clock: Clock) -> None:
        self._watcher = watcher
        self._timings = timings
        self._clock = clock

    def tokenized(self, ticket: int, rows: int, tokens: int, seconds: float) -> None:
        """A batch was tokenised."""
        now = self._clock()
        self._timings.put(Timing(ticket, "tokenise", now - seconds, now, rows, tokens))
        self._watcher.tokenized(ticket, rows, tokens, seconds)

    def started(self, ticket: int) -> None:
        """A batch is with the model."""
        self._watcher.started(ticket)

    def ran(self, ticket: int, rows: int, tokens: int, seconds: float, tally: Tally) -> None:
        """The batch is done."""
        now = self._clock()
        self._timings.put(Timing(ticket, "forward", now - seconds, now, rows, tokens))
        self._watcher.ran(ticket, rows, tokens, seconds, tally)
