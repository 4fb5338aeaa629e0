"""Confluent Schema Registry's framing: the id of a value's schema before the value. No I/O.

A magic byte of 0 and four bytes of an id, big-endian, or a magic byte of 1 and a GUID of sixteen bytes. JSON begins
with neither byte, so a framed comment and a plain one are told apart, and a topic may hold both.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from consumer.delivery.ports import Codec
from consumer.delivery.records import Decoded, Destination, Failure, Message, Outcome, Record, Stage

_BY_MAGIC: Final = {0: 5, 1: 17}
"""Bytes before the value, by the magic byte."""


def frame(schema_id: int) -> bytes:
    """What stands before every value of this schema.

    Raises:
        ValueError: no registry gives such an id.
    """
    if not 0 < schema_id < 2**31:
        raise ValueError("a schema's id is a positive 32-bit integer")
    return struct.pack(">bI", 0, schema_id)


class FramedCodec:
    """Implements :class:`~consumer.delivery.ports.Codec` around another: frames off comments, a frame onto labels.

    Dead letters are left as they are: a whole one is the record byte for byte, and a stub has another schema.

    Args:
        codec: Reads and writes what is inside.
        max_bytes: A larger value is not looked at: the codec inside refuses it.
        frame: See :func:`frame`; ``None`` writes labels without one.
    """

    def __init__(self, codec: Codec, *, max_bytes: int, frame: bytes | None) -> None:
        self._codec = codec
        self._max_bytes = max_bytes
        self._frame = frame

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        """See :meth:`consumer.delivery.ports.Codec.decode`."""
        if not any(record.value and record.value[0] in _BY_MAGIC for record in records):
            return self._codec.decode(records)
        opened = [self._open(record) for record in records]
        decoded = iter(self._codec.decode([each for each in opened if isinstance(each, Record)]))
        return [next(decoded) if isinstance(each, Record) else each for each in opened]

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        """See :meth:`consumer.delivery.ports.Codec.encode`."""
        messages = self._codec.encode(outcomes)
        frame = self._frame
        if frame is None:
            return messages
        labeled = Destination.LABELED
        return [
            Message(labeled, message.key, frame + message.value, message.headers)
            if message.value is not None and message.destination is labeled
            else message
            for message in messages
        ]

    def stub(self, record: Record, failure: Failure) -> Message:
        """See :meth:`consumer.delivery.ports.Codec.stub`."""
        return self._codec.stub(record, failure)

    def _open(self, record: Record) -> Record | Failure:
        value = record.value
        if not value or len(value) > self._max_bytes or (size := _BY_MAGIC.get(value[0])) is None:
            return record
        if len(value) <= size:
            return Failure(
                "invalid_framing",
                f"the value begins with byte {value[0]}, as if a schema's id followed, but has only {len(value)} bytes",
                Stage.DECODE,
            )
        return record._replace(value=value[size:])
