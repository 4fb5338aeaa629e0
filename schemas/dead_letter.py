"""What stands on the dead-letter topic: the original record with these headers, or a stub in its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field

from schemas.base import Event
from schemas.labeled import SourceRef

SCHEMA_VERSION: Final = 1

VERSION_HEADER: Final = "dlq.schema.version"
ERROR_TYPE_HEADER: Final = "dlq.error.type"
ERROR_MESSAGE_HEADER: Final = "dlq.error.message"
STAGE_HEADER: Final = "dlq.stage"
ATTEMPT_HEADER: Final = "dlq.attempt"
SOURCE_TOPIC_HEADER: Final = "dlq.source.topic"
SOURCE_PARTITION_HEADER: Final = "dlq.source.partition"
SOURCE_OFFSET_HEADER: Final = "dlq.source.offset"
SOURCE_TIMESTAMP_HEADER: Final = "dlq.source.timestamp"
MODEL_REVISION_HEADER: Final = "dlq.model.revision"
APP_VERSION_HEADER: Final = "dlq.app.version"
LEFT_OUT_HEADER: Final = "dlq.left_out"
ORIGIN_HEADER: Final = "dlq.origin"
RUN_ID_HEADER: Final = "dlq.run_id"

Part = Literal["key", "value", "headers"]
"""A part of the original record."""


def _split(value: object) -> object:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


def _one(value: object) -> object:
    return 1 if value == "1" else value


class DeadLetterHeaders(Event):
    """The headers added to a dead letter, by their names on the wire.

    Every value is UTF-8 text; the types here are those of what it says, integers in decimal.

    They follow the record's own headers, which stay as they were. A record that is sent back to the input carries two
    of them there, dlq.origin and dlq.attempt; if it fails again, all are written anew and the attempt is counted up.
    These names are reserved.
    """

    schema_version: Annotated[Literal[1], BeforeValidator(_one, json_schema_input_type=Literal[1])] = Field(
        alias=VERSION_HEADER, description="Version of these headers."
    )
    error_type: str = Field(
        alias=ERROR_TYPE_HEADER,
        description="What went wrong, in one word: too_large, invalid_json, not_an_object, missing_field, "
        "invalid_field, no_key_no_value, or another. Expect new ones.",
    )
    error_message: str = Field(
        alias=ERROR_MESSAGE_HEADER, description="What went wrong, in words. Holds nothing of the record."
    )
    stage: str = Field(
        alias=STAGE_HEADER,
        description="Where: decode (not a valid comment), model (breaks the model), publish (its event was refused).",
    )
    attempt: int = Field(alias=ATTEMPT_HEADER, ge=1, description="How often this record has become a dead letter.")
    source_topic: str = Field(alias=SOURCE_TOPIC_HEADER, description="Topic the record was read from.")
    source_partition: int = Field(alias=SOURCE_PARTITION_HEADER, ge=0, description="Its partition.")
    source_offset: int = Field(alias=SOURCE_OFFSET_HEADER, ge=0, description="Its offset.")
    source_timestamp: int | None = Field(
        default=None,
        alias=SOURCE_TIMESTAMP_HEADER,
        description="Its timestamp, milliseconds since the epoch; absent if it has none.",
    )
    model_revision: str = Field(alias=MODEL_REVISION_HEADER, description="Revision of the model in service.")
    app_version: str = Field(alias=APP_VERSION_HEADER, description="Version of the program.")
    left_out: Annotated[list[Part], BeforeValidator(_split, json_schema_input_type=str)] = Field(
        default=[],
        alias=LEFT_OUT_HEADER,
        description="Parts of the record that are not here, with commas between: key, value, headers. Where value is "
        "left out, the value is a DeadLetterStub. Absent if all is here.",
    )
    origin: str | None = Field(
        default=None,
        alias=ORIGIN_HEADER,
        description="topic/partition/offset at which this record first stood in the input, if it has been sent back "
        "since then; absent the first time.",
    )
    run_id: str | None = Field(
        default=None,
        alias=RUN_ID_HEADER,
        description="The relabelling during which it failed; absent for the live service. Such a letter is not sent "
        "back to the input.",
    )

    @classmethod
    def parse(cls, headers: Iterable[tuple[str, bytes | None]] | None) -> Self:
        """Read them out of a record's headers, as Kafka clients give them; of repeated names the last one counts.

        Raises:
            pydantic.ValidationError: a header is missing or wrong. Never shows a value.
        """
        ours = {name: value.decode("utf-8", "replace") for name, value in headers or () if value and name in RESERVED}
        return cls.model_validate(ours)


RESERVED: Final = frozenset(field.alias or name for name, field in DeadLetterHeaders.model_fields.items())
"""The names of all headers added to dead letters."""


class DeadLetterStub(Event):
    """The value of a dead letter whose own value could not, or was not allowed to, be written: a JSON object in UTF-8.

    The record itself can be read at its source as long as the input topic keeps it.
    """

    schema_version: Literal[1] = Field(description="Version of this schema.")
    source: SourceRef = Field(description="Where the record is.")
    key_size: int | None = Field(ge=0, description="Bytes of the record's key; null if it has none.")
    value_size: int | None = Field(ge=0, description="Bytes of the record's value; null if it has none.")
    value_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the record's value, to know it by; absent where the operator keeps coordinates only.",
    )
    left_out: list[Part] = Field(description="Parts of the record that are not in this dead letter.")
