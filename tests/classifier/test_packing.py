from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumer.classifier.packing import PackedBatch

ROWS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=12)


def pack(rows: list[list[int]]) -> PackedBatch:
    flat = np.array([number for row in rows for number in row], dtype=np.int64)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return PackedBatch.pack(flat, lengths, [len(row) == 6 for row in rows])


def unpack(batch: PackedBatch) -> list[list[int]]:
    rows: list[list[int]] = [[]] * len(batch)
    for packed, row in enumerate(batch.order.tolist()):
        rows[row] = batch.ids[batch.starts[packed] : batch.starts[packed + 1]].tolist()
    return rows


@given(ROWS)
def test_every_row_comes_back_as_it_was_packed(rows):
    batch = pack(rows)
    assert unpack(batch) == rows
    assert list(batch.truncated) == [len(row) == 6 for row in rows]
    assert (len(batch), batch.tokens) == (len(rows), sum(map(len, rows)))


@given(ROWS)
def test_positions_count_from_0_in_every_row(rows):
    batch = pack(rows)
    assert batch.positions.tolist() == [place for length in batch.lengths for place in range(length)]


@given(ROWS)
def test_runs_cover_the_row_once_with_one_length_each(rows):
    batch = pack(rows)
    lengths = [length for run in batch.runs for length in [run.length] * run.rows]
    assert lengths == sorted(map(len, rows))
    assert len({run.length for run in batch.runs}) == len(batch.runs)
    for run in batch.runs:
        assert batch.starts[run.row] == run.token


@given(ROWS, st.data())
def test_selected_rows_are_a_batch_of_those_rows_alone(rows, data):
    wanted = data.draw(st.lists(st.sampled_from(range(len(rows))), max_size=8)) if rows else []
    selected = pack(rows).select(wanted)
    assert unpack(selected) == [rows[row] for row in wanted]
    assert list(selected.truncated) == [len(rows[row]) == 6 for row in wanted]
    again = list(range(len(wanted)))[::-1]
    assert unpack(selected.select(again)) == [rows[row] for row in reversed(wanted)]


@given(ROWS, st.integers(1, 20))
def test_slices_are_the_batch_in_pieces_under_the_bound_or_of_one_row(rows, bound):
    batch = pack(rows)
    pieces = batch.slices(bound)
    assert all(piece.tokens <= bound or len(piece) == 1 for piece in pieces)
    assert np.concatenate([batch.ids[:0], *(piece.ids for piece in pieces)]).tolist() == batch.ids.tolist()
    assert np.concatenate([batch.order[:0], *(piece.order for piece in pieces)]).tolist() == batch.order.tolist()
    for one, two in pairwise(pieces):
        assert one.tokens + two.lengths[0] > bound  # no piece is cut short
