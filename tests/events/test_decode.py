from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from consumer.classifier.preprocessing import preset
from consumer.delivery.records import Comment, Failure, Record, Skipped, Stage, ToClassify, Tombstone
from consumer.events.decode import Decoder
from consumer.events.mapping import FieldMapping, Kinds
from schemas.comment import CommentEvent
from tests.events.records import TRACEPARENT, comment_record, record, unhurried


def decoder(**changes: Any) -> Decoder:
    settings: dict[str, Any] = {"preprocess": preset("none"), "max_tokens": 512, "max_bytes": 262_144}
    return Decoder(**{**settings, **changes})


def decode(value: Record, **changes: Any) -> Any:
    (decoded,) = decoder(**changes).decode([value])
    return decoded


def test_a_comment_keeps_what_its_event_will_need() -> None:
    event = {
        "id": "c1",
        "text": "加油",
        "channel": "ch",
        "stream": "s",
        "author": "a",
        "published_at": "2026-01-31T12:00:00Z",
        "lang": "zh-TW",
        "metadata": {"x": 1},
        "unknown": {},
    }
    decoded = decode(comment_record(event, headers=(("traceparent", TRACEPARENT.encode()),)))
    assert decoded == ToClassify(Comment("c1", "加油", "ch", "s", "a", "zh-TW", TRACEPARENT), "加油", 4)


def test_the_model_reads_the_preprocessed_text_and_the_comment_keeps_its_own() -> None:
    decoded = decode(comment_record({"id": "c1", "text": "Go GO :clap:"}), preprocess=preset("seed"))
    assert (decoded.comment.text, decoded.text) == ("Go GO :clap:", "gogo")


def test_tokens_are_bounded_by_the_length_and_by_the_models_limit() -> None:
    assert decode(comment_record({"id": "1", "text": "abc"})).tokens == 5
    assert decode(comment_record({"id": "1", "text": "abc" * 1000})).tokens == 512


@pytest.mark.parametrize("text", ["", "  ", "\n", ":clap:", " :a: :b: "])
def test_a_text_that_is_empty_after_preprocessing_is_skipped(text: str) -> None:
    decoded = decode(comment_record({"id": "c1", "text": text, "channel": "ch"}), preprocess=preset("seed"))
    assert decoded == Skipped(Comment("c1", text, "ch"), "empty")


def test_a_key_without_a_value_is_a_tombstone() -> None:
    assert decode(record(None)) == Tombstone()
    assert decode(record(None, key=b"")) == Tombstone()


def test_neither_key_nor_value_is_a_failure() -> None:
    assert decode(record(None, key=None))._replace(message="") == Failure("no_key_no_value", "", Stage.DECODE)


def test_a_value_over_the_limit_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    value = json.dumps({"id": "1", "text": "x" * 100}).encode()
    assert isinstance(decode(record(value), max_bytes=len(value)), ToClassify)
    monkeypatch.setattr(orjson, "loads", lambda _: pytest.fail("parsed"))
    failure = decode(record(value), max_bytes=len(value) - 1)
    assert (failure.type, failure.stage) == ("too_large", Stage.DECODE)


def test_only_the_beginning_of_a_very_long_text_is_looked_at() -> None:
    seen: list[str] = []

    def preprocess(text: str) -> str:
        seen.append(text)
        return text

    subject = decoder(preprocess=preprocess, max_chars=10)
    cut, whole = subject.decode([comment_record({"id": "1", "text": "x" * n}) for n in (11, 10)])
    assert isinstance(cut, ToClassify)
    assert isinstance(whole, ToClassify)
    assert seen == ["x" * 10] * 2
    assert len(cut.comment.text) == 11
    assert (subject.cuts(cut.comment), subject.cuts(whole.comment)) == (True, False)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"id": "", "text": "x"}, "id: String should have at least 1 character"),
        ({"id": True, "text": "x"}, "id: Input should be a valid string"),
        ({"id": 1.5, "text": "x"}, "id: Input should be a valid string"),
        ({"id": "1", "text": None}, "text: Input should be a valid string"),
        ({"id": "1", "text": 5}, "text: Input should be a valid string"),
        ({"id": "1", "text": "x", "lang": 5}, "lang: Input should be a valid string"),
        ({"id": "1", "text": "x", "metadata": []}, "metadata: Input should be a valid dictionary"),
        ({"id": "1", "text": "x", "published_at": 1.5}, "published_at: Input should be a valid string"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(event: dict[str, object], message: str) -> None:
    assert decode(comment_record(event)) == Failure("invalid_field", message, Stage.DECODE)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "id: nothing at id; text: nothing at text"),
        ({"id": "1", "lang": 5}, "text: nothing at text"),
        ({"text": "x", "secret": "id"}, "id: nothing at id"),
    ],
    ids=str,
)
def test_a_field_that_must_be_there_and_is_not_is_named(event: dict[str, object], message: str) -> None:
    assert decode(comment_record(event)) == Failure("missing_field", message, Stage.DECODE)


def test_integers_are_read_as_their_digits() -> None:
    decoded = decode(comment_record({"id": 12, "text": "x", "channel": 3, "author": -4}))
    assert decoded.comment == Comment("12", "x", "3", None, "-4")


def test_in_somebody_elses_json_a_wrong_field_is_named_by_its_place_there() -> None:
    mapping = FieldMapping(id="mid", text="snippet.displayMessage", metadata=None)
    good = comment_record({"mid": 5, "snippet": {"displayMessage": "hi"}, "metadata": "not ours"})
    assert decode(good, mapping=mapping).comment == Comment("5", "hi")
    failure = decode(comment_record({"id": "1", "text": "x"}), mapping=mapping)
    assert failure.type == "missing_field"
    assert failure.message == "id: nothing at mid; text: nothing at snippet.displayMessage (no snippet)"
    wrong = decode(comment_record({"mid": 1, "snippet": {"displayMessage": ["x"]}}), mapping=mapping)
    assert wrong.type == "invalid_field"
    assert wrong.message == "snippet.displayMessage: Input should be a valid string"


def test_of_several_places_the_one_that_was_read_is_named() -> None:
    mapping = FieldMapping(text=("a", "b", "c"))
    named = {}
    for place in ("a", "b", "c"):
        event = {"id": "1", "a": None, place: 5} if place != "a" else {"id": "1", "a": 5, "b": "unread"}
        named[place] = decode(comment_record(event), mapping=mapping).message
    assert named == {place: f"{place}: Input should be a valid string" for place in named}
    nothing = decode(comment_record({"id": "1", "b": None}), mapping=mapping)
    assert (nothing.type, nothing.message) == ("invalid_field", "b: Input should be a valid string")


class TestKinds:
    MAPPING = FieldMapping(kinds=Kinds("type", ("said",), ("gone",), deleted_id="target"))

    def test_a_comment_is_read_as_ever(self) -> None:
        decoded = decode(comment_record({"type": "said", "id": "1", "text": "x"}), mapping=self.MAPPING)
        assert decoded == ToClassify(Comment("1", "x"), "x", 3)

    def test_another_kind_is_skipped_whatever_it_lacks_or_has_in_another_form(self) -> None:
        for event in ({"id": "7"}, {"id": 7, "text": 5, "lang": [], "author": {}, "channel": 1.5, "stream": None}):
            decoded = decode(comment_record({"type": "poll", **event}), mapping=self.MAPPING)
            assert decoded == Skipped(Comment("7", ""), "other_kind")

    def test_a_deletion_is_skipped_under_the_id_of_what_it_deletes(self) -> None:
        headers = (("traceparent", TRACEPARENT.encode()),)
        event = {"type": "gone", "id": "9", "target": "7", "text": "who did it", "author": "mod", "channel": 3}
        decoded = decode(comment_record(event, headers=headers), mapping=self.MAPPING)
        assert decoded == Skipped(Comment("7", "", "3", traceparent=TRACEPARENT), "deleted")

    def test_one_that_is_about_no_comment_is_named_by_its_coordinates(self) -> None:
        decoded = decode(comment_record({"type": "poll", "id": []}), mapping=self.MAPPING)
        assert decoded == Skipped(Comment("comments/3/41", ""), "other_kind")

    def test_a_record_that_does_not_say_what_it_is_is_a_dead_letter(self) -> None:
        decoded = decode(comment_record({"id": "1", "text": "x"}), mapping=self.MAPPING)
        assert decoded == Failure("missing_field", "kind: nothing at type", Stage.DECODE)
        unreadable = decode(comment_record({"id": "1", "text": "x", "type": ["secret"]}), mapping=self.MAPPING)
        assert unreadable.type == "invalid_field"
        assert unreadable.message.startswith("type: ")
        assert "secret" not in unreadable.message

    def test_an_edit_is_an_ordinary_comment_with_the_same_id_and_a_tombstone_stays_one(self) -> None:
        records = [comment_record({"type": "said", "id": "1", "text": text}) for text in ("frist", "first")]
        first, edited, gone = decoder(mapping=self.MAPPING).decode([*records, record(None)])
        assert (first.comment.id, edited.comment.id) == ("1", "1")
        assert (first.text, edited.text) == ("frist", "first")
        assert gone == Tombstone()


def test_what_preprocessing_raises_is_a_failure_of_that_record_alone() -> None:
    def preprocess(text: str) -> str:
        if text == "bad":
            raise MemoryError(text)
        return text

    records = [comment_record({"id": "1", "text": text}) for text in ("good", "bad", "good")]
    good, bad, again = decoder(preprocess=preprocess).decode(records)
    assert good == again
    assert bad == Failure("MemoryError", "decoding raised it", Stage.DECODE)


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        decoder(max_bytes=0)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
plausible = {
    "id": st.text(min_size=1, max_size=5),
    "text": st.text(max_size=20),
    "published_at": st.text(max_size=5) | st.integers(0, 2**40) | st.none(),
    "metadata": st.dictionaries(st.text(max_size=3), json_values, max_size=2) | st.none(),
}
fields = {
    name: plausible.get(name, st.text(max_size=5) | st.none()) | json_values for name in CommentEvent.model_fields
}
others = {**fields, "other": json_values}
rest = {name: values for name, values in others.items() if name not in ("id", "text")}
events = st.fixed_dictionaries({}, optional=others) | st.fixed_dictionaries(
    {"id": plausible["id"], "text": plausible["text"]}, optional=rest
)


@unhurried
@given(events)
@example({"id": "1", "text": "x", "published_at": True})
@example({"id": True, "text": "x"})
@example({"id": "1", "text": "x", "channel": ""})
def test_the_checks_made_by_hand_equal_the_model(event: dict[str, Any]) -> None:
    value = orjson.dumps(event)
    decoded = decode(record(value))
    try:
        valid = CommentEvent.model_validate(orjson.loads(value))
    except ValidationError:
        assert isinstance(decoded, Failure)
        assert decoded.type == ("invalid_field" if {"id", "text"} <= event.keys() else "missing_field")
        return
    assert isinstance(decoded, ToClassify | Skipped)
    assert decoded.comment == Comment(valid.id, valid.text, valid.channel, valid.stream, valid.author, valid.lang, None)


def test_a_byte_order_mark_before_the_json_is_passed_over() -> None:
    found = decode(record(b"\xef\xbb\xbf" + b'{"id": "1", "text": "hi"}'))
    assert isinstance(found, ToClassify)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"id": "1", "text": "\xff"}', "the value is not UTF-8, at byte 21"),
        (b'{"id": "1", ', "the value is not JSON, at character"),
        (b"\xef\xbb", "the value is not UTF-8, at byte 0"),
    ],
)
def test_where_a_value_fails_is_told(value: bytes, said: str) -> None:
    found = decode(record(value))
    assert isinstance(found, Failure)
    assert found.type == "invalid_json"
    assert found.message.startswith(said)


# ---- Comments that are too old -----------------------------------------------------------------------------------

NOW = 1_769_860_800.0  # when `record` was written, in seconds


def aged(seconds: float | None, event: dict[str, Any] | None = None, **changes: Any) -> Any:
    """What becomes of a comment that was written so many seconds ago, where an hour is too long."""
    written = None if seconds is None else int((NOW - seconds) * 1000)
    written_then = comment_record(event or {"id": "c1", "text": "加油", "channel": "ch"}, timestamp_ms=written)
    return decode(written_then, **{"max_age": 3600.0, "wall_clock": lambda: NOW, **changes})


@pytest.mark.parametrize("seconds", [3600.001, 86_400.0, NOW])
def test_a_comment_that_is_too_old_is_skipped_with_that_reason(seconds: float) -> None:
    assert aged(seconds) == Skipped(Comment("c1", "加油", "ch"), "too_old")


@pytest.mark.parametrize("seconds", [0.0, 3599.0, 3600.0, -5.0, -1e9, None])
def test_one_that_is_young_or_from_the_future_or_without_a_time_is_not(seconds: float | None) -> None:
    assert isinstance(aged(seconds), ToClassify)


def test_without_a_limit_nothing_is_too_old_and_no_clock_is_asked() -> None:
    assert isinstance(aged(NOW, max_age=0.0, wall_clock=lambda: pytest.fail("asked")), ToClassify)


def test_what_is_no_comment_is_a_dead_letter_and_a_deletion_is_passed_on_however_old() -> None:
    limits: dict[str, Any] = {"max_age": 1.0, "wall_clock": lambda: NOW}
    assert isinstance(decode(record(b"no comment", timestamp_ms=0), **limits), Failure)
    assert isinstance(aged(NOW, {"id": "c1", "text": 5}), Failure)
    assert decode(record(None, timestamp_ms=0), **limits) == Tombstone()


def test_an_old_text_is_not_even_preprocessed() -> None:
    assert aged(NOW, preprocess=lambda text: pytest.fail("preprocessed")).reason == "too_old"


def test_the_clock_is_asked_once_a_poll() -> None:
    asked: list[None] = []

    def wall_clock() -> float:
        asked.append(None)
        return NOW

    decoder(max_age=1.0, wall_clock=wall_clock).decode([comment_record({"id": "1", "text": "x"})] * 100)
    assert len(asked) == 1


@pytest.mark.parametrize("limits", [{"max_age": -1.0}, {"max_age": 1.0}], ids=["below 0", "no clock"])
def test_an_age_is_not_negative_and_needs_a_clock(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="age"):
        decoder(**limits)
