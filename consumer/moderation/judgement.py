"""Judging scores by a compiled policy: the hot path of :mod:`consumer.moderation.policy`. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

UNSURE: Final = "unsure:"
"""Stands before the reason of a label whose score lies in its review band."""
_MEMORY: Final = 10_000  # channels and languages whose rules are remembered; names come from outside


class Judgement(NamedTuple):
    """What a policy makes of one comment's scores; ``flagged`` and ``thresholds`` have one entry a label, in order.

    ``reasons`` belong to actions beyond the weakest, the strongest action's first.
    """

    flagged: tuple[bool, ...]
    thresholds: tuple[float, ...]
    action: str
    reasons: tuple[str, ...]


class LabelRule(NamedTuple):
    """One label's rule. Ranks are places in the policy's list of actions: 0 asks for nothing."""

    threshold: float
    rank: int
    reason: str
    review: tuple[float, float] | None
    review_rank: int


class Rules(NamedTuple):
    """The rules of all labels under one override, or under none. ``plain``: nothing there asks for any action."""

    labels: tuple[LabelRule, ...]
    thresholds: tuple[float, ...]
    none_rank: int
    none_reason: str
    plain: bool

    @classmethod
    def of(cls, labels: Sequence[LabelRule], none_rank: int, none_reason: str) -> Rules:
        """The rules of these labels, in the model's order."""
        plain = none_rank == 0 and all(rule.rank == 0 and rule.review_rank == 0 for rule in labels)
        return cls(tuple(labels), tuple(rule.threshold for rule in labels), none_rank, none_reason, plain)


class Selector(NamedTuple):
    """Which comments an override is for; ``languages`` are in lower case. ``None``: any, also none at all."""

    channels: frozenset[str] | None
    languages: tuple[str, ...] | None

    def fits(self, channel: str | None, language: str | None) -> bool:
        """Whether a comment of this channel and language is meant."""
        if self.channels is not None and channel not in self.channels:
            return False
        if self.languages is None:
            return True
        said = (language or "").lower()
        return any(said == each or said.startswith(each + "-") for each in self.languages)


class CompiledPolicy:
    """A policy bound to a model's labels. ``variants[0]`` is the base, ``variants[n + 1]`` that of ``selectors[n]``."""

    def __init__(
        self,
        name: str,
        digest: str,
        labels: tuple[str, ...],
        actions: tuple[str, ...],
        variants: tuple[Rules, ...],
        selectors: tuple[Selector, ...] = (),
        audit_share: float = 0.0,
    ) -> None:
        assert len(variants) == len(selectors) + 1
        self.name = name
        self.digest = digest
        self.labels = labels
        self.actions = actions
        self._variants = variants
        self._selectors = selectors
        self._chosen: dict[tuple[str | None, str | None], Rules] = {}
        self._audit_below = int(audit_share * 2**64)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Those of the base, in label order."""
        return self._variants[0].thresholds

    @property
    def weakest_action(self) -> str:
        """What happens when nothing asks for more."""
        return self.actions[0]

    def judge(self, scores: Sequence[float], channel: str | None = None, language: str | None = None) -> Judgement:
        """Judge one comment by its scores in label order: a score at its threshold fires already."""
        rules = self._rules_for(channel, language) if self._selectors else self._variants[0]
        thresholds = rules.thresholds
        flagged = tuple([score >= threshold for score, threshold in zip(scores, thresholds, strict=True)])
        if rules.plain:
            return Judgement(flagged, thresholds, self.actions[0], ())
        asked: list[tuple[int, str]] = []
        for score, fires, rule in zip(scores, flagged, rules.labels, strict=True):
            if rule.review is not None and rule.review[0] <= score < rule.review[1]:
                asked.append((rule.review_rank, UNSURE + rule.reason))
            elif fires:
                asked.append((rule.rank, rule.reason))
        asked = asked or [(rules.none_rank, rules.none_reason)]
        asked.sort(key=_strongest_first)
        return Judgement(
            flagged,
            thresholds,
            self.actions[asked[0][0]],
            tuple(dict.fromkeys(reason for rank, reason in asked if rank > 0)),
        )

    def audits(self, event_id: str) -> bool:
        """Whether this event is in the sample for people to look at: the same answer whenever it is asked."""
        if not self._audit_below:
            return False
        place = hashlib.blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(place, "big") < self._audit_below

    def _rules_for(self, channel: str | None, language: str | None) -> Rules:
        key = (channel, language)
        found = self._chosen.get(key)
        if found is None:
            fitting = (place for place, each in enumerate(self._selectors, 1) if each.fits(channel, language))
            found = self._variants[next(fitting, 0)]
            if len(self._chosen) >= _MEMORY:
                self._chosen.clear()
            self._chosen[key] = found
        return found


def _strongest_first(asked: tuple[int, str]) -> int:
    return -asked[0]
