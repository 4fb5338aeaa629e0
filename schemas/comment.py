"""The input: one comment, as a producer writes it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictInt, StrictStr

from schemas.base import Event


def _integer_as_text(value: object) -> object:
    """``12`` as ``"12"``; anything else, ``true`` included, is left for the string's own check."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_NonEmpty = Annotated[StrictStr, Field(min_length=1)]
Identifier = Annotated[_NonEmpty, BeforeValidator(_integer_as_text, json_schema_input_type=_NonEmpty | StrictInt)]
"""A non-empty string; integers of up to 64 bits are read as their decimal digits."""
Name = Annotated[StrictStr, BeforeValidator(_integer_as_text, json_schema_input_type=StrictStr | StrictInt)]
"""A string; integers of up to 64 bits are read as their decimal digits."""


class CommentEvent(Event):
    """One comment of a live stream: a JSON object in UTF-8, one a Kafka record.

    Unknown fields are ignored and optional ones may be null or absent. A record with a key and no value (a tombstone)
    says that the comment was deleted. The Kafka key is handed on as it is; give comments that must stay in order the
    same key, such as their channel.
    """

    id: Identifier = Field(
        description="The comment's own id, handed on as comment_id. An integer is read as its decimal digits."
    )
    text: StrictStr = Field(description="What was written. A text with nothing to read in it is skipped, not labeled.")
    channel: Name | None = Field(default=None, description="Channel the comment was written in; handed on.")
    stream: Name | None = Field(default=None, description="Live stream (video) it belongs to; handed on.")
    author: Name | None = Field(default=None, description="Who wrote it, an id rather than a name; handed on.")
    published_at: StrictStr | StrictInt | None = Field(
        default=None,
        description="When it was written: RFC 3339, or milliseconds since the epoch. Not interpreted.",
    )
    lang: StrictStr | None = Field(default=None, description="Language as a BCP 47 tag, such as zh-TW; handed on.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="Anything else the producer wants to keep with the comment. Not read."
    )
