"""From scores to flags and an action. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

ALLOW = "allow"


class Judgement(NamedTuple):
    """What a policy makes of one comment's scores; ``flagged`` has one entry a label, in label order."""

    flagged: tuple[bool, ...]
    action: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """Thresholds by label name; a label not named has ``default_threshold``. Scores and thresholds lie in 0..1.

    Raises:
        ValueError: the name is empty, or a threshold does not lie in 0..1.
    """

    name: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    default_threshold: float = 0.5

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a policy has a name")
        thresholds = {label: float(threshold) for label, threshold in self.thresholds.items()}
        object.__setattr__(self, "thresholds", MappingProxyType(thresholds))
        object.__setattr__(self, "default_threshold", float(self.default_threshold))
        # Written so that NaN is refused too.
        wrong = [label for label, threshold in thresholds.items() if not 0.0 <= threshold <= 1.0]
        if wrong:
            raise ValueError(f"the threshold of {', '.join(sorted(wrong))} must lie between 0 and 1")
        if not 0.0 <= self.default_threshold <= 1.0:
            raise ValueError("default_threshold must lie between 0 and 1")

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical form: JSON with sorted keys and no spaces, all numbers as floats."""
        form = {"name": self.name, "default_threshold": self.default_threshold, "thresholds": dict(self.thresholds)}
        return hashlib.sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()

    def compiled(self, labels: Sequence[str]) -> CompiledPolicy:
        """This policy for a model with these labels.

        Raises:
            ValueError: a threshold is set for a label that the model does not have.
        """
        unknown = sorted(set(self.thresholds) - set(labels))
        if unknown:
            raise ValueError(
                f"there is a threshold for {', '.join(unknown)}, but the model's labels are: {', '.join(labels)}"
            )
        thresholds = tuple(self.thresholds.get(label, self.default_threshold) for label in labels)
        return CompiledPolicy(self.name, self.digest, tuple(labels), thresholds)


class CompiledPolicy(NamedTuple):
    """A policy bound to a model's labels: ``thresholds`` are in label order."""

    name: str
    digest: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]

    def judge(self, scores: Sequence[float]) -> Judgement:
        """Judge one comment by its scores in label order: a score at its threshold is flagged already."""
        flagged = tuple([score >= threshold for score, threshold in zip(scores, self.thresholds, strict=True)])
        return Judgement(flagged, ALLOW, ())
