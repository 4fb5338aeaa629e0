"""From a failure to a dead letter: the record as it was, plus headers that say what happened. No I/O."""

from __future__ import annotations

import hashlib
from typing import Final

import orjson

from consumer.delivery.records import Destination, Failure, Headers, Message, Record
from consumer.events.sent_back import earlier_attempts, read_sent_back
from schemas import dead_letter as names
from schemas.dead_letter import Part

MAX_MESSAGE_CHARS: Final = 500
STUB_KEY_BYTES: Final = 1024
"""A stub keeps a key up to this size, so that it stays with its neighbours."""
_RECORD_OVERHEAD: Final = 128  # bytes of a Kafka record batch around one record
_HEADER_OVERHEAD: Final = 8  # bytes of lengths around one header


class DeadLetters:
    """Writes dead letters.

    Args:
        model_revision: The model in service.
        app_version: The program's own version.
        max_message_bytes: What the topic takes; a larger dead letter becomes a stub. A topic that takes less says so,
            and is then given :meth:`stub`.
        coordinates_only: Leave out key, value and headers always: they are personal data.
        run_id: Names a deliberate relabelling.
    """

    def __init__(
        self,
        *,
        model_revision: str,
        app_version: str,
        max_message_bytes: int = 1_000_000,
        coordinates_only: bool = False,
        run_id: str | None = None,
    ) -> None:
        self._lineage: Headers = (
            (names.MODEL_REVISION_HEADER, _text(model_revision)),
            (names.APP_VERSION_HEADER, _text(app_version)),
        )
        if run_id is not None:
            self._lineage += ((names.RUN_ID_HEADER, _text(run_id)),)
        self._max_message_bytes = max_message_bytes
        self._coordinates_only = coordinates_only

    def write(self, record: Record, failure: Failure) -> Message:
        """The dead letter of a record: whole if that can be, else a stub. Unreadable headers alone are left out."""
        if self._coordinates_only:
            return self.stub(record, failure)
        kept: Headers = ()
        left_out: tuple[Part, ...] = ()
        if record.headers is None:
            left_out = ("headers",)
        elif any(name in names.RESERVED for name, _ in record.headers):
            # It was a dead letter before, and was sent back: its headers are ours, and are written anew.
            kept = tuple((name, value) for name, value in record.headers if name not in names.RESERVED)
        else:
            kept = record.headers
        message = Message(
            Destination.DEAD_LETTER, record.key, record.value, kept + self._headers(record, failure, left_out)
        )
        return message if _size(message) <= self._max_message_bytes else self.stub(record, failure)

    def stub(self, record: Record, failure: Failure) -> Message:
        """A dead letter under 8 KiB: it says where the record is, and holds at most the key of it."""
        key = record.key
        left_out: list[Part] = ["value"]
        if key is not None and (self._coordinates_only or len(key) > STUB_KEY_BYTES):
            key = None
            left_out.insert(0, "key")
        if record.headers is None or record.headers:
            left_out.append("headers")
        value = record.value
        stub: dict[str, object] = {
            "schema_version": names.SCHEMA_VERSION,
            "source": {
                "topic": record.partition.topic,
                "partition": record.partition.number,
                "offset": record.offset,
                "timestamp": record.timestamp_ms,
            },
            "key_size": None if record.key is None else len(record.key),
            "value_size": None if value is None else len(value),
            "left_out": left_out,
        }
        if value is not None and not self._coordinates_only:  # a short text can be guessed from its digest
            stub["value_sha256"] = hashlib.sha256(value).hexdigest()
        return Message(
            Destination.DEAD_LETTER, key, orjson.dumps(stub), self._headers(record, failure, tuple(left_out))
        )

    def _headers(self, record: Record, failure: Failure, left_out: tuple[Part, ...]) -> Headers:
        added: list[tuple[str, bytes | None]] = [
            (names.VERSION_HEADER, b"%d" % names.SCHEMA_VERSION),
            (names.ERROR_TYPE_HEADER, _text(failure.type)),
            (names.ERROR_MESSAGE_HEADER, _text(failure.message)),
            (names.STAGE_HEADER, _text(failure.stage.value)),
            (names.ATTEMPT_HEADER, b"%d" % (earlier_attempts(record.headers) + failure.attempt)),
            (names.SOURCE_TOPIC_HEADER, _text(record.partition.topic)),
            (names.SOURCE_PARTITION_HEADER, b"%d" % record.partition.number),
            (names.SOURCE_OFFSET_HEADER, b"%d" % record.offset),
        ]
        if record.timestamp_ms is not None:
            added.append((names.SOURCE_TIMESTAMP_HEADER, b"%d" % record.timestamp_ms))
        added += self._lineage
        if (sent_back := read_sent_back(record.headers)) is not None:
            added.append((names.ORIGIN_HEADER, _text(sent_back.origin)))
        if left_out:
            added.append((names.LEFT_OUT_HEADER, _text(",".join(left_out))))
        return tuple(added)


def _text(text: str) -> bytes:
    """A header value: one line, of bounded length, in valid UTF-8 whatever the text holds."""
    line = "".join(char if char.isprintable() else " " for char in text[:MAX_MESSAGE_CHARS])
    return line.encode("utf-8", "replace")


def _size(message: Message) -> int:
    """About what this message takes on the wire uncompressed, in bytes; never less."""
    size = _RECORD_OVERHEAD + len(message.key or b"") + len(message.value or b"")
    return size + sum(
        len(name.encode("utf-8", "replace")) + len(value or b"") + _HEADER_OVERHEAD for name, value in message.headers
    )
