"""The order of things, on the way in and on the way out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.batcher import BatchPolicy, CloseReason
from consumer.delivery.errors import SourceFailed
from consumer.delivery.flow import FlowLimits
from consumer.delivery.protocol import AWAIT_MODEL, POLL_BUSY, POLL_IDLE, POLL_RECORDS
from consumer.delivery.records import Destination, Labeled, Partition
from tests.delivery.fakes import MODEL, OTHER_MODEL, P0, P1, Bench, record, tombstone

# ---- One message for every record --------------------------------------------------------------------------------


def test_a_comment_becomes_one_labeled_message_and_only_its_acknowledgement_moves_the_offset() -> None:
    bench = Bench()
    bench.receive(record(7, b"hello"))
    assert bench.classifier.submitted == [["hello"]]
    assert bench.sink.values == []

    bench.classify()
    assert bench.sink.values == [b"labeled:r1:5"]
    assert bench.source.stored == []

    bench.sink.acknowledge_all()
    bench.protocol.step()
    assert bench.source.stored == [(P0, 8, None)]
    assert bench.protocol.flow.records == 0


def test_the_stored_offset_carries_the_leader_epoch_it_was_read_under() -> None:
    bench = Bench()
    bench.receive(record(7, b"hello", leader_epoch=3))
    bench.finish_everything()
    bench.protocol.step()
    assert bench.source.stored == [(P0, 8, 3)]


def test_every_kind_of_record_has_exactly_one_message() -> None:
    bench = Bench()
    bench.receive(record(0, b"hello"), record(1, b"empty"), tombstone(2), record(3, b"bad"), record(4, b"poison"))
    bench.classifier.finish(failing=["poison"])
    bench.protocol.step()
    assert bench.sink.values == [
        b"labeled:r1:5",
        b"skipped:empty",
        None,
        b"dead:decode:NotAComment",
        b"dead:model:Poison",
    ]
    destinations = [message.destination for message, _ in bench.sink.published]
    assert destinations == [Destination.LABELED] * 3 + [Destination.DEAD_LETTER] * 2


def test_a_dead_letter_moves_the_offset_only_when_it_is_acknowledged() -> None:
    bench = Bench()
    bench.receive(record(0, b"bad"))
    bench.classify()
    assert bench.source.stored == []
    bench.sink.acknowledge_all()
    bench.protocol.step()
    assert bench.source.offsets == {P0: 1}


def test_what_needs_no_model_does_not_overtake_what_does() -> None:
    bench = Bench()
    bench.receive(record(0, b"hello"), record(1, b"empty"), record(2, b"bad"))
    assert bench.sink.values == [], "the model has not answered yet"
    bench.receive(record(3, b"empty"))
    bench.classify()
    assert bench.sink.offsets == [(0, 0), (0, 1), (0, 2)]
    bench.classify()
    assert bench.sink.offsets == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_a_batch_that_needs_no_model_is_published_without_a_text() -> None:
    bench = Bench()
    bench.receive(tombstone(0), record(1, b"empty"))
    assert bench.classifier.submitted == [[]]
    bench.classify()
    assert bench.sink.values == [None, b"skipped:empty"]


def test_acknowledgements_in_any_order_move_the_offset_over_the_completed_prefix_only() -> None:
    bench = Bench()
    bench.receive(record(0), record(1), record(5))
    bench.classify()
    for offset, stored in ((1, {}), (0, {P0: 2}), (5, {P0: 6})):
        bench.sink.answer(offset)
        bench.protocol.step()
        assert bench.source.offsets == stored


def test_partitions_move_on_by_themselves() -> None:
    bench = Bench()
    bench.receive(record(0), record(40, partition=P1))
    bench.classify()
    bench.sink.answer(40, partition=P1)
    bench.protocol.step()
    assert bench.source.offsets == {P1: 41}


def test_a_record_of_a_partition_that_is_not_assigned_is_left_to_its_owner() -> None:
    bench = Bench()
    bench.receive(record(0, b"mine"), record(9, b"theirs", Partition("comments", 7)))
    assert bench.classifier.submitted == [["mine"]]
    assert bench.protocol.flow.records == 1


def test_an_offset_that_goes_back_stops_the_program() -> None:
    bench = Bench()
    bench.receive(record(5))
    with pytest.raises(SourceFailed, match="arrived after 5"):
        bench.receive(record(4))


def test_latency_is_from_receipt_to_verdict_and_age_to_acknowledgement() -> None:
    bench = Bench()
    bench.receive(record(0))
    bench.clock.advance(0.25)
    bench.classify()
    bench.clock.advance(0.5)
    bench.sink.acknowledge_all()
    bench.protocol.step()
    (outcome,) = bench.notes.outcomes
    assert isinstance(outcome, Labeled)
    assert outcome.latency_ms == pytest.approx(250.0)
    assert bench.notes.ages == [pytest.approx(0.75)]


# ---- Batches, repeats and earlier results ------------------------------------------------------------------------


def test_at_most_two_batches_are_with_the_model_and_the_rest_waits_in_line() -> None:
    bench = Bench(batching=BatchPolicy(max_rows=2, max_tokens=1000, max_wait=60.0))
    bench.receive(*(record(n, f"t{n}".encode()) for n in range(7)))
    assert bench.classifier.open == [["t0", "t1"], ["t2", "t3"]]
    bench.classifier.finish()
    bench.protocol.step()
    assert bench.classifier.open == [["t2", "t3"], ["t4", "t5"]]


def test_comments_gather_while_a_batch_runs_until_the_oldest_has_waited_long_enough() -> None:
    bench = Bench(batching=BatchPolicy(max_rows=100, max_tokens=1000, max_wait=0.0625))
    bench.receive(record(0, b"a"))
    bench.receive(record(1, b"b"))
    bench.clock.advance(0.03125)
    bench.receive(record(2, b"c"))
    assert bench.classifier.open == [["a"]]
    bench.clock.advance(0.03125)
    bench.protocol.step()
    assert bench.classifier.open == [["a"], ["b", "c"]]
    assert [batch["reason"] for batch in bench.notes.batches] == [CloseReason.IDLE, CloseReason.DEADLINE]


def test_equal_texts_reach_the_model_once_and_are_all_labeled() -> None:
    bench = Bench()
    bench.receive(record(0, b"gg"), record(1, b"wp"), record(2, b"gg"), record(0, b"gg", P1))
    assert bench.classifier.submitted == [["gg", "wp"]]
    assert bench.notes.batches[0]["collapsed"] == 2
    bench.classify()
    assert bench.sink.offsets == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert set(bench.sink.values) == {b"labeled:r1:2"}


def test_equal_texts_that_the_model_cannot_take_are_all_dead_letters() -> None:
    bench = Bench()
    bench.receive(record(0, b"poison"), record(1, b"fine"), record(2, b"poison"))
    bench.classifier.finish(failing=["poison"])
    bench.protocol.step()
    assert bench.sink.values == [b"dead:model:Poison", b"labeled:r1:4", b"dead:model:Poison"]


def test_a_text_seen_before_does_not_reach_the_model_again() -> None:
    bench = Bench(cache_entries=10)
    bench.receive(record(0, b"gg"))
    bench.finish_everything()
    bench.receive(record(1, b"gg"), record(2, b"new"))
    assert bench.classifier.submitted == [["gg"], ["new"]]
    bench.classify()
    assert bench.sink.values == [b"labeled:r1:2", b"labeled:r1:2", b"labeled:r1:3"]
    assert [batch["cached"] for batch in bench.notes.batches] == [0, 1]


def test_a_failure_is_not_remembered() -> None:
    bench = Bench(cache_entries=10)
    bench.receive(record(0, b"odd"))
    bench.classifier.finish(failing=["odd"])
    bench.protocol.step()
    bench.receive(record(1, b"odd"))
    assert bench.classifier.submitted == [["odd"], ["odd"]]


def test_another_models_answer_is_not_used() -> None:
    bench = Bench(cache_entries=10)
    bench.receive(record(0, b"gg"))
    bench.finish_everything()
    bench.classifier.identity = OTHER_MODEL
    bench.receive(record(1, b"gg"))
    assert bench.classifier.submitted == [["gg"], ["gg"]]
    bench.classify()
    assert bench.sink.values[-1] == b"labeled:r2:2"


def test_an_answer_is_remembered_under_the_model_that_gave_it_and_not_the_one_that_was_asked() -> None:
    bench = Bench(cache_entries=10)
    bench.receive(record(0, b"gg"))
    bench.classifier.finish(model=OTHER_MODEL)
    bench.protocol.step()
    bench.receive(record(1, b"gg"))
    assert bench.classifier.submitted == [["gg"], ["gg"]], f"{MODEL.revision} never answered this text"


# ---- Flow --------------------------------------------------------------------------------------------------------


def test_never_more_records_are_in_flight_than_the_limit() -> None:
    bench = Bench(limits=FlowLimits(records=3, hold=0.0))
    bench.source.script.append([record(n) for n in range(10)])
    for _ in range(5):
        bench.protocol.step()
        assert bench.protocol.flow.records == 3


def test_it_pauses_at_the_limit_and_resumes_below_the_low_mark() -> None:
    bench = Bench(limits=FlowLimits(records=4, low_mark=0.5, hold=0.0))
    bench.source.script.append([record(n) for n in range(5)])
    bench.protocol.step()
    assert bench.source.paused
    bench.classify()
    bench.sink.answer(0)
    bench.protocol.step()
    assert bench.source.paused, "three of four is not low"
    bench.sink.answer(1)
    bench.protocol.step()
    assert not bench.source.paused
    bench.protocol.step()
    assert bench.protocol.flow.records == 3, "the one that was left out has arrived"
    assert bench.notes.flow == [True, False]


def test_while_held_the_source_is_not_asked_and_room_is_waited_for() -> None:
    bench = Bench(limits=FlowLimits(records=2, hold=60.0))
    bench.source.script.append([record(n) for n in range(3)])
    bench.protocol.step()
    polls = len(bench.source.waits)
    bench.protocol.step()
    assert len(bench.source.waits) == polls
    assert not bench.source.paused
    bench.classify()
    bench.sink.answer(0)
    bench.protocol.step()
    assert len(bench.source.waits) == polls + 1
    assert bench.protocol.flow.records == 2, "the one that was left out has arrived, without a pause"
    assert bench.notes.flow == []


def test_while_paused_the_source_is_still_polled() -> None:
    bench = Bench(limits=FlowLimits(records=1, hold=0.0))
    bench.receive(record(0))
    polls = len(bench.source.waits)
    bench.protocol.step()
    assert len(bench.source.waits) == polls + 1


def test_it_waits_longer_for_input_when_nothing_is_in_flight() -> None:
    bench = Bench()
    bench.protocol.step()
    bench.receive(record(0))
    bench.classify()
    bench.protocol.step()
    assert bench.source.waits == [POLL_IDLE, POLL_IDLE, POLL_BUSY, POLL_BUSY], "acknowledgements are due"


def test_while_the_model_is_busy_it_waits_for_results_and_only_looks_for_input() -> None:
    bench = Bench()
    bench.receive(record(0))
    looks, began = len(bench.source.waits), bench.clock.now
    bench.protocol.step()
    assert bench.source.waits[looks:] == [0.0]
    assert bench.clock.now - began == pytest.approx(AWAIT_MODEL)


def test_input_that_comes_while_the_model_is_busy_is_taken_in_without_waiting() -> None:
    bench = Bench()
    bench.receive(record(0))
    began = bench.clock.now
    bench.receive(record(1))
    assert bench.clock.now == began
    assert bench.protocol.flow.records == 2


def test_a_result_is_published_in_the_step_that_waited_for_it() -> None:
    bench = Bench()
    bench.receive(record(0))
    bench.during_receive(bench.classifier.finish_all)
    bench.protocol.step()
    assert len(bench.sink.published) == 1


def test_one_step_takes_a_bounded_number_of_records() -> None:
    bench = Bench(limits=FlowLimits(records=10 * POLL_RECORDS, tokens=10**9))
    bench.source.script.append([record(n) for n in range(2 * POLL_RECORDS)])
    bench.protocol.step()
    assert bench.protocol.flow.records == POLL_RECORDS


# ---- All together ------------------------------------------------------------------------------------------------

values = st.sampled_from([b"a", b"bb", b"ccc", b"a longer comment", b"empty", b"bad"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.tuples(values, st.booleans()), max_size=6), max_size=8),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(1, 10),
    st.integers(0, 3),
)
def test_whatever_arrives_each_record_has_one_message_in_offset_order_and_all_offsets_are_stored(
    polls: list[list[tuple[bytes, bool]]], max_rows: int, max_tokens: int, limit: int, cache_entries: int
) -> None:
    bench = Bench(
        batching=BatchPolicy(max_rows, max_tokens, 0.05),
        limits=FlowLimits(records=limit, hold=0.0),
        cache_entries=cache_entries,
    )
    arrived: dict[Partition, list[int]] = {P0: [], P1: []}
    for poll in polls:
        records = []
        for value, second in poll:
            partition = P1 if second else P0
            offset = 3 * len(arrived[partition])
            arrived[partition].append(offset)
            records.append(record(offset, value, partition))
        bench.source.script.append(records)
    bench.finish_everything()
    bench.protocol.step()
    for partition, offsets in arrived.items():
        assert [offset for number, offset in bench.sink.offsets if number == partition.number] == offsets
        if offsets:
            assert bench.source.offsets[partition] == offsets[-1] + 1
    assert (bench.protocol.flow.bytes, bench.protocol.flow.tokens) == (0, 0)
