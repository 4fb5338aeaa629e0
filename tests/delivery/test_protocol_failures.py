"""What happens to a message that is not accepted, to a text that breaks the model, and to a broken model."""

from __future__ import annotations

import pytest

from consumer.delivery.dead_letter_limits import DeadLetterLimit, DeadLetterLimits
from consumer.delivery.errors import DeadLetterLimitExceeded, ModelBroken, OutputRefused
from consumer.delivery.ports import Delivery
from consumer.delivery.protocol import MAX_ATTEMPTS
from consumer.delivery.records import Destination, Failure, Stage
from tests.delivery.fakes import P0, Bench, record

# ---- Messages that are not accepted ------------------------------------------------------------------------------


def published(value: bytes) -> Bench:
    bench = Bench()
    bench.receive(record(0, value))
    bench.classify()
    return bench


def answer(bench: Bench, delivery: Delivery) -> None:
    bench.sink.answer(0, delivery)
    bench.protocol.step()


@pytest.mark.parametrize("refusal", [Delivery.TOO_LARGE, Delivery.REJECTED])
def test_an_output_its_topic_does_not_take_becomes_a_dead_letter_then_a_stub_then_stops(refusal: Delivery) -> None:
    bench = published(b"huge")
    answer(bench, refusal)
    assert bench.sink.values[1:] == [f"dead:publish:{refusal.value}".encode()]
    answer(bench, refusal)
    assert bench.sink.values[2:] == [b"stub:publish"]
    assert bench.sink.published[-1][0].destination is Destination.DEAD_LETTER
    assert bench.source.stored == []
    with pytest.raises(OutputRefused, match="even a stub of the dead_letter message for comments/0/0"):
        answer(bench, refusal)
    assert bench.source.stored == []


@pytest.mark.parametrize("accepted", [1, 2])
def test_the_acknowledgement_of_what_was_published_instead_completes_the_record(accepted: int) -> None:
    bench = published(b"huge")
    for _ in range(accepted):
        answer(bench, Delivery.TOO_LARGE)
        assert bench.source.stored == []
    answer(bench, Delivery.ACKNOWLEDGED)
    assert bench.source.offsets == {P0: 1}
    assert bench.protocol.flow.records == 0
    (counted,) = bench.notes.outcomes  # as what was accepted, and once
    assert isinstance(counted, Failure)


def test_a_dead_letter_that_cannot_be_written_whole_becomes_a_stub_that_names_the_first_failure() -> None:
    bench = published(b"bad")
    answer(bench, Delivery.TOO_LARGE)
    assert bench.sink.values == [b"dead:decode:NotAComment", b"stub:decode"]


def test_a_message_that_was_not_delivered_is_published_again_but_not_for_ever() -> None:
    bench = published(b"hello")
    for attempt in range(2, MAX_ATTEMPTS + 1):
        answer(bench, Delivery.RETRY)
        assert bench.sink.values == [b"labeled:r1:5"] * attempt
    with pytest.raises(OutputRefused, match=f"comments/0/0 failed {MAX_ATTEMPTS} times"):
        answer(bench, Delivery.RETRY)
    assert bench.source.stored == []


def test_attempts_are_counted_for_each_message_anew() -> None:
    bench = published(b"huge")
    for _ in range(MAX_ATTEMPTS - 1):
        answer(bench, Delivery.RETRY)
    answer(bench, Delivery.TOO_LARGE)
    for _ in range(MAX_ATTEMPTS - 1):
        answer(bench, Delivery.RETRY)
    answer(bench, Delivery.ACKNOWLEDGED)
    assert bench.source.offsets == {P0: 1}


@pytest.mark.parametrize("value", [b"hello", b"bad"])
def test_a_topic_that_refuses_everything_stops_the_program_and_offsets_stay(value: bytes) -> None:
    bench = published(value)
    with pytest.raises(OutputRefused, match="message for comments/0/0 was refused: as scripted"):
        answer(bench, Delivery.REFUSED)
    assert bench.source.stored == []


def test_a_message_of_the_program_names_coordinates_and_never_the_text() -> None:
    bench = published(b"private words")
    with pytest.raises(OutputRefused) as stopped:
        answer(bench, Delivery.REFUSED)
    assert "private" not in str(stopped.value)


# ---- The model and the limits ------------------------------------------------------------------------------------


def test_a_broken_model_stops_the_program_and_nothing_is_dead_lettered() -> None:
    bench = Bench()
    bench.receive(record(0))
    bench.classifier.break_down(ModelBroken("gone"))
    with pytest.raises(ModelBroken):
        bench.protocol.step()
    assert bench.sink.values == []
    assert bench.source.stored == []


def test_too_many_texts_that_break_the_model_stop_the_program_before_they_are_published() -> None:
    bench = Bench(dead_letter_limits=DeadLetterLimits({Stage.MODEL: DeadLetterLimit(2, 1.0)}))
    bench.receive(record(0, b"p0"), record(1, b"p1"), record(2, b"p2"))
    bench.classifier.finish(failing=["p0", "p1", "p2"])
    with pytest.raises(DeadLetterLimitExceeded, match="stage model: 3 in a row"):
        bench.protocol.step()
    assert bench.sink.values == []


def test_too_many_malformed_records_stop_the_program_where_that_is_asked_for() -> None:
    bench = Bench(dead_letter_limits=DeadLetterLimits({Stage.DECODE: DeadLetterLimit(2, 1.0)}))
    bench.receive(record(0, b"bad"), record(1, b"bad"), record(2, b"hello"), record(3, b"bad"))
    bench.classify()
    assert len(bench.sink.values) == 4
    bench.receive(record(4, b"bad"), record(5, b"bad"))
    bench.classifier.finish_all()
    with pytest.raises(DeadLetterLimitExceeded, match="stage decode: 3 in a row"):
        bench.protocol.step()
