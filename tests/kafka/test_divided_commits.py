"""Commits of divided partitions: what changes above an offset that stands still, in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.delivery.records import Partition
from consumer.delivery.spans import Span
from consumer.kafka.commits import Commits
from consumer.kafka.counts import SourceCounts
from consumer.kafka.span_metadata import read_spans

P0 = Partition("comments", 0)
P1 = Partition("comments", 1)
REFUSED = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)


class Client:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.stored: list[TopicPartition] = []
        self.committed: list[list[TopicPartition]] = []
        self.waited: list[list[TopicPartition]] = []
        self.fails = False

    def store_offsets(self, offsets: list[TopicPartition]) -> None:
        self.stored += offsets

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._STATE))
        (self.committed if asynchronous else self.waited).append(offsets)


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.client = Client()
        self.counts = SourceCounts()
        self.commits = Commits(self.client, lambda: self.now, self.counts, lambda: None)  # type: ignore[arg-type]
        self.commits.divide(P0, end=100)

    def second(self) -> list[tuple[int, tuple[Span, ...]]]:
        """A second later: what is committed then, as offsets and the spans above."""
        self.now += 1.0
        before = len(self.client.committed)
        self.commits.send_due()
        return [said(each) for offsets in self.client.committed[before:] for each in offsets]

    def answer(self, error: KafkaError | None = None) -> None:
        """What the broker says to the last commit."""
        self.commits.on_commit(error, self.client.committed[-1])


def said(each: TopicPartition) -> tuple[int, tuple[Span, ...]]:
    return each.offset, read_spans(Partition(each.topic, each.partition), each.offset, each.metadata)


A, B = (Span(20, 30),), (Span(20, 40),)


def test_what_changes_above_an_offset_that_stands_still_is_committed_once_a_second() -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    assert bench.second() == [(5, A)]
    bench.commits.send_due()
    assert len(bench.client.committed) == 1
    bench.answer()
    bench.commits.store(P0, 5, None, B)
    assert bench.second() == [(5, B)]
    bench.answer()
    assert bench.second() == [], "nothing changed"
    assert bench.client.stored == [], "stored as well, it could be sent in another order"


def test_only_one_commit_of_a_partition_is_under_way() -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    assert bench.second() == [(5, A)]
    bench.commits.store(P0, 6, None, B)
    assert bench.second() == []
    bench.answer()
    assert bench.second() == [(6, B)]


@pytest.mark.parametrize("newer", [False, True])
def test_a_refused_commit_is_made_again_unless_there_is_a_newer_one(newer: bool) -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    bench.second()
    if newer:
        bench.commits.store(P0, 6, None, B)
    bench.answer(REFUSED)
    assert bench.counts.commit_errors == 1
    assert bench.second() == [(6, B) if newer else (5, A)]


def test_a_commit_that_cannot_be_sent_is_sent_later() -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    bench.client.fails = True
    assert bench.second() == []
    bench.client.fails = False
    assert bench.second() == [(5, A)]


def test_when_the_backlog_is_done_and_committed_the_client_has_the_partition_back() -> None:
    bench = Bench()
    bench.commits.store(P0, 120, 3)
    assert bench.second() == [(120, ())]
    bench.commits.store(P0, 130, 3)
    assert bench.client.stored == [], "not before that is committed"
    bench.answer()
    assert [each.offset for each in bench.client.stored] == [130]
    bench.commits.store(P0, 140, 3)
    assert [(each.offset, each.metadata or "") for each in bench.client.stored] == [(130, ""), (140, "")]
    assert bench.second() == []


def test_nothing_done_above_does_not_mean_that_the_backlog_is_done() -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None)
    bench.second()
    bench.answer()
    bench.commits.store(P0, 5, None, A)
    assert bench.second() == [(5, A)]


def test_what_is_left_is_committed_when_the_partition_moves_on_and_nothing_after_that() -> None:
    bench = Bench()
    bench.commits.divide(P1, end=100)
    bench.commits.store(P1, 7, None, A)
    bench.second()
    bench.commits.store(P0, 5, None, A)
    bench.commits.release([P0, P1])
    released = {(each.partition, *said(each)) for each in bench.client.committed[-1]}
    assert released == {(0, 5, A), (1, 7, A)}, "the one under way may be refused, so it goes again"
    bench.answer(REFUSED)
    assert bench.second() == []


def test_nothing_of_a_lost_partition_is_committed() -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    bench.commits.forget([P0])
    assert bench.second() == []
    bench.commits.finish()
    assert bench.client.waited == []


def test_late_news_from_before_a_partition_went_and_came_back_is_not_taken_for_the_new_ones() -> None:
    """Made again, the old position would take the committed offset back."""
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    bench.second()
    old = bench.client.committed[-1]
    bench.commits.forget([P0])
    bench.commits.divide(P0, end=100)
    bench.commits.store(P0, 50, None)
    bench.second()
    bench.commits.on_commit(REFUSED, old)
    bench.answer()
    assert bench.second() == []


def test_at_the_end_what_is_left_is_committed_and_waited_for() -> None:
    bench = Bench()
    bench.commits.store(P0, 5, None, A)
    bench.commits.finish()
    assert [said(each) for (each,) in bench.client.waited] == [(5, A)]


@pytest.mark.parametrize("act", [lambda c: c.finish(), lambda c: c.send_due(), lambda c: c.release([P1])])
def test_where_nothing_is_divided_the_client_alone_commits(act: Callable[[Commits], None]) -> None:
    bench = Bench()
    bench.commits.forget([P0])
    bench.commits.store(P1, 5, 2)
    act(bench.commits)
    assert (len(bench.client.stored), bench.client.committed, bench.client.waited) == (1, [], [])
