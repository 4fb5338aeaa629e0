"""Producing and reading back with plain clients, apart from the code under test."""

from __future__ import annotations

import ctypes
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from consumer.demo.mock_cluster import _load


@dataclass(frozen=True)
class Topics:
    """The three topics of one test, and its group."""

    input: str
    output: str
    dead_letters: str
    group: str


def unique_topics() -> Topics:
    tag = uuid.uuid4().hex[:8]
    return Topics(f"comments-{tag}", f"labeled-{tag}", f"dead-{tag}", f"group-{tag}")


def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[bytes | None],
    *,
    key: bytes | None = None,
    partition: int | None = None,
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> None:
    """Produce and wait for every acknowledgement."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.max.bytes": 4_000_000})
    failed: list[object] = []

    def delivered(error: object, message: Message) -> None:
        if error is not None:
            failed.append(error)

    for value in values:
        where = {} if partition is None else {"partition": partition}
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered, headers=list(headers) or None, **where)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(60)
    assert not left
    assert not failed, failed


@contextmanager
def feeding(bootstrap: str, topic: str, values: Iterator[bytes], per_second: float = 200.0) -> Iterator[None]:
    """Produce one value after another at a steady rate in the background; all are acknowledged at the end."""
    over = threading.Event()
    failed: list[object] = []

    def feed() -> None:
        producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
        for value in values:
            producer.produce(topic, value, on_delivery=lambda error, message: failed.append(error) if error else None)
            producer.poll(0)
            if over.wait(1 / per_second):
                break
        if producer.flush(60):
            failed.append("not all were acknowledged")

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failed, failed


def read_all(bootstrap: str, topic: str, *, timeout: float = 30.0) -> list[Message]:
    """Everything in a topic, committed records only, in partition order."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        metadata = reader.list_topics(topic, timeout=timeout).topics[topic]
        ends = {}
        for number in metadata.partitions:
            low, high = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=timeout)
            if high > low:
                ends[number] = high
        reader.assign([TopicPartition(topic, number, 0) for number in ends])
        messages: list[Message] = []
        deadline = time.monotonic() + timeout
        while ends and time.monotonic() < deadline:
            for message in reader.consume(1000, 0.1):
                assert message.error() is None, message.error()
                messages.append(message)
            for position in reader.position([TopicPartition(topic, number) for number in ends]):
                if position.offset >= ends[position.partition]:
                    del ends[position.partition]
        assert not ends, f"{topic} could not be read to its end"
        return sorted(messages, key=lambda m: (m.partition(), m.offset()))
    finally:
        reader.close()


def committed(bootstrap: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Committed offsets of a group, -1001 where there is none."""
    asking = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    try:
        found = asking.committed([TopicPartition(topic, number) for number in range(partitions)], timeout=30)
        return {p.partition: p.offset for p in found}
    finally:
        asking.close()


def end_offsets(bootstrap: str, topic: str, partitions: int) -> dict[int, int]:
    asking = Consumer({"bootstrap.servers": bootstrap, "group.id": "nobody"})
    try:
        return {
            number: asking.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
            for number in range(partitions)
        }
    finally:
        asking.close()


def produce_with_raw_header(bootstrap: str, topic: str, value: bytes, name: bytes) -> None:
    """Produce one record whose header name is any bytes at all; the Python client cannot."""
    library = _load()
    error = ctypes.create_string_buffer(512)
    conf = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", bootstrap.encode(), error, 512)
    handle = library.rd_kafka_new(0, conf, error, 512)
    assert handle, error.value
    topic_, partition_, value_, flags_, header_, end_ = (ctypes.c_int(kind) for kind in (1, 3, 4, 7, 9, 0))
    library.rd_kafka_producev.restype = ctypes.c_int
    result = library.rd_kafka_producev(
        ctypes.c_void_p(handle),
        topic_, ctypes.c_char_p(topic.encode()),
        partition_, ctypes.c_int32(0),
        value_, ctypes.c_char_p(value), ctypes.c_size_t(len(value)),
        header_, ctypes.c_char_p(name), ctypes.c_char_p(b"x"), ctypes.c_ssize_t(1),
        flags_, ctypes.c_int(2),  # copy
        end_,
    )  # fmt: skip
    assert result == 0
    library.rd_kafka_flush.argtypes = [ctypes.c_void_p, ctypes.c_int]
    assert library.rd_kafka_flush(handle, 30_000) == 0
    library.rd_kafka_destroy(handle)
