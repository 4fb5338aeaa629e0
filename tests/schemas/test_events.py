from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas import CommentEvent, DeadLetterHeaders, LabeledEvent
from schemas.dead_letter import RESERVED

SAMPLES = Path(__file__).parent / "samples" / "v1"
SECRET = "5ecret-payl0ad"
OPTIONAL = {"dlq.left_out", "dlq.source.timestamp", "dlq.origin", "dlq.run_id"}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    return event


@pytest.mark.parametrize("identifier", [True, False, 1.0, None, "", [], {}])
def test_a_comment_id_is_a_string_or_an_integer(identifier: object) -> None:
    with pytest.raises(ValidationError):
        CommentEvent.model_validate({"id": identifier, "text": "hi"})


def test_an_integer_id_becomes_its_digits() -> None:
    assert CommentEvent.model_validate({"id": -12, "text": ""}).id == "-12"


def test_validation_errors_never_show_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        CommentEvent.model_validate({"id": [SECRET], "text": {SECRET: 1}, "metadata": SECRET})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"status": "maybe"},
        {"labels": []},
        {"model": None},
        {"skip_reason": "empty"},
        {"classified_at": "2026-01-31T12:00:00"},
        {"event_id": ""},
    ],
    ids=str,
)
def test_a_labeled_event_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LabeledEvent.model_validate({**sample("labeled-minimal"), **change})


def test_a_skipped_event_has_no_labels() -> None:
    with pytest.raises(ValidationError):
        LabeledEvent.model_validate({**sample("labeled-minimal"), "status": "skipped", "skip_reason": "empty"})


def test_dead_letter_headers_are_found_among_others_and_the_last_one_counts() -> None:
    ours = [(name, value.encode()) for name, value in sample("dead-letter-headers-stub").items()]
    headers = [("dlq.attempt", b"99"), ("dlq.other", b"\xff"), ("trace", None), *ours]
    parsed = DeadLetterHeaders.parse(headers)
    assert (parsed.attempt, parsed.left_out) == (3, ["key", "value", "headers"])
    assert parsed.source_timestamp is None


@pytest.mark.parametrize("missing", sorted(RESERVED - OPTIONAL))
def test_a_record_without_one_of_the_headers_is_no_dead_letter(missing: str) -> None:
    headers = [(n, v.encode()) for n, v in sample("dead-letter-headers-whole").items() if n != missing]
    with pytest.raises(ValidationError):
        DeadLetterHeaders.parse(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dlq.attempt", SECRET),
        ("dlq.attempt", "9" * 5000),
        ("dlq.attempt", "0"),
        ("dlq.schema.version", "9" * 5000),
        ("dlq.schema.version", "2"),
        ("dlq.left_out", SECRET),
    ],
)
def test_a_wrong_header_is_refused_and_not_shown(name: str, value: str) -> None:
    headers = [(n, v.encode()) for n, v in {**sample("dead-letter-headers-whole"), name: value}.items()]
    with pytest.raises(ValidationError) as caught:
        DeadLetterHeaders.parse(headers)
    assert value not in str(caught.value) or value in ("0", "2")


def test_unreadable_headers_are_no_dead_letter() -> None:
    with pytest.raises(ValidationError):
        DeadLetterHeaders.parse(None)
