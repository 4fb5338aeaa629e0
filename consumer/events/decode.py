"""From a record's bytes to a comment, or to the reason why it is none. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import orjson
from pydantic import ValidationError

from consumer.classifier.token_bounds import bert_tokens
from consumer.delivery.records import Comment, Decoded, Failure, Headers, Record, Skipped, Stage, ToClassify, Tombstone
from consumer.events.mapping import DELETED, OTHER_KIND, FieldMapping, Kind, as_name
from consumer.events.paths import JsonObject
from consumer.events.traceparent import read_traceparent
from consumer.moderation.filters import TOO_OLD, skip_reason
from schemas.comment import CommentEvent

MAX_CHARS: Final = 10_000
"""Characters of a text that are looked at: far more than any model here reads, few enough to be tokenised cheaply."""

_BOM: Final = b"\xef\xbb\xbf"
"""Some producers write it before JSON; RFC 8259 lets readers pass over it."""

_TOMBSTONE: Final = Tombstone()


class Decoder:
    """Decodes each record by itself; what one record holds never changes what becomes of another.

    Args:
        preprocess: What the model wants done to a text first.
        max_tokens: The model's limit, [CLS] and [SEP] included.
        max_bytes: Largest value that is parsed.
        max_chars: Only this much of a text is preprocessed and classified; see :meth:`cuts`.
        mapping: Where the fields stand in the input's JSON, and which records are comments.
        token_bound: The most tokens that a preprocessed text can come to, before the model's limit.
        max_age: A comment whose record is older than this many seconds is skipped; 0 is no limit. A record without a
            timestamp has no age, and one from the future is not old.
        wall_clock: Seconds since the epoch; asked once a call, and only for such a limit.
    """

    def __init__(
        self,
        *,
        preprocess: Callable[[str], str],
        max_tokens: int,
        max_bytes: int,
        max_chars: int = MAX_CHARS,
        mapping: FieldMapping | None = None,
        token_bound: Callable[[str], int] = bert_tokens,
        max_age: float = 0.0,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        if min(max_tokens, max_bytes, max_chars) < 1 or max_age < 0:
            raise ValueError("max_tokens, max_bytes and max_chars are at least 1, max_age at least 0")
        if max_age and wall_clock is None:
            raise ValueError("an age needs a clock")
        self._preprocess = preprocess
        self._max_tokens = max_tokens
        self._max_bytes = max_bytes
        self._max_chars = max_chars
        self._token_bound = token_bound
        self._mapping = (mapping or FieldMapping()).compiled()
        self._special = self._mapping.tells_kinds or self._mapping.reads_headers
        self._max_age = max_age
        self._wall_clock = wall_clock
        self._oldest_ms = -math.inf  # of the call that is under way: what was written before is too old

    def decode(self, records: Sequence[Record]) -> list[Decoded]:
        """Exactly one result a record, in order. Never raises."""
        decode = self._decode
        if self._max_age and self._wall_clock is not None:
            self._oldest_ms = (self._wall_clock() - self._max_age) * 1000
        return [decode(record) for record in records]

    def cuts(self, comment: Comment) -> bool:
        """Whether the end of this comment's text never reaches the tokeniser."""
        return len(comment.text) > self._max_chars

    def _decode(self, record: Record) -> Decoded:
        value = record.value
        if value is None:
            if record.key is not None:
                return _TOMBSTONE
            return _failure("no_key_no_value", "the record has neither a key nor a value")
        if len(value) > self._max_bytes:
            return _failure("too_large", f"the value has {len(value)} bytes, more than {self._max_bytes}")
        try:
            event = orjson.loads(value if value[:1] != _BOM[:1] else value.removeprefix(_BOM))
            if type(event) is not dict:
                return _failure("not_an_object", "the value is JSON, but not an object")
            if self._special and (other := self._other(record, event)) is not None:
                return other
            comment = self._comment(self._mapping.apply(event, record.headers), record.headers)
            if record.timestamp_ms is not None and record.timestamp_ms < self._oldest_ms:
                return Skipped(comment, TOO_OLD)
            text = comment.text
            text = self._preprocess(text if len(text) <= self._max_chars else text[: self._max_chars])
            reason = skip_reason(text)
            if reason is not None:
                return Skipped(comment, reason)
            return ToClassify(comment, text, min(self._token_bound(text), self._max_tokens))
        except orjson.JSONDecodeError as error:
            return _failure("invalid_json", _where_it_fails(value, error))
        except ValidationError as error:
            missing = self._mapping.missing(event, record.headers)
            if missing is not None:
                return _failure("missing_field", missing)
            return _failure("invalid_field", self._explain(error, event, record.headers))
        except Exception as error:  # RecursionError, MemoryError, UnicodeError, and what preprocessing may raise
            return _failure(type(error).__name__, "decoding raised it")

    @staticmethod
    def _comment(event: JsonObject, headers: Headers | None) -> Comment:
        """Validate as :class:`~schemas.comment.CommentEvent` does.

        The usual shape, strings in the fields that are kept, is checked here by hand, which takes a third of the time;
        all else is left to the model.

        Raises:
            ValidationError: it is no comment.
        """
        get = event.get
        identifier, text = get("id"), get("text")
        channel, stream, author, lang = get("channel"), get("stream"), get("author"), get("lang")
        published_at, metadata = get("published_at"), get("metadata")
        if not (
            type(identifier) is str
            and identifier
            and type(text) is str
            and (channel is None or type(channel) is str)
            and (stream is None or type(stream) is str)
            and (author is None or type(author) is str)
            and (lang is None or type(lang) is str)
            and (published_at is None or type(published_at) is str or type(published_at) is int)
            and (metadata is None or type(metadata) is dict)
        ):
            valid = CommentEvent.model_validate(event)
            identifier, text = valid.id, valid.text
            channel, stream, author, lang = valid.channel, valid.stream, valid.author, valid.lang
        return Comment(identifier, text, channel, stream, author, lang, read_traceparent(headers) if headers else None)

    def _other(self, record: Record, event: JsonObject) -> Skipped | Failure | None:
        """What becomes of a record that is no comment, or none that may be read; ``None`` for a comment."""
        mapping, headers = self._mapping, record.headers
        if mapping.reads_headers and headers:
            size = sum(len(content or b"") for _, content in headers)
            if size > self._max_bytes:
                return _failure("too_large", f"the headers have {size} bytes, more than {self._max_bytes}")
        if not mapping.tells_kinds or (kind := mapping.kind(event, headers)) is Kind.COMMENT:
            return None
        if kind is Kind.UNSAID:
            return _failure("missing_field", mapping.missing_kind(event, headers))
        if kind is Kind.UNREADABLE:
            return _failure("invalid_field", f"{mapping.kind_place}: it says no kind of record, but something else")
        # Nothing is asked of it but to be told apart: what it lacks, or has in another form, is left out.
        about = mapping.own_or_deleted_id(kind, event, headers)
        there = mapping.apply(event, headers)
        comment = Comment(
            about or f"{record.partition.topic}/{record.partition.number}/{record.offset}",
            "",
            as_name(there.get("channel")),
            as_name(there.get("stream")),
            traceparent=read_traceparent(headers),
        )
        return Skipped(comment, DELETED if kind is Kind.DELETION else OTHER_KIND)

    def _explain(self, error: ValidationError, event: JsonObject, headers: Headers | None) -> str:
        """Each wrong field and its rule. The model's messages quote no input; deeper locations may, so none is used."""
        rules: dict[str, str] = {}
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            rules.setdefault(self._mapping.place(str(detail["loc"][0]), event, headers), detail["msg"])
        return "; ".join(f"{path}: {rule}" for path, rule in rules.items())


def _where_it_fails(value: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with a value, and where. The error's own text may hold the payload; a position does not."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as encoding:
        return f"the value is not UTF-8, at byte {encoding.start}"
    return f"the value is not JSON, at character {error.pos}"


def _failure(kind: str, message: str) -> Failure:
    return Failure(kind, message, Stage.DECODE)
