"""Token ids of many texts in one row, without padding. Pure numpy.

Rows are sorted by length, so that texts of one length stand side by side: attention over such a run needs neither a
mask nor a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Run(NamedTuple):
    """Neighbouring rows of one length: ``rows`` texts of ``length`` tokens, from ``token`` and ``row`` on."""

    token: int
    row: int
    rows: int
    length: int


class PackedBatch:
    """A tokenised batch. Rows are numbered as the caller gave them; arrays are in packed order.

    Attributes:
        ids: token ids of all texts, shortest text first; shape [tokens].
        lengths: tokens of each packed row; shape [rows], never 0.
        order: the caller's number of each packed row; shape [rows].
        truncated: for each of the *caller's* rows, whether the model's limit cut it.
    """

    def __init__(self, ids: Ids, lengths: Ids, order: Ids, truncated: tuple[bool, ...]) -> None:
        self.ids = ids
        self.lengths = lengths
        self.order = order
        self.truncated = truncated

    @classmethod
    def pack(cls, ids: Ids, lengths: Ids, truncated: Sequence[bool]) -> PackedBatch:
        """Sort texts, given one after the other in ``ids``, by length; those of one length keep their order."""
        order = np.argsort(lengths, kind="stable")
        return cls(_gather(ids, lengths, order), lengths[order], order, tuple(truncated))

    def __len__(self) -> int:
        return len(self.order)

    @property
    def tokens(self) -> int:
        """Tokens of the whole batch."""
        return len(self.ids)

    @cached_property
    def starts(self) -> Ids:
        """Where each packed row begins, and last where all end; shape [rows + 1]."""
        return _starts(self.lengths)

    @cached_property
    def positions(self) -> Ids:
        """Each token's place in its text, from 0; shape [tokens]."""
        return np.arange(self.tokens, dtype=np.int64) - np.repeat(self.starts[:-1], self.lengths)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The packed rows, cut where the length changes."""
        if not len(self):
            return ()
        first = np.concatenate(([0], np.flatnonzero(np.diff(self.lengths)) + 1, [len(self)]))
        return tuple(Run(int(self.starts[a]), int(a), int(b - a), int(self.lengths[a])) for a, b in pairwise(first))

    def select(self, rows: Sequence[int]) -> PackedBatch:
        """The batch with only these of the caller's rows, in this order."""
        place = np.empty(len(self), dtype=np.int64)
        place[self.order] = np.arange(len(self))
        packed = place[np.asarray(rows, dtype=np.int64)]
        lengths = self.lengths[packed]
        return PackedBatch.pack(
            _gather(self.ids, self.lengths, packed), lengths, tuple(self.truncated[row] for row in rows)
        )

    def slices(self, max_tokens: int) -> list[PackedBatch]:
        """Cut the packed row into pieces of at most ``max_tokens`` tokens, each of one text at least.

        The pieces share this batch's ``order`` numbers, so they are no batches for a caller; ``truncated`` is empty.
        """
        pieces: list[PackedBatch] = []
        first = 0
        while first < len(self):
            fits = int(np.searchsorted(self.starts, self.starts[first] + max_tokens, side="right")) - 1
            last = max(fits, first + 1)
            ids = self.ids[self.starts[first] : self.starts[last]]
            pieces.append(PackedBatch(ids, self.lengths[first:last], self.order[first:last], ()))
            first = last
        return pieces


def _starts(lengths: Ids) -> Ids:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _gather(ids: Ids, lengths: Ids, rows: Ids) -> Ids:
    """The ids of these rows, one after the other."""
    taken = lengths[rows]
    # The source index of every token: where its row starts, plus its place in the row.
    offsets = np.repeat(_starts(lengths)[rows] - _starts(taken)[:-1], taken)
    return ids[offsets + np.arange(len(offsets), dtype=np.int64)]
