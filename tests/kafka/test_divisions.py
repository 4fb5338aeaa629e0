"""When a partition is divided, and where: by its age, its length, and what its last owner left in the metadata."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.delivery.records import Partition
from consumer.delivery.spans import Division, Span
from consumer.kafka.divisions import Divider
from consumer.kafka.settings import CatchUp
from consumer.kafka.span_metadata import write_spans

WHERE = Partition("comments", 3)
NOW = 1_000_000.0


class Broker:
    """Answers where the first record of a certain age is."""

    def __init__(self, by_time: int = 0, error: KafkaError | None = None) -> None:
        self._answer = SimpleNamespace(offset=by_time, error=error)
        self.asked: list[int] = []

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[object]:
        self.asked += [partition.offset for partition in partitions]
        return [self._answer]


def divide(
    broker: Broker, begin: int = 100, high: int = 1000, metadata: str | None = None, **catch_up: float
) -> Division | None:
    settings = CatchUp(**{"behind": 60.0, "chunk": 50, **catch_up})  # type: ignore[arg-type]
    return Divider(broker, settings, lambda: NOW, 1.0).divide(WHERE, begin, metadata, high)  # type: ignore[arg-type]


@pytest.mark.parametrize("by_time", [101, 900, -1], ids=["just above", "far above", "nothing is that young"])
def test_a_partition_whose_next_record_is_too_old_is_divided_at_its_end(by_time: int) -> None:
    broker = Broker(by_time)
    assert divide(broker) == Division(100, 1000, (), 50)
    assert broker.asked == [int((NOW - 60) * 1000)]


@pytest.mark.parametrize("by_time", [100, 20])
def test_one_whose_next_record_is_young_is_read_as_usual(by_time: int) -> None:
    assert divide(Broker(by_time)) is None


@pytest.mark.parametrize("high", [100, 101, 150])
def test_what_is_one_chunk_at_most_is_read_as_usual_and_nobody_is_asked(high: int) -> None:
    broker = Broker(-1)
    assert divide(broker, high=high) is None
    assert broker.asked == []


def test_without_an_age_any_backlog_is_divided_and_nobody_is_asked() -> None:
    broker = Broker(0)
    assert divide(broker, high=151, behind=0.0) == Division(100, 151, (), 50)
    assert broker.asked == []


def test_what_is_done_above_is_not_in_the_backlog_and_live_reading_goes_on_after_it() -> None:
    done = (Span(200, 300), Span(400, 990))
    assert divide(Broker(0), metadata=write_spans(WHERE, 100, done)) == Division(100, 990, done, 50)


def test_what_came_since_is_divided_again_if_it_is_too_much() -> None:
    done = (Span(400, 900),)
    division = divide(Broker(-1), metadata=write_spans(WHERE, 100, done))
    assert division == Division(100, 1000, done, 50)
    assert division.backlog == (Span(100, 400), Span(900, 1000))


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        None,
        "somebody was here",
        write_spans(WHERE, 99, (Span(200, 300),)),
        write_spans(WHERE, 100, (Span(500, 1001),)),
    ],
    ids=["empty", "none", "another tool's", "another offset's", "beyond the end of the log"],
)
def test_metadata_that_is_not_ours_or_not_of_this_log_is_ignored(metadata: str | None) -> None:
    assert divide(Broker(50), metadata=metadata) is None


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError.LEADER_NOT_AVAILABLE])
def test_silence_is_no_answer(code: int) -> None:
    with pytest.raises(KafkaException):
        divide(Broker(error=KafkaError(code)))
