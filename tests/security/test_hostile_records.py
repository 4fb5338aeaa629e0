"""10,000 hostile records through the real program.

It stays up, its memory stays bounded, each record is accounted for once,
and nothing of them is in the log or the metrics.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer

from tests.conformance.ledger import PARTITIONS, dead_letter_source
from tests.conformance.program import Program, until
from tests.events.test_hostile_input import SECRET
from tests.security.hostile import Fate, Hostile, hostile_records
from tests.support.brokers import Broker
from tests.support.traffic import Topics, committed, end_offsets, produce_with_raw_header, read_all, unique_topics

COUNT = 10_000
SEED = 20261126
MEGABYTE = 1024 * 1024
GROWTH = 350 * MEGABYTE  # flow.max_bytes, twice the clients' queues, and room

Where = tuple[int, int]


def test_every_hostile_record_is_accounted_for_once(broker: Broker) -> None:
    topics = unique_topics()
    broker.create_topic(topics.input, PARTITIONS)
    broker.create_topic(topics.output, 4)
    broker.create_topic(topics.dead_letters, 8)
    # The embedded broker keeps about 5 MB a partition, and drops what is older.
    records = hostile_records(COUNT, SEED, large=1 if broker.kind == "mock" else 8)
    with Program(broker.bootstrap, topics, dead_letters__model_ratio=0, log__summary_interval=1) as program:
        process = psutil.Process(program.process.pid)
        before = process.memory_info().rss
        written = write(broker, topics, records)
        until(lambda: is_done(broker, topics), 180, "done", program)
        assert peak(program.process.pid) - before < GROWTH
        metrics = program.get("/metrics")[1]
        assert program.get("/livez")[0] == 200
        assert program.stop() == 0
        log = program.log

    fates, tombstones = read_fates(broker, topics)
    assert len(written) == COUNT
    assert sum(end_offsets(broker.bootstrap, topics.input, PARTITIONS).values()) == COUNT
    keys = Counter(record.key for record in records if record.fate == "tombstone")
    assert tombstones == keys
    expected = {where for where, record in written.items() if record.fate != "tombstone"}
    assert {where: found for where, found in fates.items() if len(found) != 1} == {}
    assert fates.keys() == expected
    wrong = {
        (record.kind, record.fate, fates[where][0])
        for where, record in written.items()
        if record.fate not in ("any", "tombstone") and fates[where][0] != record.fate
    }
    assert wrong == set()
    for line in log.splitlines():
        json.loads(line)  # no line is broken, and none is forged
    assert SECRET not in log + metrics
    counted = Counter(found[0] for found in fates.values())
    assert min(counted["labeled"], counted["skipped"], counted["dead"]) > 200, counted


def write(broker: Broker, topics: Topics, records: list[Hostile]) -> dict[Where, Hostile]:
    """Produce them all; return each by where it is."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 4_000_000, "linger.ms": 20})
    written: dict[Where, Hostile] = {}
    plain = [record for record in records if record.raw_header is None]
    for number, record in enumerate(plain):

        def noted(error: object, message: object, record: Hostile = record) -> None:
            assert error is None, (record.kind, error)
            written[message.partition(), message.offset()] = record  # type: ignore[attr-defined]

        producer.produce(
            topics.input,
            record.value,
            record.key,
            partition=number % PARTITIONS,
            headers=list(record.headers) or None,
            on_delivery=noted,
        )
        producer.poll(0)
    assert producer.flush(120) == 0
    end = end_offsets(broker.bootstrap, topics.input, PARTITIONS)[0]
    raw = (record for record in records if record.raw_header is not None)
    for offset, record in enumerate(raw, start=end):
        produce_with_raw_header(broker.bootstrap, topics.input, record.value or b"", record.raw_header or b"")
        written[0, offset] = record
    return written


def is_done(broker: Broker, topics: Topics) -> bool:
    ends = end_offsets(broker.bootstrap, topics.input, PARTITIONS)
    offsets = committed(broker.bootstrap, topics.group, topics.input, PARTITIONS)
    return sum(ends.values()) == COUNT and offsets == ends


def peak(pid: int) -> int:
    """Most bytes of memory that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    pytest.skip("this system does not tell a process's peak")


def read_fates(broker: Broker, topics: Topics) -> tuple[dict[Where, list[Fate]], Counter[bytes | None]]:
    """What became of each input, by where it was; and the keys of what was passed on as deleted."""
    fates: dict[Where, list[Fate]] = {}
    tombstones: Counter[bytes | None] = Counter()
    for message in read_all(broker.bootstrap, topics.output):
        value = message.value()
        if value is None:
            tombstones[message.key()] += 1
            continue
        event = json.loads(value)
        where = event["source"]["partition"], event["source"]["offset"]
        fates.setdefault(where, []).append(event["status"])
    for message in read_all(broker.bootstrap, topics.dead_letters):
        fates.setdefault(dead_letter_source(message), []).append("dead")
    return fates, tombstones
