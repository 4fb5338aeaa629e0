"""What a moderation team decides: from which score a label counts, what to do then, and why. No I/O.

A policy is data. :meth:`Policy.compiled` binds it to a model's labels; the result judges scores
(:mod:`consumer.moderation.judgement`).

The rule, for one comment:

1. Overrides are tried in order; the first that fits the comment's channel and language is laid over the base.
2. A label *fires* when its score is at or above its threshold. It then asks for its action.
3. A score within a label's review band (from the lower bound up to, but not including, the upper) asks for
   ``review_action`` instead: too likely to let pass, too unsure to act on without a person.
4. If no label fires and none is in its band, ``no_label`` says what to do.
5. Of all actions asked for, the one that stands last in ``actions`` is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from consumer.moderation.judgement import CompiledPolicy, LabelRule, Rules, Selector

ALLOW = "allow"
REVIEW = "review"
HIDE = "hide"

Score = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


def _is_one_line(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("give one line without spaces around it")
    return text


Word = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_is_one_line)]
"""The name of an action: short, because it becomes a metric's label."""
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_one_line)]
Given = Annotated[str, Field(min_length=1)]
"""A name that somebody else gave: a label of the model, a channel, a language."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class LabelPolicy(_Part):
    """What holds for one label; what is left out comes from the layer below.

    ``review`` is the band's two bounds, or empty for none.
    """

    threshold: Score | None = None
    action: Word | None = None
    reason: Name | None = None
    review: tuple[Score, ...] | None = None

    @field_validator("review")
    @classmethod
    def _is_a_band(cls, band: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if band and (len(band) != 2 or not band[0] < band[1]):
            raise ValueError("give two scores, the lower first, such as [0.4, 0.8]; [] for no review band")
        return band

    def over(self, below: LabelPolicy) -> LabelPolicy:
        """This layer on top of another one."""
        return below.model_copy(update=self.model_dump(exclude_none=True))


class NoLabel(_Part):
    """What to do with a comment for which no label fires."""

    action: Word = ALLOW
    reason: Name = "no_label"


class Override(_Part):
    """What is different for some channels, some languages, or some languages on some channels.

    A language such as ``zh`` fits ``zh`` and every ``zh-…``, in any case. A comment that does not say its channel
    (language) fits no override that asks for one.
    """

    channels: tuple[Given, ...] | None = Field(default=None, min_length=1)
    languages: tuple[Given, ...] | None = Field(default=None, min_length=1)
    labels: dict[Given, LabelPolicy] = {}
    no_label: NoLabel | None = None

    @model_validator(mode="after")
    def _fits_something(self) -> Self:
        if self.channels is None and self.languages is None:
            raise ValueError("an override names channels or languages")
        return self


class Audit(_Part):
    """A share of all labeled comments, marked in their events for people to look at whatever the action is."""

    share: Score = 0.0


class Policy(_Part):
    """A whole policy, as its file has it. ``default`` holds for every label that ``labels`` does not name.

    ``actions`` stand in order of precedence, the weakest first; the weakest is what happens when nothing asks for
    more.
    """

    name: Name
    actions: tuple[Word, ...] = Field(default=(ALLOW, REVIEW, HIDE), min_length=1)
    review_action: Word = REVIEW
    default: LabelPolicy = LabelPolicy(threshold=0.5)
    labels: dict[Given, LabelPolicy] = {}
    no_label: NoLabel | None = None
    overrides: tuple[Override, ...] = ()
    audit: Audit = Audit()

    @field_validator("default")
    @classmethod
    def _has_a_threshold(cls, default: LabelPolicy) -> LabelPolicy:
        return default.over(LabelPolicy(threshold=0.5))

    @field_validator("actions")
    @classmethod
    def _are_distinct(cls, actions: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(actions)) < len(actions):
            raise ValueError("every action stands once")
        return actions

    @model_validator(mode="after")
    def _names_known_actions(self) -> Self:
        asked = {where: action for where, action in self._actions_asked() if action not in self.actions}
        if asked:
            wrong = ", ".join(f"{where} ({action})" for where, action in asked.items())
            raise ValueError(f"no such action: {wrong}; actions are {', '.join(self.actions)}")
        return self

    @model_validator(mode="after")
    def _bands_hold_their_thresholds(self) -> Self:
        self._rule("default", "", self.default)
        self._rules(list(self.labels), {}, self.no_label, "labels")
        for place, override in enumerate(self.overrides):
            named = list(dict.fromkeys([*self.labels, *override.labels]))
            self._rules(named, override.labels, self.no_label, f"overrides.{place}.labels")
        return self

    def _actions_asked(self) -> list[tuple[str, str]]:
        asked: list[tuple[str, str | None]] = []
        if any(each.review for each in self._label_policies()):
            asked.append(("review_action", self.review_action))
        asked.append(("default.action", self.default.action))
        asked += [(f"labels.{label}.action", each.action) for label, each in self.labels.items()]
        asked.append(("no_label.action", self.no_label.action if self.no_label else None))
        for place, override in enumerate(self.overrides):
            asked += [(f"overrides.{place}.labels.{label}.action", r.action) for label, r in override.labels.items()]
            asked.append(
                (f"overrides.{place}.no_label.action", override.no_label.action if override.no_label else None)
            )
        return [(where, action) for where, action in asked if action is not None]

    def _label_policies(self) -> list[LabelPolicy]:
        return [self.default, *self.labels.values(), *(r for o in self.overrides for r in o.labels.values())]

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical form: JSON of all fields, keys sorted, no spaces, all scores as floats."""
        form = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(form.encode("ascii")).hexdigest()

    def compiled(self, labels: Sequence[str]) -> CompiledPolicy:
        """This policy for a model with these labels.

        Raises:
            ValueError: it names a label that the model does not have.
        """
        named = set(self.labels).union(*(override.labels for override in self.overrides))
        unknown = sorted(named - set(labels))
        if unknown:
            raise ValueError(f"there is no label {', '.join(unknown)}; the model's labels are: {', '.join(labels)}")
        variants = [self._rules(labels, {}, self.no_label, "labels")]
        selectors = []
        for place, override in enumerate(self.overrides):
            variants.append(
                self._rules(labels, override.labels, override.no_label or self.no_label, f"overrides.{place}.labels")
            )
            languages = None if override.languages is None else tuple(each.lower() for each in override.languages)
            channels = None if override.channels is None else frozenset(override.channels)
            selectors.append(Selector(channels, languages))
        return CompiledPolicy(
            self.name, self.digest, tuple(labels), self.actions, tuple(variants), tuple(selectors), self.audit.share
        )

    def _rules(
        self, labels: Sequence[str], over: Mapping[str, LabelPolicy], no_label: NoLabel | None, where: str
    ) -> Rules:
        found = []
        for label in labels:
            base = self.labels.get(label, LabelPolicy()).over(self.default)
            found.append(self._rule(f"{where}.{label}", label, over.get(label, LabelPolicy()).over(base)))
        none = no_label or NoLabel(action=self.actions[0])
        return Rules.of(found, self.actions.index(none.action), none.reason)

    def _rule(self, where: str, label: str, said: LabelPolicy) -> LabelRule:
        threshold = said.threshold
        assert threshold is not None, "the default has one"
        reason = said.reason or label
        band = (said.review[0], said.review[1]) if said.review else None
        if band and not band[0] <= threshold <= band[1]:
            raise ValueError(
                f"{where}: the threshold {threshold} lies outside the review band {list(band)}: scores between them "
                "would be neither reviewed nor acted on"
            )
        rank = 0 if said.action is None else self.actions.index(said.action)
        review_rank = self.actions.index(self.review_action) if band else 0
        return LabelRule(threshold, rank, reason, band, review_rank)
