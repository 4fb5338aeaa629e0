"""What a training run made, and how good it is."""

from __future__ import annotations

from typing import NamedTuple

from consumer.training.fitting import Recipe
from consumer.training.scores import Scores


class Report(NamedTuple):
    """What was trained and how good it is. ``unseen`` leaves out held-out texts that also stand in the training set."""

    recipe: Recipe
    source: str
    training_digest: str
    held_out_digest: str
    training_count: int
    held_out_count: int
    parameters: int
    scores: Scores
    unseen: Scores
