"""The batching rule, on a clock that is an argument."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.batcher import Batcher, BatchPolicy, ClosedBatch, CloseReason


@dataclass(frozen=True)
class Item:
    name: int
    tokens: int
    received_at: float


def batcher(
    max_rows: int = 4, max_tokens: int = 100, max_wait: float = 0.05, *, idle_dispatch: bool = True
) -> Batcher[Item]:
    return Batcher(BatchPolicy(max_rows, max_tokens, max_wait, idle_dispatch))


def fill(line: Batcher[Item], *tokens: int, at: float = 0.0) -> list[Item]:
    items = [Item(number, cost, at) for number, cost in enumerate(tokens)]
    for item in items:
        line.add(item)
    return items


def close(line: Batcher[Item], now: float, *, idle: bool = False) -> ClosedBatch[Item]:
    batch = line.close(now, idle=idle)
    assert batch is not None
    return batch


def test_an_empty_line_closes_nothing() -> None:
    assert batcher().close(1e9, idle=True) is None


def test_one_comment_leaves_at_once_when_the_model_is_idle() -> None:
    line = batcher()
    items = fill(line, 5)
    assert close(line, 0.0, idle=True) == (items, CloseReason.IDLE, 5, 0.0)


def test_while_the_model_is_busy_comments_gather() -> None:
    line = batcher()
    fill(line, 5, 5)
    assert line.close(0.049, idle=False) is None


def test_idle_dispatch_can_be_turned_off() -> None:
    line = batcher(idle_dispatch=False)
    fill(line, 5)
    assert line.close(0.049, idle=True) is None
    assert close(line, 0.05, idle=True).reason is CloseReason.DEADLINE


def test_a_burst_after_a_long_idle_time_is_one_full_batch() -> None:
    line = batcher(idle_dispatch=False)
    fill(line, 1)
    close(line, 0.05)
    items = fill(line, 1, 1, 1, 1, at=1000.0)
    assert close(line, 1000.0, idle=True) == (items, CloseReason.COUNT, 4, 0.0)


def test_a_comment_after_a_long_idle_time_waits_its_own_time_and_not_the_last_flushs() -> None:
    line = batcher(idle_dispatch=False)
    fill(line, 1)
    close(line, 0.05)
    fill(line, 1, at=1000.0)
    assert line.close(1000.0, idle=True) is None
    assert line.close(1000.049, idle=True) is None
    assert close(line, 1000.0625).reason is CloseReason.DEADLINE


def test_a_trickle_never_makes_the_oldest_comment_wait_longer_than_the_deadline() -> None:
    line = batcher(max_rows=1000)
    for tick in range(10):
        line.add(Item(tick, 1, tick * 0.01))  # each one is younger than the deadline
        batch = line.close(tick * 0.01, idle=False)
        if tick < 5:
            assert batch is None
        if batch is not None:
            assert tick == 5
            assert [item.name for item in batch.rows] == [0, 1, 2, 3, 4, 5]
            assert batch.waited == pytest.approx(0.05)
            assert batch.reason is CloseReason.DEADLINE
            return
    pytest.fail("the oldest comment waits for ever")


def test_the_deadline_is_the_oldest_comments_and_not_the_newests() -> None:
    line = batcher()
    line.add(Item(0, 1, 0.0))
    line.add(Item(1, 1, 0.049))
    assert len(close(line, 0.05).rows) == 2


def test_the_count_closes_a_batch_and_leaves_the_rest_in_line() -> None:
    line = batcher(max_rows=2)
    items = fill(line, 1, 1, 1)
    assert close(line, 0.0) == (items[:2], CloseReason.COUNT, 2, 0.0)
    assert len(line) == 1
    assert line.close(0.0, idle=False) is None


def test_the_token_budget_closes_a_batch_and_is_not_exceeded() -> None:
    line = batcher(max_rows=100, max_tokens=10)
    items = fill(line, 4, 4, 4)
    assert close(line, 0.0) == (items[:2], CloseReason.TOKENS, 8, 0.0)
    assert line.tokens == 4


def test_a_budget_that_is_met_exactly_is_full() -> None:
    line = batcher(max_tokens=10)
    items = fill(line, 4, 6)
    assert close(line, 0.0) == (items, CloseReason.TOKENS, 10, 0.0)


def test_an_oversize_comment_travels_alone() -> None:
    line = batcher(max_rows=100, max_tokens=10)
    items = fill(line, 1, 50, 0, 1)
    assert close(line, 0.0).rows == items[:1]
    assert close(line, 0.0) == (items[1:2], CloseReason.TOKENS, 50, 0.0)
    assert line.close(0.0, idle=False) is None
    assert close(line, 0.0, idle=True).rows == items[2:], "what costs nothing does not travel with it either"


def test_rows_that_need_no_model_cost_nothing_but_stand_in_line() -> None:
    line = batcher(max_rows=100, max_tokens=10)
    items = fill(line, 0, 4, 0, 6, 0, 1)
    assert close(line, 0.0) == (items[:5], CloseReason.TOKENS, 10, 0.0)


def test_the_reason_given_is_the_bound_that_was_met() -> None:
    line = batcher(max_rows=3, max_tokens=10)
    fill(line, 6, 6, 6)  # due by count, bounded by tokens
    assert close(line, 0.0).reason is CloseReason.TOKENS


def test_rows_that_are_put_back_keep_their_place_their_cost_and_their_age() -> None:
    line = batcher(max_rows=3)
    first = [Item(0, 1, 0.0), Item(1, 2, 0.01)]
    for item in first:
        line.add(item)
    taken = close(line, 0.01, idle=True).rows
    line.add(Item(2, 4, 0.02))
    line.put_back(taken)
    assert line.tokens == 7
    batch = close(line, 0.05)
    assert [item.name for item in batch.rows] == [0, 1, 2]
    assert batch.waited == pytest.approx(0.05)


def test_taking_all_empties_the_line_in_its_order() -> None:
    line = batcher()
    items = fill(line, 1, 2)
    assert line.take_all() == items
    assert len(line) == line.tokens == 0
    assert line.close(1e9, idle=True) is None


@pytest.mark.parametrize("broken", [{"max_rows": 0}, {"max_tokens": 0}, {"max_wait": -0.1}])
def test_a_policy_that_can_hold_nothing_is_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        BatchPolicy(**broken)  # type: ignore[arg-type]


arrivals = st.lists(st.tuples(st.integers(0, 15), st.sampled_from([0.0, 0.0, 0.01, 0.04, 0.2])), max_size=60)


@given(
    arrivals,
    st.integers(1, 6),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.03]),
    st.booleans(),
    st.data(),
)
def test_whatever_arrives_nothing_overtakes_nothing_is_lost_and_every_reason_is_true(
    arriving: list[tuple[int, float]],
    max_rows: int,
    max_tokens: int,
    max_wait: float,
    idle_dispatch: bool,
    data: st.DataObject,
) -> None:
    line = batcher(max_rows, max_tokens, max_wait, idle_dispatch=idle_dispatch)
    left: list[int] = []
    added: list[Item] = []
    now = 0.0
    for name, (cost, pause) in enumerate(arriving):
        now += pause
        line.add(Item(name, cost, now))
        added.append(Item(name, cost, now))
        idle = data.draw(st.booleans())
        while (batch := line.close(now, idle=idle)) is not None:
            tokens = sum(item.tokens for item in batch.rows)
            assert batch.tokens == tokens
            assert 1 <= len(batch.rows) <= max_rows
            assert tokens <= max_tokens or len(batch.rows) == 1
            assert batch.waited == now - batch.rows[0].received_at
            left += [item.name for item in batch.rows]
            following = added[len(left)].tokens if len(left) < len(added) else 0
            if batch.reason is CloseReason.COUNT:
                assert len(batch.rows) == max_rows
            elif batch.reason is CloseReason.TOKENS:
                assert tokens >= max_tokens or tokens + following > max_tokens
            elif batch.reason is CloseReason.DEADLINE:
                assert batch.waited >= max_wait
            else:
                assert idle
                assert idle_dispatch
            if data.draw(st.integers(0, 9)) == 0:
                line.put_back(batch.rows)
                del left[-len(batch.rows) :]
                break
    waiting = line.take_all()
    assert left + [item.name for item in waiting] == list(range(len(arriving)))


@given(arrivals, st.integers(1, 6), st.integers(1, 12))
def test_after_closing_all_that_is_due_nothing_due_remains(
    arriving: list[tuple[int, float]], max_rows: int, max_tokens: int
) -> None:
    line = batcher(max_rows, max_tokens, 0.03)
    now = 0.0
    for name, (cost, pause) in enumerate(arriving):
        now += pause
        line.add(Item(name, cost, now))
        while line.close(now, idle=False) is not None:
            pass
        assert len(line) < max_rows
        assert line.tokens < max_tokens
        waiting = line.take_all()
        assert all(now - item.received_at < 0.03 for item in waiting)
        line.put_back(waiting)
