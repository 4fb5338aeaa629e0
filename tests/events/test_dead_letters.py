from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.records import Destination, Failure, Headers, Message, Record, Stage
from consumer.events.dead_letters import DeadLetters
from schemas.dead_letter import RESERVED, DeadLetterHeaders, DeadLetterStub
from tests.events.records import record, unhurried

FAILURE = Failure("invalid_json", "the value is not JSON", Stage.DECODE)
ODD: Headers = (("b", b"\xff\x00"), ("a", None), ("b", b""), ("名", b"x"), ("", b"\r\n"))


def dead_letters(**changes: Any) -> DeadLetters:
    return DeadLetters(**{"model_revision": "r1", "app_version": "0.1.0", **changes})


def stub_of(message: Message) -> DeadLetterStub:
    assert message.value is not None
    return DeadLetterStub.model_validate_json(message.value)


@pytest.mark.parametrize("key", [None, b"", b"\xff"])
@pytest.mark.parametrize("value", [None, b"", b"\xff\x00{"])
def test_key_value_and_headers_are_as_they_were_and_ours_follow(key: bytes | None, value: bytes | None) -> None:
    message = dead_letters().write(record(value, key=key, headers=ODD), FAILURE)
    assert (message.destination, message.key, message.value) == (Destination.DEAD_LETTER, key, value)
    assert message.headers[: len(ODD)] == ODD
    assert all(name in RESERVED for name, _ in message.headers[len(ODD) :])


def test_the_headers_say_what_went_wrong_where_and_in_which_version() -> None:
    parsed = DeadLetterHeaders.parse(dead_letters().write(record(), FAILURE).headers)
    assert parsed.model_dump() == {
        "schema_version": 1,
        "error_type": "invalid_json",
        "error_message": "the value is not JSON",
        "stage": "decode",
        "attempt": 1,
        "source_topic": "comments",
        "source_partition": 3,
        "source_offset": 41,
        "source_timestamp": 1_769_860_800_000,
        "model_revision": "r1",
        "app_version": "0.1.0",
        "left_out": [],
        "origin": None,
        "run_id": None,
    }


def test_a_letter_of_a_relabelling_says_of_which() -> None:
    message = dead_letters(run_id="again-2026").write(record(), FAILURE)
    assert DeadLetterHeaders.parse(message.headers).run_id == "again-2026"


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stub"])
def test_a_record_that_was_sent_back_keeps_its_origin_however_often_it_fails(whole: bool) -> None:
    headers: Headers = (("dlq.origin", b"comments/3/41"), ("dlq.attempt", b"2"))
    source = record(headers=headers, offset=9000)
    message = dead_letters().write(source, FAILURE) if whole else dead_letters().stub(source, FAILURE)
    parsed = DeadLetterHeaders.parse(message.headers)
    assert (parsed.origin, parsed.attempt, parsed.source_offset) == ("comments/3/41", 3, 9000)


def test_a_record_without_a_timestamp_has_none() -> None:
    headers = dead_letters().write(record(timestamp_ms=None), FAILURE).headers
    assert DeadLetterHeaders.parse(headers).source_timestamp is None


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_its_name(stage: Stage) -> None:
    assert (
        DeadLetterHeaders.parse(dead_letters().write(record(), FAILURE._replace(stage=stage)).headers).stage
        == stage.value
    )


def test_unreadable_headers_alone_are_left_out() -> None:
    message = dead_letters().write(record(b"value", headers=None), FAILURE)
    assert (message.key, message.value) == (b"channel", b"value")
    assert DeadLetterHeaders.parse(message.headers).left_out == ["headers"]


@pytest.mark.parametrize(
    "source",
    [record(b"x" * 5000), record(b"x", headers=(("h", b"x" * 5000),)), record(b"x", key=b"k" * 5000)],
    ids=["value", "headers", "key"],
)
def test_what_is_too_large_for_the_topic_becomes_a_stub(source: Record) -> None:
    assert source.value is not None
    whole = dead_letters(max_message_bytes=10_000).write(source, FAILURE)
    assert whole.value == source.value
    message = dead_letters(max_message_bytes=5_000).write(source, FAILURE)
    stub = stub_of(message)
    assert stub.source.model_dump() == {
        "topic": "comments",
        "partition": 3,
        "offset": 41,
        "timestamp": 1_769_860_800_000,
    }
    assert stub.value_size == len(source.value)
    assert stub.value_sha256 == hashlib.sha256(source.value).hexdigest()
    assert stub.key_size == len(source.key or b"")
    assert stub.left_out == DeadLetterHeaders.parse(message.headers).left_out
    assert message.key == (source.key if len(source.key or b"") < 5000 else None)


def test_the_limit_counts_the_headers_that_are_added() -> None:
    value = b"x" * 900
    assert dead_letters(max_message_bytes=1000).write(record(value), FAILURE).value != value


@pytest.mark.parametrize(
    ("source", "left_out"),
    [
        (record(b"v"), ["value"]),
        (record(b"v", headers=(("a", b""),)), ["value", "headers"]),
        (record(b"v", headers=None), ["value", "headers"]),
        (record(b"v", key=b"k" * 1025), ["key", "value"]),
        (record(b"v", key=None), ["value"]),
    ],
)
def test_a_stub_says_what_it_leaves_out(source: Record, left_out: list[str]) -> None:
    message = dead_letters().stub(source, FAILURE)
    assert stub_of(message).left_out == DeadLetterHeaders.parse(message.headers).left_out == left_out


def test_a_stub_of_a_tombstone_has_no_size_and_no_digest() -> None:
    stub = stub_of(dead_letters().stub(record(None), FAILURE))
    assert (stub.value_size, stub.value_sha256) == (None, None)


def test_a_stub_is_small_whatever_it_stands_for() -> None:
    huge = "錯" * 100_000
    source = record(b"v" * 10**6, key=b"k" * 10**6, headers=(("h" * 10**6, b"h" * 10**6),))
    message = dead_letters(model_revision=huge, app_version=huge).stub(source, Failure(huge, huge, Stage.PUBLISH))
    size = len(message.key or b"") + len(message.value or b"")
    assert size + sum(len(name) + len(value or b"") for name, value in message.headers) < 8192


def test_with_coordinates_only_nothing_of_the_record_is_kept() -> None:
    source = record(b"5ecret", key=b"5ecret", headers=(("5ecret", b"5ecret"),))
    for message in (
        dead_letters(coordinates_only=True).write(source, FAILURE),
        dead_letters(coordinates_only=True).stub(source, FAILURE),
    ):
        assert b"5ecret" not in repr(message).encode()
        assert message.key is None
        stub = stub_of(message)
        assert (stub.source.offset, stub.value_size, stub.value_sha256) == (41, 6, None)
        assert stub.left_out == ["key", "value", "headers"]
        assert "value_sha256" not in json.loads(message.value or b"")


def test_a_dead_letter_sent_back_keeps_one_set_of_error_headers_and_counts_up() -> None:
    message = dead_letters().write(record(headers=ODD), FAILURE)
    for round_trip in range(2, 6):
        # A replay tool may add headers of its own before and after.
        sent_back = record(headers=(*message.headers, (f"replay-{round_trip}", b"1")), offset=1000 + round_trip)
        message = dead_letters().write(sent_back, FAILURE)
        parsed = DeadLetterHeaders.parse(message.headers)
        assert (parsed.attempt, parsed.source_offset) == (round_trip, 1000 + round_trip)
    kept = tuple(header for header in message.headers if header[0] not in RESERVED)
    assert kept == (*ODD, *((f"replay-{n}", b"1") for n in range(2, 6)))
    names = [name for name, _ in message.headers if name in RESERVED]
    assert len(names) == len(set(names))


def test_a_stub_counts_the_attempts_before_it() -> None:
    message = dead_letters().stub(record(headers=(("dlq.attempt", b"4"),)), FAILURE)
    assert DeadLetterHeaders.parse(message.headers).attempt == 5


@pytest.mark.parametrize("attempt", [None, b"", b"-1", b"x", b"1.5", b"9" * 5000, b"9999999", "３".encode(), b" 1"])
def test_a_count_that_makes_no_sense_counts_for_nothing(attempt: bytes | None) -> None:
    message = dead_letters().write(record(headers=(("dlq.attempt", attempt),)), FAILURE)
    assert DeadLetterHeaders.parse(message.headers).attempt == 1


def test_headers_that_only_look_like_ours_are_kept() -> None:
    others: Headers = (("dlq.mine", b"1"), ("DLQ.ATTEMPT", b"7"), ("dlq", b""))
    assert dead_letters().write(record(headers=others), FAILURE).headers[:3] == others


def test_an_error_text_of_any_kind_becomes_one_line_of_utf8() -> None:
    failure = Failure("broker_said", "a\r\nb\x00\ud800\u2028" + "x" * 10_000, Stage.PUBLISH)
    parsed = DeadLetterHeaders.parse(dead_letters().write(record(), failure).headers)
    assert parsed.error_message.startswith("a  b   x")
    assert len(parsed.error_message) == 500


header_names = st.text(max_size=5) | st.sampled_from(sorted(RESERVED))
header_lists = st.lists(st.tuples(header_names, st.none() | st.binary(max_size=9)), max_size=5)


@unhurried
@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=200),
    st.none() | header_lists.map(tuple),
    st.integers(1, 2000),
    st.booleans(),
)
def test_any_record_becomes_a_dead_letter_that_can_be_parsed(
    key: bytes | None, value: bytes | None, headers: Headers | None, limit: int, coordinates_only: bool
) -> None:
    subject = dead_letters(max_message_bytes=limit, coordinates_only=coordinates_only)
    source = record(value, key=key, headers=headers)
    for message in (subject.write(source, FAILURE), subject.stub(source, FAILURE)):
        parsed = DeadLetterHeaders.parse(message.headers)
        if "value" in parsed.left_out:
            assert stub_of(message).left_out == parsed.left_out
        else:
            assert (message.key, message.value) == (key, value)
            foreign = [h for h in headers or () if h[0] not in RESERVED]
            assert list(message.headers[: len(foreign)]) == foreign
