"""One run of the demo: an embedded broker, the real program, synthetic comments in, outputs read back and audited."""

from __future__ import annotations

import itertools
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from confluent_kafka import Consumer, TopicPartition

from consumer.demo.audit import Audit, Fed, Findings, Output
from consumer.demo.broker import EmbeddedBroker
from consumer.demo.feeder import Feeder
from consumer.demo.figures import Figures, read_figures
from consumer.demo.readback import ReadBack
from consumer.demo.screen import Screen, Snapshot
from consumer.demo.traffic import Fate, events
from consumer.demo.worker import Worker

INPUT = "comments"
LABELED = "labeled-comments"
DEAD_LETTERS = "comments-dead-letters"
GROUP = "demo"
PARTITIONS = 4

_AHEAD = 2000
_START_TIMEOUT = 120.0
_PATIENCE = 30.0
_TICK = 0.05
_MEANINGFUL = 0.5
_RECENT_LATENCIES = 1000
_RECENT_COMMENTS = 6


class DemoFailed(Exception):
    """The demo could not be run to its end."""


class Stopped(Exception):
    """It was told to stop before the first comment was fed."""


@dataclass(frozen=True)
class Plan:
    """How much to feed: until ``comments`` are fed or ``seconds`` have passed, at ``rate`` a second at most."""

    comments: int | None
    seconds: float | None
    rate: float | None
    seed: int = 1

    @property
    def at_most(self) -> int | None:
        """How many comments that can be, or ``None`` when only time tells."""
        in_time = None if self.seconds is None or self.rate is None else max(1, int(self.seconds * self.rate))
        return min((count for count in (self.comments, in_time) if count is not None), default=None)


@dataclass(frozen=True)
class Report:
    """What a run came to. ``seconds`` is from the first comment fed to the last output read back."""

    findings: Findings
    cache_hits: int
    seconds: float


def run(plan: Plan, screen: Screen, stop: threading.Event) -> Report:
    """Run the demo until the plan is done or ``stop`` is set, which ends it in order.

    Raises:
        DemoFailed: the broker or a reader failed.
        WorkerFailed: the program did not start or ended before its time.
        Stopped: ``stop`` was set while things were starting.
    """
    topics = {INPUT: PARTITIONS, LABELED: PARTITIONS, DEAD_LETTERS: 1}
    with EmbeddedBroker(topics) as broker, Worker(worker_settings(broker.bootstrap)) as worker:
        screen.say("starting the consumer and its model on an embedded broker ...")
        _await_ready(worker, stop)
        session = _Session(plan, broker.bootstrap, worker, screen)
        session.feed(stop)
        figures = session.figures()
        worker.stop()
        session.read_to_the_end()
        return session.report(_committed(broker.bootstrap), figures)


def worker_settings(bootstrap: str) -> dict[str, str]:
    """The settings of the program in the demo: an ordinary deployment, but for the model that ships with it."""
    return {
        "kafka.bootstrap_servers": bootstrap,
        "kafka.group_id": GROUP,
        "kafka.input_topic": INPUT,
        "kafka.output_topic": LABELED,
        "kafka.dead_letter_topic": DEAD_LETTERS,
        # the embedded broker answers a fetch only when this time is over, even if there are records
        "kafka.extra": json.dumps({"fetch.wait.max.ms": 10}),
        "model.source": str(files("consumer.demo").joinpath("model")),
        "model.revision": "demo",
        "model.preprocessing": "seed",
        "events.include_text": "true",
        "log.format": "json",
    }


def _await_ready(worker: Worker, stop: threading.Event) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not worker.ready():
        if stop.wait(0.1):
            raise Stopped
        if time.monotonic() > deadline:
            raise DemoFailed(f"the consumer was not ready within {_START_TIMEOUT:.0f} s")


def _committed(bootstrap: str) -> int:
    """How many inputs the group has committed; the embedded topics begin at offset zero and have no gaps."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False, "log_level": 2})
    try:
        partitions = [TopicPartition(INPUT, number) for number in range(PARTITIONS)]
        return sum(max(0, partition.offset) for partition in reader.committed(partitions, timeout=10))
    finally:
        reader.close()


class _Session:
    """The threads of one run meet here, on the main thread, at two queues."""

    def __init__(self, plan: Plan, bootstrap: str, worker: Worker, screen: Screen) -> None:
        self._plan = plan
        self._worker = worker
        self._screen = screen
        self._audit = Audit()
        self._fed: queue.SimpleQueue[Fed] = queue.SimpleQueue()
        self._outputs: queue.SimpleQueue[list[Output]] = queue.SimpleQueue()
        self._recent: deque[Output] = deque(maxlen=_RECENT_COMMENTS)
        self._first_at = self._last_at = time.monotonic()
        self._last_shown = _Shown(self._first_at, 0, 0)
        self._figures = Figures(batch_size=None, cache_hits=0)
        stream = itertools.islice(events(plan.seed), plan.at_most)
        self._readback = ReadBack(bootstrap, LABELED, DEAD_LETTERS, self._outputs)
        self._feeder = Feeder(bootstrap, INPUT, stream, rate=plan.rate, ahead=_AHEAD, fed=self._fed)

    def feed(self, stop: threading.Event) -> None:
        """Feed and watch until everything fed has come out, or nothing has for a long time."""
        self._readback.start()
        self._feeder.start()
        self._first_at = self._last_at = time.monotonic()
        self._last_shown = _Shown(self._first_at, 0, 0)
        while True:
            time.sleep(_TICK)
            feeding = self._feeder.is_alive()
            self._collect()
            self._worker.check()
            now = time.monotonic()
            over = self._plan.seconds is not None and now - self._first_at >= self._plan.seconds
            if feeding and (over or stop.is_set()):
                self._feeder.stop()
            if now - self._last_shown.at >= 1.0:
                self._show(now)
            if not feeding and (self._audit.complete or now - self._last_at > _PATIENCE):
                self._show(now)
                return

    def figures(self) -> Figures:
        """What the program itself says, now."""
        return read_figures(self._worker.metrics() or "")

    def read_to_the_end(self) -> None:
        """Take what was still to be read: a duplicate may come at the very end."""
        self._readback.finish()
        self._readback.join()
        self._collect()

    def report(self, consumed: int, figures: Figures) -> Report:
        """Close the books."""
        return Report(self._audit.findings(consumed), figures.cache_hits, round(self._last_at - self._first_at, 3))

    def _collect(self) -> None:
        # in this order: a thread that failed has put into its queue all that it ever will
        failure = self._feeder.failure or self._readback.failure
        if failure is not None:
            raise DemoFailed(failure)
        while not self._fed.empty():
            self._audit.fed(self._fed.get())
        while not self._outputs.empty():
            outputs = self._outputs.get()
            self._feeder.answered(sum(self._audit.read(output) for output in outputs))
            self._last_at = outputs[-1].at
            self._recent.extend(output for output in outputs[-_RECENT_COMMENTS:] if output.fate is Fate.LABELED)

    def _show(self, now: float) -> None:
        self._figures = self.figures()
        audit, last = self._audit, self._last_shown
        if now - last.at < _MEANINGFUL:
            last = _Shown(self._first_at, 0, 0)  # the last snapshot of a run: say the mean of all of it
        elapsed = max(now - last.at, 1e-3)
        self._screen.show(
            Snapshot(
                seconds=now - self._first_at,
                fed_per_second=(audit.fed_count - last.fed) / elapsed,
                answered_per_second=(audit.answered_count - last.answered) / elapsed,
                fed=audit.fed_count,
                labeled=audit.fates[Fate.LABELED],
                skipped=audit.fates[Fate.SKIPPED],
                dead_lettered=audit.fates[Fate.DEAD_LETTERED],
                latency=audit.recent_latency(_RECENT_LATENCIES),
                batch_size=self._figures.batch_size,
                cache_hits=self._figures.cache_hits,
                labels=audit.labels,
                recent=[(output.text, output.labels) for output in self._recent],
            )
        )
        self._last_shown = _Shown(now, audit.fed_count, audit.answered_count)


@dataclass(frozen=True)
class _Shown:
    at: float
    fed: int
    answered: int


def as_json(report: Report) -> Mapping[str, object]:
    """The report as it is printed for programs to read."""
    found = report.findings
    return {
        "consumed": found.consumed,
        "labeled": found.labeled,
        "skipped": found.skipped,
        "dead_lettered": found.dead_lettered,
        "duplicate_outputs": found.duplicate_outputs,
        "missing": found.missing,
        "cache_hits": report.cache_hits,
        "seconds": report.seconds,
        "comments_per_second": round(found.consumed / report.seconds, 1) if report.seconds else 0.0,
        "latency_ms": {"p50": found.latency.p50, "p99": found.latency.p99},
    }
