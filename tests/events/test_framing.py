"""Frames of a schema registry: off what comes in, onto what goes out, and nothing else changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.ports import Codec
from consumer.delivery.records import Destination, Failure, Labeled, Skipped, Stage, ToClassify, Tombstone, Verdict
from consumer.events.framing import FramedCodec, frame
from schemas import DeadLetterStub, LabeledEvent
from tests.events.records import MODEL, comment_record, record, unhurried
from tests.events.test_codec import codec as plain_codec

COMMENT = json.dumps({"id": "1", "text": "hi"}).encode()
GUID = bytes(range(16))


def framed(frame: bytes | None = frame(7)) -> Codec:
    return FramedCodec(plain_codec(), max_bytes=1000, frame=frame)


class TestReading:
    @pytest.mark.parametrize("before", [b"", b"\0\0\0\0\x07", b"\0\xff\xff\xff\xff", b"\x01" + GUID])
    def test_a_comment_is_read_with_any_frame_and_without(self, before: bytes) -> None:
        (decoded,) = framed().decode([record(before + COMMENT)])
        assert isinstance(decoded, ToClassify)
        assert decoded.comment.id == "1"

    @pytest.mark.parametrize("value", [b"\0", b"\0\0\0\0\x07", b"\x01", b"\x01" + GUID])
    def test_a_frame_around_nothing_is_a_failure_that_says_so(self, value: bytes) -> None:
        (decoded,) = framed().decode([record(value)])
        assert isinstance(decoded, Failure)
        assert (decoded.type, decoded.stage) == ("invalid_framing", Stage.DECODE)
        assert str(len(value)) in decoded.message

    @pytest.mark.parametrize("value", [b"\0\0\0\0\x07\x02\x06abc", b"\x02" + COMMENT, b"\0" + COMMENT])
    def test_what_is_no_json_inside_a_frame_is_no_json(self, value: bytes) -> None:
        (decoded,) = framed().decode([record(value)])
        assert isinstance(decoded, Failure)
        assert decoded.type == "invalid_json"

    def test_the_size_is_checked_before_the_frame_is_taken_off_and_counts_it(self) -> None:
        padding = b" " * (1000 - 5 - len(COMMENT))
        fits, too_large = record(b"\0\0\0\0\x07" + padding + COMMENT), record(b"\0\0\0\0\x07 " + padding + COMMENT)
        first, second = framed().decode([fits, too_large])
        assert isinstance(first, ToClassify)
        assert isinstance(second, Failure)
        assert (second.type, "1001" in second.message) == ("too_large", True)

    def test_records_keep_their_order_and_a_bad_frame_costs_no_other(self) -> None:
        values = [b"\0", b"\0\0\0\0\x07" + COMMENT, None, COMMENT, b"\x01" + GUID, b"{"]
        kinds = [type(each) for each in framed().decode([record(value) for value in values])]
        assert kinds == [Failure, ToClassify, Tombstone, ToClassify, Failure, Failure]

    def test_without_a_registry_frames_are_read_all_the_same(self) -> None:
        (decoded,) = framed(None).decode([record(b"\0\0\0\0\x07" + COMMENT)])
        assert isinstance(decoded, ToClassify)

    @unhurried
    @given(
        st.lists(st.one_of(st.none(), st.binary(max_size=24), st.binary(max_size=24).map(b"\0".__add__)), max_size=6)
    )
    def test_any_bytes_have_exactly_one_result_each(self, values: list[bytes | None]) -> None:
        assert len(framed().decode([record(value) for value in values])) == len(values)


class TestWriting:
    def labeled(self) -> Labeled:
        (decoded,) = framed().decode([record(COMMENT)])
        assert isinstance(decoded, ToClassify)
        return Labeled(decoded.comment, Verdict((1.0, 0.0, -1.0), False, MODEL), 1.0)

    def test_events_are_framed_and_the_same_inside(self) -> None:
        source = record(COMMENT)
        outcomes = [(source, self.labeled()), (source, Skipped(self.labeled().comment, "empty"))]
        plain = plain_codec().encode(outcomes)
        for message, other in zip(framed().encode(outcomes), plain, strict=True):
            assert message.value is not None
            assert message.value[:5] == b"\0\0\0\0\x07"
            LabeledEvent.model_validate_json(message.value[5:])
            assert message._replace(value=message.value[5:]) == other

    def test_tombstones_and_dead_letters_are_left_as_they_are(self) -> None:
        broken = record(b"\0")
        failure = Failure("invalid_framing", "m", Stage.DECODE)
        tombstone, whole = framed().encode([(record(None), Tombstone()), (broken, failure)])
        assert (tombstone.destination, tombstone.value) == (Destination.LABELED, None)
        assert (whole.destination, whole.value) == (Destination.DEAD_LETTER, b"\0")
        stub = framed().stub(record(COMMENT), failure)
        assert DeadLetterStub.model_validate_json(stub.value or b"").value_size == len(COMMENT)

    def test_without_a_registry_nothing_is_framed(self) -> None:
        (message,) = framed(None).encode([(record(COMMENT), self.labeled())])
        assert (message.value or b"").startswith(b"{")

    def test_a_dead_letter_of_a_framed_comment_is_the_record_byte_for_byte(self) -> None:
        source = record(b"\0\0\0\0\x07" + COMMENT[:-1])
        (failure,) = framed().decode([source])
        assert isinstance(failure, Failure)
        (message,) = framed().encode([(source, failure)])
        assert message.value == source.value

    @pytest.mark.parametrize("wrong", [0, -1, 2**31])
    def test_an_id_that_no_registry_gives_is_refused(self, wrong: int) -> None:
        with pytest.raises(ValueError, match="32-bit"):
            frame(wrong)


def test_a_comment_of_a_topic_without_a_registry_costs_nothing_more() -> None:
    """The records go to the codec inside as they came: not copied, not looked through twice."""
    records = [comment_record({"id": "1", "text": "hi"})]
    seen: list[object] = []
    inside = plain_codec()
    decode = inside.decode
    inside.decode = lambda given: seen.append(given) or decode(given)  # type: ignore[method-assign, func-returns-value]
    FramedCodec(inside, max_bytes=1000, frame=None).decode(records)
    assert seen[0] is records
