"""What is done above a committed offset, as text in that offset's metadata. Pure.

Anybody who may commit for the group can write any text there, so it is believed only when it has exactly our form and a
checksum over the partition, the offset and the spans: an offset that was reset or copied to somewhere else by a tool
that kept the metadata is not ours any more.

The form: ``cc1 CHECKSUM SPANS``. The checksum is CRC-32 in 8 hex digits. A span is ``gap+length``: how far it begins
above the end of the one before (or the committed offset), and how long it is, in base 36; commas are between spans.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

from consumer.delivery.records import Partition
from consumer.delivery.spans import Span, largest

MAX_SPANS = 50
MAX_BYTES = 1000  # a broker takes 4096 by default (offset.metadata.max.bytes), and may be set to less
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SPAN = r"[0-9a-z]{1,13}\+[0-9a-z]{1,13}"
_FORM = re.compile(rf"cc1 ([0-9a-f]{{8}}) ({_SPAN}(?:,{_SPAN})*)")
_MAX_OFFSET = 2**63 - 1


def write_spans(
    partition: Partition,
    offset: int,
    above: Sequence[Span],
    *,
    max_spans: int = MAX_SPANS,
    max_bytes: int = MAX_BYTES,
) -> str:
    """The metadata for ``offset``: as many of the spans above it as there is room for, the largest first.

    What is left out is read again by the next owner, and so appears twice. No spans are the empty text.
    """
    for count in range(min(max_spans, len(above)), 0, -1):
        text = _written(partition, offset, largest(above, count))
        if len(text) <= max_bytes:
            return text
    return ""


def read_spans(partition: Partition, offset: int, metadata: str | None) -> tuple[Span, ...]:
    """The spans in a committed offset's metadata, ascending; none if it is not ours."""
    if not metadata or len(metadata) > MAX_BYTES:
        return ()
    found = _FORM.fullmatch(metadata)
    if found is None:
        return ()
    checksum, body = found.groups()
    if checksum != _checksum(partition, offset, body):
        return ()
    spans = []
    end = offset
    for part in body.split(","):
        gap, length = (int(number, 36) for number in part.split("+"))
        start = end + gap
        end = start + length
        if gap < 1 or length < 1 or end > _MAX_OFFSET:
            return ()
        spans.append(Span(start, end))
    return tuple(spans)


def _written(partition: Partition, offset: int, spans: Sequence[Span]) -> str:
    parts = []
    end = offset
    for span in spans:
        parts.append(f"{_base36(span.start - end)}+{_base36(span.end - span.start)}")
        end = span.end
    body = ",".join(parts)
    return f"cc1 {_checksum(partition, offset, body)} {body}"


def _checksum(partition: Partition, offset: int, body: str) -> str:
    return f"{crc32(f'{partition.topic}/{partition.number}/{offset} {body}'.encode()):08x}"


def _base36(number: int) -> str:
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)) or "0"
