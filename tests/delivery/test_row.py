"""What a row weighs."""

from __future__ import annotations

from consumer.delivery.records import Comment, Decoded, Failure, Record, Skipped, Stage, ToClassify, Tombstone
from consumer.delivery.row import Row
from consumer.delivery.tracker import Assignment
from tests.delivery.fakes import P0


def row(record: Record, decoded: Decoded) -> Row:
    return Row.of(record, Assignment(P0, 1), decoded, 12.5)


def test_its_size_counts_key_value_and_headers_as_received() -> None:
    record = Record(P0, 0, None, b"key", b"value", (("name", b"12"), ("none", None)))
    assert row(record, Tombstone()).size == 3 + 5 + 4 + 2 + 4


def test_missing_parts_and_unreadable_headers_weigh_nothing() -> None:
    assert row(Record(P0, 0, None, None, None, None), Tombstone()).size == 0


def test_only_what_goes_to_the_model_costs_tokens() -> None:
    record = Record(P0, 0, None, None, b"value")
    comment = Comment("id", "text")
    assert row(record, ToClassify(comment, "text", 6)).tokens == 6
    for free in (Skipped(comment, "empty"), Tombstone(), Failure("Bad", "", Stage.DECODE)):
        assert row(record, free).tokens == 0


def test_it_remembers_when_it_was_received_and_starts_without_a_verdict() -> None:
    fresh = row(Record(P0, 0, None, None, None), Tombstone())
    assert fresh.received_at == 12.5
    assert fresh.verdict is None
    assert fresh.message is None
    assert fresh.attempts == 0


def test_two_rows_are_never_equal_even_with_the_same_content() -> None:
    record = Record(P0, 0, None, None, None)
    assert row(record, Tombstone()) != row(record, Tombstone())
