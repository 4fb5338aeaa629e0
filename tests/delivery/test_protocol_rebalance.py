"""What happens when partitions come, go, get lost, and when the program drains."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.errors import ModelBroken, OutputRefused
from consumer.delivery.flow import FlowLimits
from consumer.delivery.ports import Delivery
from consumer.delivery.protocol import AWAIT_MODEL
from consumer.delivery.records import Partition
from tests.delivery.fakes import P0, P1, Bench, record

ONE_BY_ONE = BatchPolicy(max_rows=1, max_tokens=1000, max_wait=60.0)


def revoke(bench: Bench, *partitions: Partition) -> None:
    """One step in which these partitions are revoked."""
    bench.during_receive(lambda: bench.protocol.revoked(partitions))
    bench.protocol.step()


def lose(bench: Bench, *partitions: Partition) -> None:
    bench.during_receive(lambda: bench.protocol.lost(partitions))
    bench.protocol.step()


def assign(bench: Bench, *partitions: Partition) -> None:
    bench.during_receive(lambda: bench.protocol.assigned(partitions))
    bench.protocol.step()


def soon(bench: Bench, *events: Callable[[], object], after: float = 0.1) -> None:
    """Let these happen one after the other while the protocol waits."""
    for number, event in enumerate(events, 1):
        bench.clock.after(after * number, lambda event=event: event())  # type: ignore[misc]


# ---- Revoked -----------------------------------------------------------------------------------------------------


def test_a_revoke_awaits_the_running_batch_and_drops_what_was_not_started() -> None:
    bench = Bench(batching=ONE_BY_ONE)
    bench.receive(record(0, b"running"), record(1, b"ready"), record(2, b"in line"))
    soon(bench, bench.classifier.finish, bench.sink.acknowledge_all)

    revoke(bench, P0)

    assert bench.sink.offsets == [(0, 0)]
    assert bench.source.offsets == {P0: 1}
    assert bench.notes.dropped_records == 2
    assert bench.protocol.flow.records == 0
    assert bench.classifier.open == []
    assert bench.protocol.assigned_partitions == (P1,)


def test_a_revoke_awaits_acknowledgements_and_returns_as_soon_as_they_are_there() -> None:
    bench = Bench(revoke_timeout=30.0)
    bench.receive(record(0))
    bench.classify()
    began = bench.clock.now
    soon(bench, bench.sink.acknowledge_all, after=0.5)
    revoke(bench, P0)
    assert bench.source.offsets == {P0: 1}
    assert 0.5 <= bench.clock.now - began < 1.0


def test_a_revoke_with_nothing_started_does_not_wait() -> None:
    bench = Bench()
    began = bench.clock.now
    revoke(bench, P0, P1)
    assert bench.clock.now == began


@pytest.mark.parametrize("classified", [False, True], ids=["the model hangs", "the broker hangs"])
def test_a_revoke_waits_no_longer_than_its_deadline_and_nothing_unfinished_is_stored(classified: bool) -> None:
    bench = Bench(revoke_timeout=5.0)
    bench.receive(record(0))
    if classified:
        bench.classify()
    began = bench.clock.now
    revoke(bench, P0)
    assert bench.clock.now - began == pytest.approx(5.0, abs=2 * AWAIT_MODEL)
    assert bench.source.stored == []
    assert bench.protocol.assigned_partitions == (P1,)


def test_one_deadline_covers_the_model_and_the_acknowledgement_together() -> None:
    bench = Bench(revoke_timeout=5.0)
    bench.receive(record(0))
    bench.clock.after(4.0, bench.classifier.finish)
    bench.clock.after(8.0, bench.sink.acknowledge_all)
    began = bench.clock.now
    revoke(bench, P0)
    assert bench.sink.offsets == [(0, 0)]
    assert bench.clock.now - began == pytest.approx(5.0)
    assert bench.source.stored == []


def test_a_result_that_comes_after_the_deadline_is_neither_published_nor_stored() -> None:
    bench = Bench(revoke_timeout=1.0)
    bench.receive(record(0))
    revoke(bench, P0)
    bench.classify()
    assert bench.sink.values == []
    assert bench.protocol.flow.records == 0
    assert bench.notes.dropped_records == 1


def test_an_acknowledgement_that_comes_after_the_deadline_does_not_count_for_the_next_epoch() -> None:
    bench = Bench(revoke_timeout=1.0)
    bench.receive(record(0))
    bench.classify()
    revoke(bench, P0)
    assign(bench, P0)
    bench.receive(record(0))
    bench.sink.acknowledge_all()
    bench.protocol.step()
    assert bench.source.stored == []
    assert bench.protocol.flow.records == 1, "only the new one is in flight"
    bench.finish_everything()
    bench.protocol.step()
    assert bench.source.offsets == {P0: 1}


@pytest.mark.parametrize("fate", [Delivery.RETRY, Delivery.TOO_LARGE, Delivery.REJECTED, Delivery.REFUSED])
def test_a_message_of_an_old_epoch_that_was_not_accepted_is_left_to_the_next_owner(fate: Delivery) -> None:
    bench = Bench(revoke_timeout=1.0)
    bench.receive(record(0))
    bench.classify()
    revoke(bench, P0)
    bench.sink.answer(0, fate)
    bench.protocol.step()
    assert len(bench.sink.values) == 1
    assert bench.protocol.flow.records == 0


def test_rows_of_partitions_that_stay_keep_their_place_in_the_line() -> None:
    bench = Bench(batching=ONE_BY_ONE)
    bench.receive(
        record(0, b"run 0"), record(0, b"a", P1), record(1, b"b", P0), record(1, b"c", P1), record(2, b"d", P0)
    )
    soon(bench, bench.classifier.finish, bench.sink.acknowledge_all)
    revoke(bench, P0)
    assert bench.classifier.open == [["a"], ["c"]], "the ready batch was taken back and is fed again, in order"
    bench.receive(record(2, b"e", P1))
    bench.finish_everything()
    assert [offset for number, offset in bench.sink.offsets if number == 1] == [0, 1, 2]


def test_a_running_batch_of_two_partitions_is_published_for_both() -> None:
    bench = Bench()
    bench.receive(record(0), record(0, partition=P1))
    soon(bench, bench.classifier.finish, bench.sink.acknowledge_all)
    revoke(bench, P0)
    assert bench.sink.offsets == [(0, 0), (1, 0)]


def test_a_running_batch_that_outlasts_the_revoke_is_published_for_the_partition_that_stays_only() -> None:
    bench = Bench(revoke_timeout=1.0)
    bench.receive(record(0), record(0, b"gg", P1), record(1, b"gg"))
    revoke(bench, P0)
    bench.classify()
    assert bench.sink.offsets == [(1, 0)]


def test_it_does_not_wait_for_partitions_that_stay() -> None:
    bench = Bench()
    bench.receive(record(0, partition=P1))
    began = bench.clock.now
    revoke(bench, P0)
    assert bench.clock.now - began == pytest.approx(AWAIT_MODEL), "as in any step: the model has a batch"
    assert bench.classifier.open == [["1-0"]]


def test_what_was_dropped_may_be_received_again_in_the_next_epoch() -> None:
    bench = Bench(batching=BatchPolicy(100, 1000, 60.0, idle_dispatch=False))
    bench.receive(record(0), record(1))
    revoke(bench, P0)
    assign(bench, P0)
    bench.receive(record(0), record(1))
    bench.finish_everything()
    bench.protocol.step()
    assert bench.sink.offsets == [(0, 0), (0, 1)]
    assert bench.source.offsets == {P0: 2}


def test_records_that_arrive_in_the_very_poll_that_revokes_their_partition_are_left_alone() -> None:
    bench = Bench()
    bench.during_receive(lambda: bench.protocol.revoked([P0]))
    bench.receive(record(0), record(0, partition=P1))
    assert bench.classifier.open == [["1-0"]]


def test_rows_given_up_make_room_and_the_input_resumes() -> None:
    bench = Bench(
        limits=FlowLimits(records=2, hold=0.0), batching=BatchPolicy(max_rows=100, max_wait=60.0, idle_dispatch=False)
    )
    bench.receive(record(0), record(1))
    assert bench.source.paused
    revoke(bench, P0)
    assert not bench.source.paused


def test_a_message_too_large_during_a_revoke_is_still_settled_within_it() -> None:
    bench = Bench()
    bench.receive(record(0))
    bench.classify()
    soon(bench, lambda: bench.sink.answer(0, Delivery.TOO_LARGE), lambda: bench.sink.answer(0))
    revoke(bench, P0)
    assert bench.sink.values == [b"labeled:r1:3", b"dead:publish:too_large"]
    assert bench.source.offsets == {P0: 1}


# ---- Lost --------------------------------------------------------------------------------------------------------


def test_lost_partitions_are_fenced_at_once_and_nothing_is_awaited_or_stored() -> None:
    bench = Bench(batching=ONE_BY_ONE)
    bench.receive(record(0), record(1), record(2))
    bench.classifier.finish()
    bench.protocol.step()
    began = bench.clock.now
    bench.during_receive(bench.sink.acknowledge_all)
    lose(bench, P0)
    bench.protocol.step()
    assert bench.clock.now - began == pytest.approx(2 * AWAIT_MODEL), "as in any two steps: the model has a batch"
    assert bench.source.stored == []
    assert bench.protocol.assigned_partitions == (P1,)


def test_a_watermark_that_moved_but_was_not_stored_yet_is_not_stored_for_a_lost_partition() -> None:
    bench = Bench()
    bench.receive(record(0))
    bench.classify()
    bench.sink.acknowledge_all()
    lose(bench, P0)  # the acknowledgement is taken in by the same step, before the loss
    assert bench.notes.ages != []
    assert bench.source.stored == []


def test_what_was_running_for_a_lost_partition_is_not_published() -> None:
    bench = Bench()
    bench.receive(record(0), record(0, partition=P1))
    lose(bench, P0)
    bench.classify()
    assert bench.sink.offsets == [(1, 0)]


def test_what_was_in_line_for_a_lost_partition_never_reaches_the_model() -> None:
    bench = Bench(batching=ONE_BY_ONE)
    bench.receive(record(0, b"a"), record(1, b"b"), record(0, b"c", P1), record(2, b"d"))
    lose(bench, P0)
    assert bench.classifier.open == [["a"], ["c"]]
    assert bench.notes.dropped_records == 2


# ---- Failures inside a callback ----------------------------------------------------------------------------------


def test_a_model_that_breaks_inside_a_callback_surfaces_from_the_step_and_never_from_the_callback() -> None:
    bench = Bench()
    bench.receive(record(0))
    soon(bench, lambda: bench.classifier.break_down(ModelBroken("gone")))
    bench.protocol.revoked([P0])  # as the Kafka client would call it: nothing may come out
    assert bench.protocol.assigned_partitions == (P1,)
    bench.classifier.mend()  # whatever the model says now, the failure is not forgotten
    with pytest.raises(ModelBroken, match="gone"):
        bench.protocol.step()
    assert bench.source.stored == []


def test_an_output_refused_inside_a_callback_surfaces_from_the_same_step_that_called_it() -> None:
    bench = Bench()
    bench.receive(record(0), record(1))
    bench.classify()
    soon(bench, lambda: bench.sink.answer(0), lambda: bench.sink.answer(1, Delivery.REFUSED))
    with pytest.raises(OutputRefused):
        revoke(bench, P0)
    assert bench.source.offsets == {P0: 1}, "what was acknowledged before counts"


def test_after_a_failure_a_further_callback_does_not_wait() -> None:
    bench = Bench()
    bench.receive(record(0), record(0, partition=P1))
    soon(bench, lambda: bench.classifier.break_down(ModelBroken("gone")))
    bench.protocol.revoked([P0])
    bench.classifier.mend()
    began = bench.clock.now
    bench.protocol.revoked([P1])
    assert bench.clock.now == began
    with pytest.raises(ModelBroken):
        bench.protocol.step()


# ---- Drain -------------------------------------------------------------------------------------------------------


def test_a_drain_finishes_what_was_started_stores_it_and_drops_the_rest() -> None:
    bench = Bench(batching=ONE_BY_ONE)
    bench.receive(record(0), record(0, partition=P1), record(1))
    soon(bench, bench.classifier.finish, bench.sink.acknowledge_all)
    assert bench.protocol.drain(10.0)
    assert bench.source.offsets == {P0: 1}
    assert bench.sink.offsets == [(0, 0)]
    assert bench.source.paused
    assert bench.protocol.flow.records == 0
    assert bench.protocol.assigned_partitions == ()


def test_a_drain_of_an_idle_program_is_done_at_once() -> None:
    bench = Bench()
    began = bench.clock.now
    assert bench.protocol.drain(10.0)
    assert bench.clock.now == began


def test_a_drain_whose_deadline_passes_says_so_and_stores_only_what_is_complete() -> None:
    bench = Bench()
    bench.receive(record(0), record(1))
    bench.classify()
    bench.clock.after(1.0, lambda: bench.sink.answer(0))
    began = bench.clock.now
    assert not bench.protocol.drain(3.0)
    assert bench.clock.now - began == pytest.approx(3.0)
    assert bench.source.offsets == {P0: 1}


def test_a_failure_during_a_drain_is_raised_by_it() -> None:
    bench = Bench()
    bench.receive(record(0))
    bench.classify()
    soon(bench, lambda: bench.sink.answer(0, Delivery.REFUSED))
    with pytest.raises(OutputRefused):
        bench.protocol.drain(10.0)
    assert bench.source.stored == []
