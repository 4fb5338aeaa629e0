"""What a follower is told: every step of every record, in order, also when partitions move."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consumer.delivery.batcher import BatchPolicy, ClosedBatch
from consumer.delivery.coordinates import ranges
from consumer.delivery.follower import Follower, Several
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Partition
from consumer.delivery.row import Row
from tests.delivery.fakes import P0, P1, Bench, record, tombstone

ONE_BY_ONE = BatchPolicy(max_rows=1, max_tokens=1000, max_wait=60.0)


class Steps(Follower):
    """Writes down each step with the coordinates of its rows."""

    def __init__(self) -> None:
        self.steps: list[tuple[object, ...]] = []

    def received(self, rows: Sequence[Row]) -> None:
        self.steps.append(("received", *ranges(rows)))

    def submitted(self, ticket: int, batch: ClosedBatch[Row], distinct: int) -> None:
        self.steps.append(("submitted", ticket, distinct, *ranges(batch.rows)))

    def withdrawn(self, ticket: int) -> None:
        self.steps.append(("withdrawn", ticket))

    def answered(self, ticket: int, rows: Sequence[Row]) -> None:
        self.steps.append(("answered", ticket, *ranges(rows)))

    def published(self, ticket: int, rows: Sequence[Row]) -> None:
        self.steps.append(("published", ticket, *ranges(rows)))

    def acknowledged(self, rows: Sequence[Row]) -> None:
        self.steps.append(("acknowledged", *ranges(rows)))

    def dropped(self, rows: Sequence[Row]) -> None:
        self.steps.append(("dropped", *ranges(rows)))

    def stored(self, offsets: Sequence[tuple[Partition, int]]) -> None:
        self.steps.append(("stored", *offsets))


@pytest.fixture
def steps() -> Steps:
    return Steps()


def test_a_record_is_followed_from_receipt_to_its_stored_offset(steps: Steps) -> None:
    bench = Bench(follower=steps)
    bench.receive(record(0, b"a"), record(1, b"a"), tombstone(2), record(7, b"b", P1))
    bench.classify()
    bench.sink.acknowledge_all()
    bench.protocol.step()
    everything = ("comments/0/0-2", "comments/1/7")
    assert steps.steps == [
        ("received", *everything),
        ("submitted", 1, 2, *everything),
        ("answered", 1, *everything),
        ("published", 1, *everything),
        ("acknowledged", *everything),
        ("stored", (P0, 3), (P1, 8)),
    ]


def test_what_a_revoke_takes_back_and_gives_up_is_told(steps: Steps) -> None:
    bench = Bench(batching=ONE_BY_ONE, follower=steps)
    bench.receive(record(0, b"running"), record(1, b"ready"), record(2, b"in line"))
    steps.steps.clear()
    bench.clock.after(0.1, bench.classifier.finish)
    bench.clock.after(0.2, bench.sink.acknowledge_all)
    bench.during_receive(lambda: bench.protocol.revoked([P0]))
    bench.protocol.step()
    assert steps.steps[:2] == [("withdrawn", 2), ("dropped", "comments/0/1-2")]
    assert ("published", 1, "comments/0/0") in steps.steps
    assert steps.steps[-2:] == [("acknowledged", "comments/0/0"), ("stored", (P0, 1))]


def test_a_batch_whose_partitions_are_lost_is_dropped_before_it_is_answered_with_nothing(steps: Steps) -> None:
    bench = Bench(follower=steps)
    bench.receive(record(0))
    bench.protocol.lost([P0])
    steps.steps.clear()
    bench.classify()
    assert steps.steps == [("dropped", "comments/0/0"), ("answered", 1), ("published", 1)]


def test_a_message_not_accepted_after_its_partition_moved_on_is_given_up(steps: Steps) -> None:
    bench = Bench(follower=steps)
    bench.receive(record(0))
    bench.classify()
    bench.protocol.lost([P0])
    bench.sink.answer(0, Delivery.RETRY)
    bench.protocol.step()
    assert steps.steps[-1] == ("dropped", "comments/0/0")


def test_several_are_all_told_the_same() -> None:
    first, second = Steps(), Steps()
    bench = Bench(batching=ONE_BY_ONE, follower=Several([first, second]))
    bench.receive(*map(record, range(5)))
    bench.classify()
    bench.sink.acknowledge_all()
    bench.protocol.step()
    bench.during_receive(lambda: bench.protocol.revoked([P0]))
    bench.protocol.step()
    assert first.steps == second.steps
    assert {step[0] for step in first.steps} == {
        "received", "submitted", "withdrawn", "answered", "published", "acknowledged", "dropped", "stored",
    }  # fmt: skip


def test_ranges_are_runs_of_neighbours_by_partition() -> None:
    rows: list[Row] = []

    class Taking(Follower):
        def received(self, taken: Sequence[Row]) -> None:
            rows.extend(taken)

    bench = Bench(follower=Taking())
    bench.receive(record(3), record(4), record(9), record(11, None, P1), record(12, None, P1), record(13, None, P1))
    assert ranges(reversed(rows)) == ["comments/0/3-4", "comments/0/9", "comments/1/11-13"]
    assert ranges([]) == []
