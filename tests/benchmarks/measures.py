"""What is measured, each as one function that returns its figures by name."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks import machine
from tests.benchmarks.comments import Sent, sent_as
from tests.benchmarks.stand import PARTITIONS, Stand, labeled_events
from tests.conformance.program import ROOT, Program
from tests.support.traffic import Topics

Figures = dict[str, float]

LOAD = 0.7  # of capacity
PATIENCE = 600.0  # seconds
WINDOW = 5000  # ms: on a machine that others use too, what a stall of theirs does is seen in few of the windows


# ---- Throughput ------------------------------------------------------------------------------------------------------


def throughput(stand: Stand, comments: Sequence[Sent], **settings: object) -> Figures:
    """Comments a second from topic to topic, all of them in the topic already; by the broker's times of the outputs."""
    topics = stand.topics()
    stand.fill(topics.input, comments)
    broker = stand.broker_pid
    with stand.program(topics, **settings) as program:
        sent = machine.sent_bytes(broker) if broker else 0
        broker_cpu = machine.cpu_seconds(broker) if broker else 0.0
        stand.await_outputs(topics, len(comments), PATIENCE)
        figures = {
            "worker_cpu_us": machine.cpu_seconds(program.process.pid) / len(comments) * 1e6,
            "broker_cpu_us": (machine.cpu_seconds(broker) - broker_cpu) / len(comments) * 1e6 if broker else 0.0,
            "broker_sent_bytes": (machine.sent_bytes(broker) - sent) / len(comments) if broker else 0.0,
            "input_bytes": sum(len(comment.key) + len(comment.value) for comment in comments) / len(comments),
            "rss_mb": psutil.Process(program.process.pid).memory_info().rss / 1e6,
            **_counters(program, len(comments)),
        }
        assert program.stop() == 0
    figures["per_second"] = rate([message.timestamp()[1] for message in stand.written(topics)])
    return {"per_second": figures.pop("per_second"), **figures, "load_average": machine.load_average()}


def rate(times_ms: Sequence[int]) -> float:
    """Outputs a second after about the first tenth of them. They come a batch at a time: it starts between two."""
    times = np.asarray(times_ms)
    low, high = len(times) // 20, len(times) // 5
    start = low + int(np.argmax(np.diff(times[low : high + 1])))
    return float((len(times) - 1 - start) / max(1, times[-1] - times[start]) * 1000)


def _counters(program: Program, comments: int) -> Figures:
    metric = {name: program.metric(f"comment_consumer_{name}") for name in _METRICS}
    batches = metric["batches_total"] or 1
    return {
        "pauses": metric["pauses_total"],
        "batches": batches,
        "comments_per_batch": comments / batches,
        "model_tokens_per_batch": metric["model_tokens_total"] / batches,
        "forward_ms": metric["inference_seconds_sum"] / max(1, metric["inference_seconds_count"]) * 1000,
        "tokenize_ms": metric["tokenize_seconds_sum"] / max(1, metric["tokenize_seconds_count"]) * 1000,
        "model_share_of_texts": metric["model_texts_total"] / comments,
    }


_METRICS = (
    "pauses_total", "batches_total", "model_tokens_total", "model_texts_total", "inference_seconds_sum",
    "inference_seconds_count", "tokenize_seconds_sum", "tokenize_seconds_count",
)  # fmt: skip


def against_bare(stand: Stand, texts: Sequence[str], repeat: int, max_comments: int, max_tokens: int) -> Figures:
    """The path's share of the bare packed forward: the same texts, all different, batches, threads; taking turns."""
    path, bare, figures = [], [], Figures()
    settings = {
        "batch__max_comments": max_comments,
        "batch__max_tokens": max_tokens,
        "cache__max_entries": 0,
    }
    comments = [sent_as(number, text) for number, text in enumerate(texts)]
    for _ in range(repeat):
        bare.append(_bare(stand, texts, max_comments, max_tokens)["per_second"])
        figures = throughput(stand, comments, **settings)
        path.append(figures["per_second"])
    bare.append(_bare(stand, texts, max_comments, max_tokens)["per_second"])
    # Each run of the path stands between two of the bare forward: the machine is shared and its pace drifts.
    shares = [one / ((before + after) / 2) for one, (before, after) in zip(path, pairwise(bare), strict=True)]
    return {
        **figures,
        "per_second": median(path),
        "bare_per_second": median(bare),
        "share_of_bare": median(shares),
        "share_least": min(shares),
        "share_most": max(shares),
    }


def _bare(stand: Stand, texts: Sequence[str], max_comments: int, max_tokens: int) -> Figures:
    with TemporaryDirectory() as folder, machine.spawning_on(stand.cpus):
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(list(texts)), "utf-8")
        command = [
            *(sys.executable, "-m", "tests.benchmarks.bare", "--model", str(stand.model), "--texts", str(file)),
            *("--threads", str(stand.settings.get("model.threads", len(stand.cpus)))),
            *("--dtype", str(stand.settings.get("model.dtype", "auto"))),
            *("--max-comments", str(max_comments), "--max-tokens", str(max_tokens)),
        ]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(done.stdout)
    return figures


# ---- Latency ---------------------------------------------------------------------------------------------------------


def latency(stand: Stand, texts: Sequence[str], **settings: object) -> Figures:
    """Milliseconds from producing one comment to reading its labeled event, nothing else being under way.

    ``over_forward`` is that minus the mean forward pass of the same comments, ``floor`` the same way from producing to
    reading without the program: what the clients of the benchmark and the broker take.
    """
    topics = stand.topics()
    warm = 30
    rng = random.Random(11)
    with stand.program(topics, **settings) as program:
        producer = Producer({"bootstrap.servers": stand.broker.bootstrap, "linger.ms": 0})
        results, echoes = (_reader(stand, topic) for topic in (topics.output, topics.input))
        labeled, floor = [], []
        before = (0.0, 0.0)
        for number, text in enumerate(texts):
            if number == warm:
                before = _forwards(program)
            sent = sent_as(number, text)
            began = time.perf_counter()
            producer.produce(topics.input, sent.value, sent.key)
            producer.flush(30)
            flushed = time.perf_counter()
            _await_one(results)
            ended = time.perf_counter()
            _await_one(echoes)
            del flushed
            labeled.append((ended - began) * 1000)
            time.sleep(rng.uniform(0.02, 0.12))  # so that it meets the poll loop anywhere in its round
        seconds, passes = _forwards(program)
        for number, text in enumerate(texts[:200]):
            sent = sent_as(number, text)
            began = time.perf_counter()
            producer.produce(topics.dead_letters, sent.value, sent.key)
            producer.flush(30)
            floor.append((time.perf_counter() - began) * 1000)
            time.sleep(rng.uniform(0.02, 0.06))
        assert program.stop() == 0
    forward = (seconds - before[0]) / max(1.0, passes - before[1]) * 1000
    p50, p99 = np.percentile(labeled[warm:], [50, 99])
    return {
        "p50_ms": p50,
        "p99_ms": p99,
        "forward_ms": forward,
        "over_forward_p50_ms": p50 - forward,
        "over_forward_p99_ms": p99 - forward,
        "one_produce_acknowledged_p50_ms": median(floor),
        "load_average": machine.load_average(),
    }


def _reader(stand: Stand, topic: str) -> Consumer:
    """Reads what is written from now on."""
    reader = Consumer(
        {
            "bootstrap.servers": stand.broker.bootstrap,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    reader.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    return reader


def _await_one(reader: Consumer) -> None:
    message = reader.poll(60)
    assert message is not None, "nothing came within a minute"
    assert message.error() is None, message.error()


def _forwards(program: Program) -> tuple[float, float]:
    prefix = "comment_consumer_inference_seconds"
    return program.metric(f"{prefix}_sum"), program.metric(f"{prefix}_count")


def loaded(stand: Stand, comments: Sequence[Sent], backlog: int, seconds: float, **settings: object) -> Figures:
    """Milliseconds from arrival to labeled event at a share of the measured capacity, arrivals at random, open loop.

    An arrival is the moment at which the schedule wanted the comment written, so that a stall counts in full for all
    An arrival is the moment at which the schedule wanted the comment written, so that a stall counts in full for all
    that had to wait. The first ``backlog`` comments, in the topic already, measure the capacity. Nothing is cached.
    """
    settings = {"cache__max_entries": 0, **settings}
    topics = stand.topics()
    stand.fill(topics.input, comments[:backlog])
    with stand.program(topics, **settings) as program:
        stand.await_outputs(topics, backlog, PATIENCE)
        written = stand.written(topics)
        capacity = rate([message.timestamp()[1] for message in written])
        before = _counters(program, backlog)
        busy, own, began = machine.busy_seconds(stand.cpus), _own(stand, program), time.monotonic()
        arrivals = _arrivals(capacity * LOAD, seconds, len(comments) - backlog)
        late = _feed(stand, topics, comments[backlog:], arrivals)
        stand.await_outputs(topics, backlog + len(arrivals), PATIENCE)
        counters = _counters(program, len(arrivals))
        others = machine.busy_seconds(stand.cpus) - busy - (_own(stand, program) - own)
        others /= len(stand.cpus) * (time.monotonic() - began)
        assert program.stop() == 0
    events = labeled_events(stand.written(topics)[backlog:])
    came, left = np.array([(event["source"]["timestamp"], when) for event, when in events]).T  # type: ignore[index]
    waited = left - came
    p50, p99, most = np.percentile(waited, [50, 99, 100])
    windows = [waited[came // WINDOW == window] for window in np.unique(came // WINDOW)]
    return {
        "capacity_per_second": capacity,
        "offered_per_second": len(arrivals) / arrivals[-1],
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": most,
        "p99_of_the_median_window_ms": median(float(np.percentile(window, 99)) for window in windows),
        "windows_with_p99_under_a_second": sum(np.percentile(window, 99) < 1000 for window in windows) / len(windows),
        "cpu_taken_by_others": max(0.0, others),
        "feeder_late_p99_ms": late,
        "comments": len(waited),
        "comments_per_batch": len(arrivals) / (counters["batches"] - before["batches"]),
        "batch_at_capacity": before["comments_per_batch"],
        "load_average": machine.load_average(),
    }


def _own(stand: Stand, program: Program) -> float:
    """CPU time of the program and of the broker, which are on the same CPUs unless told otherwise."""
    broker = stand.broker_pid
    return machine.cpu_seconds(program.process.pid) + (machine.cpu_seconds(broker) if broker else 0.0)


def _arrivals(per_second: float, seconds: float, most: int) -> list[float]:
    rng = random.Random(23)
    now, arrivals = 0.0, []
    while now < seconds and len(arrivals) < most:
        now += rng.expovariate(per_second)
        arrivals.append(now)
    return arrivals


def _feed(stand: Stand, topics: Topics, comments: Sequence[Sent], arrivals: Sequence[float]) -> float:
    """Write each comment at its time; return how late the feeder itself was (p99, ms)."""
    producer = Producer({"bootstrap.servers": stand.broker.bootstrap, "linger.ms": 0})
    began = time.time()
    late = []
    for arrival, sent in zip(arrivals, comments, strict=False):
        due = began + arrival
        while (left := due - time.time()) > 0:
            producer.poll(0)
            time.sleep(min(left, 0.01))
        late.append((time.time() - due) * 1000)
        producer.produce(topics.input, sent.value, sent.key, timestamp=int(due * 1000))
    assert not producer.flush(60)
    return float(np.percentile(late, 99))


# ---- Memory ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    outputs: int
    rss_mb: float


def memory(stand: Stand, comments: Sequence[Sent], warm_up: int, **settings: object) -> Figures:
    """Resident memory of the program alone: after ``warm_up`` comments, and how it goes on from there."""
    topics = stand.topics()
    stand.fill(topics.input, comments)
    samples: list[_Sample] = []
    with stand.program(topics, **settings) as program:
        process = psutil.Process(program.process.pid)
        most = _Most(process)
        stand.await_outputs(
            topics,
            len(comments),
            PATIENCE * 3,
            lambda written: samples.append(_Sample(written, process.memory_info().rss / 1e6)),
        )
        peak = most.stop()
        assert program.stop() == 0
    after = [sample for sample in samples if sample.outputs >= warm_up]
    slope = np.polyfit([s.outputs for s in after], [s.rss_mb for s in after], 1)[0] if len(after) > 1 else 0.0
    tenths = np.linspace(0, len(samples) - 1, 11).astype(int)
    return {
        "rss_ready_mb": samples[0].rss_mb,
        "rss_after_warm_up_mb": after[0].rss_mb,
        "rss_end_mb": samples[-1].rss_mb,
        "rss_peak_mb": peak,
        "growth_mb_per_100000": float(slope) * 100_000,
        **{f"rss_at_{samples[i].outputs}_mb": samples[i].rss_mb for i in tenths},
        "load_average": machine.load_average(),
    }


class _Most:
    """The most memory that a process had, looked at ten times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._most = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self._most = max(self._most, self._process.memory_info().rss / 1e6)

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return self._most
