"""How often each label is flagged, for the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from consumer.classifier.engine import Activation
from consumer.delivery.records import Labeled
from consumer.moderation.policy import CompiledPolicy


class FlagCounter:
    """Counts flags among labeled outcomes by the policy's thresholds, many at once."""

    def __init__(self, activation: Activation, policy: CompiledPolicy) -> None:
        self._softmax = activation is Activation.SOFTMAX
        self._labels = policy.labels
        self._thresholds = np.asarray(policy.thresholds)

    def __call__(self, labeled: Sequence[Labeled]) -> list[tuple[str, int]]:
        """Each label that was flagged at all, and how often."""
        logits = np.array([outcome.verdict.logits for outcome in labeled], dtype=np.float64)
        if self._softmax:
            scores = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        else:
            scores = 0.5 * (1.0 + np.tanh(0.5 * logits))
        counts = (scores >= self._thresholds).sum(axis=0).tolist()
        return [(label, count) for label, count in zip(self._labels, counts, strict=True) if count]
