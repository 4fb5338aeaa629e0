"""From labeled rows to lines: JSON or CSV. No I/O.

The events are those of the consumer, made by the same encoder under the same policy, less what only a stream has
(``source``, ``classified_at``, ``latency_ms``): a line depends on the comment, the model and the policy alone, so the
same input gives the same bytes whenever it is labeled.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from consumer.delivery.records import (
    Destination,
    Failure,
    Labeled,
    Message,
    Outcome,
    Partition,
    Record,
    Skipped,
    Stage,
    ToClassify,
    Verdict,
)
from consumer.files.labeler import FileRow

_STREAM_ONLY = ("source", "classified_at", "latency_ms")
_PLAIN = ("event_id", "line", "comment_id", "status", "skip_reason", "action", "reasons", "truncated")
_OPTIONAL = ("channel", "stream", "author", "lang")


class Encodes(Protocol):
    """What is needed of :class:`consumer.events.encode.Encoder`."""

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]: ...


class Form(Protocol):
    """How events are written."""

    @property
    def header(self) -> bytes:
        """What stands before the first event."""
        ...

    def lines(self, events: Iterable[dict[str, Any]]) -> bytes: ...


class JsonForm:
    """One JSON object a line."""

    header = b""

    def lines(self, events: Iterable[dict[str, Any]]) -> bytes:
        """The events, each with its end of line."""
        return b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)


class CsvForm:
    """A table: for each label its score and whether it is flagged. Reasons stand with spaces between."""

    def __init__(self, labels: Sequence[str], *, with_text: bool) -> None:
        self._labels = tuple(labels)
        self._with_text = with_text
        columns = list(_PLAIN)
        for label in labels:
            columns += [f"{label}.score", f"{label}.flagged"]
        columns += [*_OPTIONAL, "policy_digest", "model_digest"] + ["text"] * with_text
        self.header = self._row(columns)

    def lines(self, events: Iterable[dict[str, Any]]) -> bytes:
        """The events, a record each; a text with a line break in it is quoted and spans lines."""
        return b"".join(self._row(self._values(event)) for event in events)

    def _values(self, event: dict[str, Any]) -> list[object]:
        values: list[object] = [event.get(name) for name in _PLAIN]
        values[_PLAIN.index("reasons")] = " ".join(event["reasons"])
        scores = {each["label"]: each for each in event["labels"]}
        for label in self._labels:
            found = scores.get(label, {})
            values += [found.get("score"), found.get("flagged")]
        values += [event.get(name) for name in _OPTIONAL]
        values += [event["policy"]["digest"], (event["model"] or {}).get("digest")]
        return values + ([event.get("text")] if self._with_text else [])

    @staticmethod
    def _row(values: Iterable[object]) -> bytes:
        written = io.StringIO()
        spelled = [str(value).lower() if isinstance(value, bool) else value for value in values]
        csv.writer(written, lineterminator="\n").writerow(spelled)
        return written.getvalue().encode("utf-8", "replace")


class Written(NamedTuple):
    """What some rows come to."""

    events: bytes
    rejects: bytes
    labeled: int
    skipped: int
    rejected: tuple[tuple[int, Failure], ...]


class Lines:
    """Writes rows as events, and those that are no comments as lines of the report on rejected ones.

    Args:
        name: The input's name, for ``event_id``: ``NAME/LINE``.
        encoder: The consumer's own.
        form: How an event is written.
    """

    def __init__(self, name: str, encoder: Encodes, form: Form) -> None:
        self._partition = Partition(name, 0)
        self._encoder = encoder
        self._form = form

    @property
    def header(self) -> bytes:
        return self._form.header

    def write(self, rows: Sequence[FileRow]) -> Written:
        """Encode rows in order."""
        outcomes: list[tuple[Record, Outcome]] = []
        failures: dict[int, Failure] = {}
        for row in rows:
            outcome = _outcome(row)
            if isinstance(outcome, Failure):
                failures[row.number] = outcome
            else:
                outcomes.append((Record(self._partition, row.number, None, None, None), outcome))
        events: list[dict[str, Any]] = []
        skipped = 0
        for (record, outcome), message in zip(outcomes, self._encoder.encode(outcomes), strict=True):
            if message.destination is not Destination.LABELED or message.value is None:
                failures[record.offset] = Failure("non_finite_score", "the model's answer is no number", Stage.MODEL)
                continue
            skipped += isinstance(outcome, Skipped)
            events.append(self._event(record.offset, orjson.loads(message.value)))
        rejected = tuple(sorted(failures.items()))
        report = b"".join(_reject(number, failure) for number, failure in rejected)
        return Written(self._form.lines(events), report, len(events) - skipped, skipped, rejected)

    def _event(self, number: int, event: dict[str, Any]) -> dict[str, Any]:
        for name in _STREAM_ONLY:
            event.pop(name, None)
        version = event.pop("schema_version")
        in_a_stream = event.pop("event_id")
        here = f"{self._partition.topic}/{number}"
        if event["comment_id"] == in_a_stream:  # it is about no comment
            event["comment_id"] = here
        return {"schema_version": version, "event_id": here, "line": number, **event}


def _outcome(row: FileRow) -> Outcome:
    decoded = row.decoded
    if not isinstance(decoded, ToClassify):
        return decoded
    assert row.verdict is not None, "a row came back from the model without a verdict"
    return Labeled(decoded.comment, row.verdict, 0.0) if isinstance(row.verdict, Verdict) else row.verdict


def _reject(number: int, failure: Failure) -> bytes:
    said = {"line": number, "stage": failure.stage.value, "error": failure.type, "message": failure.message}
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
