"""What a record says of the times it was a dead letter; producers may say anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.records import Headers
from consumer.events.sent_back import SentBack, read_sent_back
from schemas.dead_letter import RESERVED
from tests.events.records import unhurried

COPIED: Headers = (
    ("dlq.source.topic", b"comments"),
    ("dlq.source.partition", b"3"),
    ("dlq.source.offset", b"41"),
    ("dlq.attempt", b"1"),
)


@pytest.mark.parametrize("headers", [None, (), (("mine", b"1"),)])
def test_most_records_were_never_sent_back(headers: Headers | None) -> None:
    assert read_sent_back(headers) is None


def test_origin_and_attempts_are_read_among_other_headers() -> None:
    headers = (("a", None), ("dlq.origin", b"comments/3/41"), ("b", b"\xff"), ("dlq.attempt", b"2"))
    assert read_sent_back(headers) == SentBack("comments/3/41", 2)


def test_a_dead_letter_copied_back_by_hand_is_known_by_its_source() -> None:
    assert read_sent_back(COPIED) == SentBack("comments/3/41", 1)


def test_the_origin_counts_more_than_the_source_of_the_last_failure() -> None:
    assert read_sent_back((*COPIED, ("dlq.origin", b"comments/0/7"))) == SentBack("comments/0/7", 1)


@pytest.mark.parametrize(
    "origin",
    [b"", None, b"comments", b"comments/3", b"comments/3/41/5", b"com ments/3/41", b"comments/-3/41", b"c\n/1/1",
     b"comments/3/41\n", "留言/3/41".encode(), b"\xff/1/1", b"c/" + b"1" * 11 + b"/1", b"c" * 250 + b"/1/1"],
)  # fmt: skip
def test_an_origin_that_makes_no_sense_is_none(origin: bytes | None) -> None:
    assert read_sent_back((("dlq.origin", origin), ("dlq.attempt", b"1"))) is None


@unhurried
@given(st.lists(st.tuples(st.sampled_from(sorted(RESERVED)) | st.text(max_size=5), st.none() | st.binary(max_size=20))))
def test_nothing_that_a_header_holds_raises(headers: list[tuple[str, bytes | None]]) -> None:
    found = read_sent_back(tuple(headers))
    assert found is None or (found.attempts >= 0 and found.origin.isascii())
