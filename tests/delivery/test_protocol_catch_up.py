"""The protocol with a divided partition: two parts at once, one offset, and what is done above it."""

from __future__ import annotations

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.protocol import BACKLOG_LINE
from consumer.delivery.spans import Division, Span
from tests.delivery.fakes import P0, P1, Bench, record


def divided(**changes: object) -> Bench:
    """Offsets 0 to 19 of partition 0 are a backlog, in chunks of ten."""
    bench = Bench(**changes)  # type: ignore[arg-type]
    bench.during_receive(lambda: bench.protocol.divided(P0, Division(0, 20, (), 10)))
    bench.protocol.step()
    return bench


def pass_chunk(bench: Bench, chunk: Span) -> None:
    bench.during_receive(lambda: bench.protocol.passed(P0, chunk))
    bench.protocol.step()


def settle(bench: Bench) -> None:
    """Everything received is labeled, acknowledged and stored."""
    bench.finish_everything()
    bench.protocol.step()


def test_what_is_done_above_the_offset_is_stored_with_it() -> None:
    bench = divided()
    bench.receive(record(20), record(10), record(11))
    settle(bench)
    assert bench.source.offsets == {P0: 0}
    assert bench.source.above == {P0: (Span(10, 12), Span(20, 21))}
    pass_chunk(bench, Span(10, 20))
    assert bench.source.above == {P0: (Span(10, 21),)}


def test_when_the_backlog_is_done_the_partition_is_like_any_other() -> None:
    bench = divided()
    bench.receive(record(20), record(0), record(5))
    settle(bench)
    pass_chunk(bench, Span(10, 20))
    pass_chunk(bench, Span(0, 10))
    assert bench.source.offsets == {P0: 21}
    assert bench.source.above == {P0: ()}
    bench.receive(record(21))
    assert bench.source.backlog == NO_BACKLOG
    settle(bench)
    assert bench.source.offsets == {P0: 22}


def test_other_partitions_go_on_as_usual() -> None:
    bench = divided()
    bench.receive(record(0, partition=P1), record(10))
    settle(bench)
    assert bench.source.offsets == {P0: 0, P1: 1}
    assert bench.source.above == {P0: (Span(10, 11),), P1: ()}


def test_without_a_backlog_the_source_is_not_asked_for_one() -> None:
    bench = Bench()
    bench.source.backlog = BacklogLimits(1, 1)
    bench.protocol.step()
    assert bench.source.backlog == NO_BACKLOG


def test_no_more_of_a_backlog_stands_in_line_than_a_live_comment_may_wait_behind() -> None:
    bench = divided(batching=BatchPolicy(max_rows=10, max_tokens=1000, max_wait=60.0))
    line = BACKLOG_LINE * 10
    bench.protocol.step()
    assert bench.source.backlog == BacklogLimits(share=0, spare=line)
    bench.receive(record(10), *(record(offset) for offset in range(20, 57)))  # two batches leave at once
    bench.protocol.step()
    assert bench.source.backlog == BacklogLimits(share=3, spare=line - 18)


def test_a_revoke_in_a_catch_up_stores_what_was_started_and_drops_the_rest() -> None:
    bench = divided(batching=BatchPolicy(max_rows=1, max_tokens=1000, max_wait=60.0))
    bench.receive(record(10, b"running"), record(11, b"ready"), record(12, b"in line"))
    bench.clock.after(0.1, bench.classifier.finish)
    bench.clock.after(0.2, bench.sink.acknowledge_all)
    bench.during_receive(lambda: bench.protocol.revoked([P0]))
    bench.protocol.step()
    assert bench.source.offsets == {P0: 0}
    assert bench.source.above == {P0: (Span(10, 11),)}
    assert bench.notes.dropped_records == 2
    assert bench.protocol.flow.records == 0
