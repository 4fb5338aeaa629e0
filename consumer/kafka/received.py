"""From the client's message to our record.

A header name that is not UTF-8 makes ``headers()`` raise, and a second call would crash: it is called once, and through
:data:`_read_headers`: at a call site that CPython has specialised (after a few dozen calls) the error would not be
raised but stay pending beside a list with a NULL in it.
"""

from __future__ import annotations

from operator import methodcaller

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from consumer.delivery.records import Headers, Partition, Record

_read_headers = methodcaller("headers")  # calls from C, where a result beside a pending error is always noticed


def record_of(message: Message) -> Record:
    """The record in a message without an error. Its headers are ``None`` when their names cannot be read."""
    try:
        found = _read_headers(message)  # once: after a failure a second call crashes the interpreter
    except Exception:
        headers: Headers | None = None
    else:
        headers = tuple((name, value) for name, value in found) if isinstance(found, list) else ()
    offset = message.offset()
    assert offset is not None
    kind, timestamp = message.timestamp()
    return Record(
        partition_of(message),
        offset,
        None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        message.key(),
        message.value(),
        headers,
        message.leader_epoch(),
    )


def partition_of(message: Message) -> Partition:
    """Where a message, or an error event of a partition, comes from."""
    topic, number = message.topic(), message.partition()
    assert topic is not None
    assert number is not None
    return Partition(topic, number)
