"""Where a partition without a valid position is read from; and that nothing is guessed while the brokers are silent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.delivery.errors import OffsetOutOfRange, SourceFailed
from consumer.delivery.records import Partition
from consumer.kafka.positions import LOOKUP_BACKOFF, Found, Positions
from consumer.kafka.settings import Membership, StartPosition

WHERE = Partition("comments", 3)
NONE = -1001  # what the client says for "no offset"


class Answers:
    """What the brokers say to a consumer's questions; an exception is raised instead."""

    def __init__(
        self, committed: object = NONE, log: object = (10, 20), by_time: object = NONE, at: int = NONE
    ) -> None:
        self.committed_offset, self.log, self.by_time, self.at = committed, log, by_time, at
        self.asked = 0

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[object]:
        self.asked += 1
        return [_answer(self.committed_offset)]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> object:
        if isinstance(self.log, Exception):
            raise self.log
        return self.log

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[object]:
        (self.asked_time,) = (partition.offset for partition in partitions)
        return [_answer(self.by_time)]

    def position(self, partitions: list[TopicPartition]) -> list[object]:
        return [SimpleNamespace(offset=self.at)]


def _answer(said: object) -> object:
    if isinstance(said, Exception):
        raise said
    if isinstance(said, KafkaError):  # one partition's answer may be an error though the call succeeds
        return SimpleNamespace(offset=NONE, error=said)
    return SimpleNamespace(offset=said, error=None)


def failure(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


def positions(answers: Answers, clock: Callable[[], float] = lambda: 0.0, **membership: object) -> Positions:
    found = Positions(answers, Membership("readers", "comments", **membership), clock)  # type: ignore[arg-type]
    found.look_for(WHERE)
    return found


@pytest.mark.parametrize(
    ("start", "offset"),
    [
        (StartPosition("earliest"), 10),
        (StartPosition("latest"), 20),
        (StartPosition("timestamp", 1_700_000_000_000), 15),
    ],
)
def test_a_group_without_an_offset_begins_where_the_settings_say(start: StartPosition, offset: int) -> None:
    answers = Answers(by_time=15)
    assert list(positions(answers, start=start).found()) == [Found(WHERE, offset)]
    if start.kind == "timestamp":
        assert answers.asked_time == start.timestamp_ms


def test_a_time_after_the_last_record_is_the_end() -> None:
    answers = Answers(by_time=-1)
    assert list(positions(answers, start=StartPosition("timestamp", 1)).found()) == [Found(WHERE, 20)]


def test_a_position_is_looked_for_once() -> None:
    found = positions(Answers())
    assert len(list(found.found())) == 1
    assert list(found.found()) == []


@pytest.mark.parametrize(
    "silence",
    [
        {"committed": failure(KafkaError._TIMED_OUT)},
        {"committed": failure(KafkaError._TRANSPORT)},
        {"committed": failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)},
        {"committed": KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)},
        {"log": failure(KafkaError._ALL_BROKERS_DOWN)},
        {"log": None},
        {"by_time": failure(KafkaError._TIMED_OUT)},
        {"by_time": KafkaError(KafkaError.LEADER_NOT_AVAILABLE)},
    ],
    ids=lambda silence: "-".join(f"{name}-{said!r}"[:60] for name, said in silence.items()),
)
def test_silence_is_no_answer_and_is_asked_again_later(silence: dict[str, object]) -> None:
    """An error taken for "no offset" would begin at the end and skip everything in between."""
    now = [100.0]
    answers = Answers(**{"by_time": 15, **silence})  # type: ignore[arg-type]
    found = positions(answers, lambda: now[0], start=StartPosition("timestamp", 1))
    assert list(found.found()) == []
    asked = answers.asked
    assert list(found.found()) == []
    assert answers.asked == asked, "asked again at once"
    answers.committed_offset, answers.log, answers.by_time = NONE, (10, 20), 15
    now[0] += LOOKUP_BACKOFF
    assert list(found.found()) == [Found(WHERE, 15)]


def test_only_one_question_goes_unanswered_a_call_and_other_partitions_are_asked_for_next() -> None:
    """Each takes seconds, and while they last nobody polls: a hundred would lose the membership."""
    now = [100.0]
    answers = Answers(committed=failure(KafkaError._TIMED_OUT))
    found = positions(answers, lambda: now[0])
    others = [Partition("comments", number) for number in (4, 5)]
    for other in others:
        found.look_for(other)
    assert list(found.found()) == []
    assert answers.asked == 1
    answers.committed_offset = NONE
    assert list(found.found()) == [Found(other, 10) for other in others]
    now[0] += LOOKUP_BACKOFF
    assert list(found.found()) == [Found(WHERE, 10)]


def test_a_refusal_stops_and_names_the_remedy() -> None:
    found = positions(Answers(committed=failure(KafkaError.GROUP_AUTHORIZATION_FAILED)))
    with pytest.raises(SourceFailed, match=r"comments/3.*kafka-acls .*--group readers"):
        list(found.found())


def test_a_partition_that_moved_on_is_not_looked_for() -> None:
    answers = Answers()
    found = positions(answers)
    found.forget(WHERE)
    assert list(found.found()) == []
    assert answers.asked == 0


@pytest.mark.parametrize(("committed", "log"), [(4, (10, 20)), (25, (10, 20))])
def test_a_committed_offset_outside_the_log_stops(committed: int, log: tuple[int, int]) -> None:
    with pytest.raises(OffsetOutOfRange, match=f"offset {committed} is committed, but the log holds 10 to 20"):
        list(positions(Answers(committed=committed, log=log)).found())


@pytest.mark.parametrize(("allowed", "offset"), [("earliest", 10), ("latest", 20)])
def test_a_committed_offset_outside_the_log_is_passed_over_only_if_allowed(allowed: str, offset: int) -> None:
    found = positions(Answers(committed=4), out_of_range=allowed, start=StartPosition("latest"))
    assert list(found.found()) == [Found(WHERE, offset)]


def test_a_start_that_fell_out_of_the_log_before_it_was_committed_is_not_a_new_start() -> None:
    answers = Answers()
    found = positions(answers)
    assert list(found.found()) == [Found(WHERE, 10)]
    answers.log = (12, 20)  # 10 and 11 were deleted before they were read
    found.look_for(WHERE)
    with pytest.raises(OffsetOutOfRange, match="offset 10"):
        list(found.found())


def test_a_partition_that_came_back_is_judged_afresh() -> None:
    answers = Answers()
    found = positions(answers)
    list(found.found())
    found.forget(WHERE)
    answers.log = (12, 20)  # its owner in between went on, and committed nothing
    found.look_for(WHERE)
    assert list(found.found()) == [Found(WHERE, 12)]


@pytest.mark.parametrize(("committed", "log"), [(15, (10, 20)), (10, (10, 20)), (20, (10, 20)), (0, (0, 0))])
def test_an_offset_committed_by_the_last_owner_meanwhile_is_where_reading_begins(
    committed: int, log: tuple[int, int]
) -> None:
    found = positions(Answers(committed=committed, log=log), start=StartPosition("latest")).found()
    assert list(found) == [Found(WHERE, committed)]


def test_a_log_that_was_cut_below_what_was_read_restarts_from_the_committed_offset() -> None:
    """Going back inside the process would hand offsets out twice under one assignment."""
    with pytest.raises(SourceFailed, match="the log ends at 20, before what was read"):
        list(positions(Answers(committed=15, at=23), out_of_range="earliest").found())
