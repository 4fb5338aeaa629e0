"""What a dead letter says, and which of them go back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.records import Failure, Headers, Stage
from consumer.replay.ledger import Ledger, marker
from consumer.replay.letters import headers_to_send, is_record_of, read_letter
from consumer.replay.selection import Fate, Filters, Selection
from schemas.dead_letter import RESERVED
from tests.events.records import unhurried
from tests.replay.letters import BREAKING, MALFORMED, ODD, as_read, letter, record, stub, write

# ---- Letters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [None, (), (("dlq.attempt", b"1"),), write(record()).headers[1:], (*write(record()).headers, ("dlq.stage", b""))],
    ids=["unreadable", "none", "one", "all-but-one", "emptied-by-a-later-one"],
)
def test_a_record_without_our_headers_is_no_letter(headers: Headers | None) -> None:
    read = read_letter(as_read(write(record()))._replace(headers=headers))
    assert (read is None) is (headers is None or len(headers) < 11)


def test_a_records_own_headers_come_back_unchanged_and_in_order_before_ours() -> None:
    read = letter(record("comments", 2, 41, headers=ODD))
    sent = headers_to_send(read, read.record.headers or ())
    assert sent == (*ODD, ("dlq.origin", b"comments/2/41"), ("dlq.attempt", b"1"))


def test_a_record_that_fails_again_and_again_keeps_its_origin_and_is_counted_up() -> None:
    headers: Headers = ODD
    for attempt in (1, 2, 3):
        read = letter(record("comments", 2, 41 + 1000 * (attempt - 1), headers=headers))
        assert (read.says.attempt, read.origin) == (attempt, "comments/2/41")
        assert read.failed_record == f"comments/2/{41 + 1000 * (attempt - 1)}"
        headers = headers_to_send(read, read.record.headers or ())
        assert headers[: len(ODD)] == ODD


@unhurried
@given(
    st.lists(
        st.tuples(st.text(max_size=5).filter(lambda name: name not in RESERVED), st.none() | st.binary(max_size=5))
    )
)
def test_whatever_the_headers_are_they_come_back(headers: list[tuple[str, bytes | None]]) -> None:
    read = letter(record(headers=tuple(headers)))
    assert headers_to_send(read, read.record.headers or ())[:-2] == tuple(headers)


SOURCE = record("comments", 1, 7, value=b"x" * 50)


@pytest.mark.parametrize("only_coordinates", [False, True])
@pytest.mark.parametrize(
    ("found", "is_it"),
    [
        (SOURCE, True),
        (SOURCE._replace(value=b"y" * 50), None),  # told apart by the digest alone
        (SOURCE._replace(value=b"x" * 51), False),
        (SOURCE._replace(value=None), False),
        (SOURCE._replace(key=b"another"), False),
        (SOURCE._replace(timestamp_ms=5), False),
    ],
)
def test_a_record_found_at_a_stubs_coordinates_is_known_again(
    found: Any, is_it: bool | None, only_coordinates: bool
) -> None:
    read = read_letter(as_read(stub(SOURCE, coordinates_only=only_coordinates)))
    assert read is not None
    assert is_record_of(read, found) is (only_coordinates if is_it is None else is_it)


def test_a_stub_that_cannot_be_read_is_of_no_record() -> None:
    read = read_letter(as_read(stub(SOURCE))._replace(value=b"{"))
    assert read is not None
    assert not is_record_of(read, SOURCE)


# ---- Selection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "asked_for"),
    [
        (Filters(), True),
        (Filters(since_ms=1000), True),
        (Filters(since_ms=1001), False),
        (Filters(until_ms=1001), True),
        (Filters(until_ms=1000), False),
        (Filters(error_types=frozenset({"invalid_json", "x"})), True),
        (Filters(error_types=frozenset({"x"})), False),
        (Filters(stages=frozenset({"decode"})), True),
        (Filters(stages=frozenset({"model"})), False),
        (Filters(partitions=frozenset({0, 3})), True),
        (Filters(partitions=frozenset({0})), False),
        (Filters(since_ms=0, stages=frozenset({"decode"}), partitions=frozenset({4})), False),
    ],
)
def test_every_filter_must_fit(filters: Filters, asked_for: bool) -> None:
    read = read_letter(as_read(write(record(partition=3)), written_ms=1000))
    assert read is not None
    assert filters.ask_for(read) is asked_for


def test_a_letter_without_a_timestamp_is_in_no_time_window() -> None:
    read = read_letter(as_read(write(record()), written_ms=None))
    assert read is not None
    assert Filters().ask_for(read)
    assert not Filters(since_ms=0).ask_for(read)
    assert not Filters(until_ms=2**50).ask_for(read)


ALL = Selection(Filters(), "comments", max_attempts=3)


@pytest.mark.parametrize(
    ("message", "fate"),
    [
        (write(record()), Fate.SEND),
        (stub(record()), Fate.FETCH),
        (write(record(headers=None)), Fate.FETCH),
        (write(record("elsewhere")), Fate.OTHER_TOPIC),
        (write(record(), run_id="again"), Fate.OF_A_RUN),
        (write(record(headers=(("dlq.attempt", b"1"),))), Fate.SEND),
        (write(record(headers=(("dlq.attempt", b"2"),))), Fate.TOO_OFTEN),
        (write(record(), Failure("x", "x", Stage.MODEL, attempt=5)), Fate.TOO_OFTEN),
    ],
)
def test_a_letter_has_its_fate(message: Any, fate: Fate) -> None:
    assert ALL.judge(read_letter(as_read(message)), Ledger()) is fate


def test_what_is_no_letter_and_what_was_not_asked_for_is_left_alone() -> None:
    assert ALL.judge(None, Ledger()) is Fate.NOT_OURS
    asked = Selection(Filters(stages=frozenset({"model"})), "comments", 3)
    assert asked.judge(letter(), Ledger()) is Fate.FILTERED
    assert asked.judge(letter(failure=BREAKING), Ledger()) is Fate.SEND


# ---- Ledger ----------------------------------------------------------------------------------------------------------


def test_a_marker_is_understood_again() -> None:
    ledger = Ledger()
    assert not ledger.holds(letter())
    assert ledger.take(*marker(letter()))
    assert ledger.holds(letter())
    assert ALL.judge(letter(), ledger) is Fate.SENT_BEFORE


def test_several_letters_of_one_record_are_one() -> None:
    ledger = Ledger()
    ledger.add(letter(failure=MALFORMED))
    assert ledger.holds(letter(failure=BREAKING))


def test_a_record_that_failed_again_is_another_one() -> None:
    ledger = Ledger()
    ledger.add(letter(record(offset=1)))
    assert not ledger.holds(
        letter(record(offset=900, headers=(("dlq.origin", b"comments/0/1"), ("dlq.attempt", b"1"))))
    )


def test_the_same_offset_of_a_topic_made_anew_is_another_record() -> None:
    ledger = Ledger()
    ledger.add(letter(record(timestamp_ms=1)))
    assert not ledger.holds(letter(record(timestamp_ms=2)))
    assert not ledger.holds(letter(record(timestamp_ms=None)))


def test_a_tombstone_takes_a_marker_back() -> None:
    ledger = Ledger()
    key, value = marker(letter())
    ledger.take(key, value)
    assert ledger.take(key, None)
    assert not ledger.holds(letter())


@unhurried
@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=20) | st.sampled_from([b"1", b"[]", b"{}"]))
def test_anything_else_in_the_ledger_says_nothing(key: bytes | None, value: bytes | None) -> None:
    ledger = Ledger()
    ledger.take(key, value)
    assert len(ledger) == 0
