"""Dead letters read back: what each says, and the record that it holds or stands for. No I/O."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pydantic import ValidationError

from consumer.delivery.records import Headers, Partition, Record
from consumer.events.sent_back import read_sent_back
from schemas import dead_letter as names
from schemas.dead_letter import DeadLetterHeaders, DeadLetterStub


class Letter(NamedTuple):
    """One dead letter of ours.

    Attributes:
        record: The dead letter as it stands on its topic.
        says: Its headers.
        origin: ``topic/partition/offset`` at which its record first stood in the input.
        stub: What it holds in the record's place; ``None`` if it holds the value, or a stub that cannot be read.
    """

    record: Record
    says: DeadLetterHeaders
    origin: str
    stub: DeadLetterStub | None

    @property
    def source(self) -> Partition:
        """Where its record was read from when it failed."""
        return Partition(self.says.source_topic, self.says.source_partition)

    @property
    def failed_record(self) -> str:
        """Names the record that failed: its coordinates. Several letters of one record are one to a replay."""
        return f"{self.says.source_topic}/{self.says.source_partition}/{self.says.source_offset}"

    @property
    def whole(self) -> bool:
        """Whether all of the record is here."""
        return not self.says.left_out


def read_letter(record: Record) -> Letter | None:
    """The dead letter in a record of the dead-letter topic; ``None`` if it is not one of this program's."""
    try:
        says = DeadLetterHeaders.parse(record.headers)
    except ValidationError:
        return None
    sent_back = read_sent_back(record.headers)
    if sent_back is None:
        return None
    stub = None
    if "value" in says.left_out:
        try:
            stub = DeadLetterStub.model_validate_json(record.value or b"")
        except ValidationError:
            stub = None
    return Letter(record, says, sent_back.origin, stub)


def is_record_of(letter: Letter, found: Record) -> bool:
    """Whether the record found at a letter's source is the one that failed, as far as the letter can tell.

    By SHA-256 and sizes; by sizes and timestamp where the letter holds no digest. A topic that was made anew has
    other records at the same offsets.
    """
    stub = letter.stub
    if letter.says.source_timestamp != found.timestamp_ms:
        return False
    if stub is None:  # its headers alone were left out
        return "value" not in letter.says.left_out and (letter.record.value, letter.record.key) == (
            found.value,
            found.key,
        )
    if (stub.key_size, stub.value_size) != (_size(found.key), _size(found.value)):
        return False
    return stub.value_sha256 is None or stub.value_sha256 == hashlib.sha256(found.value or b"").hexdigest()


def headers_to_send(letter: Letter, original: Headers) -> Headers:
    """The headers of the record when it is sent back: its own as they were, then how often it failed and its origin."""
    own = tuple((name, value) for name, value in original if name not in names.RESERVED)
    return (
        *own,
        (names.ORIGIN_HEADER, letter.origin.encode("ascii")),
        (names.ATTEMPT_HEADER, b"%d" % letter.says.attempt),
    )


def _size(content: bytes | None) -> int | None:
    return None if content is None else len(content)
