"""Dead letters as the program writes them, made by hand and put on a topic."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Producer

from consumer.delivery.records import Failure, Headers, Message, Partition, Record, Stage
from consumer.events.dead_letters import DeadLetters
from consumer.replay.letters import Letter, read_letter

ODD: Headers = (("b", b"\xff\x00"), ("a", None), ("b", b""), ("名", b"x"), ("", b"\r\n"))
MALFORMED = Failure("invalid_json", "no JSON", Stage.DECODE)
BREAKING = Failure("RuntimeError", "it breaks", Stage.MODEL)


def record(
    topic: str = "comments",
    partition: int = 0,
    offset: int = 0,
    *,
    value: bytes | None = b"{}",
    key: bytes | None = b"k",
    headers: Headers | None = (),
    timestamp_ms: int | None = 1_769_860_800_000,
) -> Record:
    return Record(Partition(topic, partition), offset, timestamp_ms, key, value, headers)


def write(source: Record, failure: Failure = MALFORMED, **options: object) -> Message:
    """The dead letter of a record."""
    return DeadLetters(model_revision="r1", app_version="1", **options).write(source, failure)  # type: ignore[arg-type]


def stub(source: Record, failure: Failure = MALFORMED, **options: object) -> Message:
    return DeadLetters(model_revision="r1", app_version="1", **options).stub(source, failure)  # type: ignore[arg-type]


def as_read(
    message: Message, *, offset: int = 0, written_ms: int | None = 1_769_900_000_000, topic: str = "dead"
) -> Record:
    """As it comes from its topic."""
    return Record(Partition(topic, 0), offset, written_ms, message.key, message.value, message.headers)


def letter(source: Record | None = None, failure: Failure = MALFORMED, **options: object) -> Letter:
    """A dead letter read back."""
    found = read_letter(as_read(write(source or record(), failure, **options)))
    assert found is not None
    return found


def put(bootstrap: str, topic: str, messages: Iterable[Message], timestamps: Iterable[int] = ()) -> None:
    """Write dead letters to a topic, with these timestamps (ms) if given."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    failed: list[object] = []
    times = iter(timestamps)
    for message in messages:
        producer.produce(
            topic,
            message.value,
            message.key,
            partition=0,
            headers=list(message.headers),
            timestamp=next(times, 0),
            on_delivery=lambda error, sent: failed.append(error) if error else None,
        )
    assert not producer.flush(30)
    assert not failed
