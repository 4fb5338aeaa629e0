"""How well labels were predicted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Scores(NamedTuple):
    """``accuracy`` counts a comment only when all its labels are right."""

    accuracy: float
    f1_micro: float
    f1_macro: float
    f1_per_label: tuple[float, ...]


def score(predicted: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> Scores:
    """Compare two arrays of shape (comments, labels).

    A label that is neither predicted nor true anywhere has F1 zero, and no comments at all score zero.
    """
    hits = (predicted & true).sum(axis=0)
    errors = (predicted ^ true).sum(axis=0)
    per_label = 2 * hits / np.maximum(2 * hits + errors, 1)
    micro = 2 * hits.sum() / max(2 * hits.sum() + errors.sum(), 1)
    return Scores(
        accuracy=float((predicted == true).all(axis=1).sum() / max(len(true), 1)),
        f1_micro=float(micro),
        f1_macro=float(per_label.mean()),
        f1_per_label=tuple(float(value) for value in per_label),
    )
