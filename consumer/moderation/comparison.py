"""What another policy would have made of past events: counts and differences. No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumer.moderation.judgement import CompiledPolicy, Judgement
from consumer.moderation.policy import Policy


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class PastLabel(_Part):
    """A label of a past event."""

    label: str
    score: float = Field(ge=0, le=1)
    flagged: bool


class PastPolicy(_Part):
    """Which policy judged it then."""

    name: str
    digest: str


class PastEvent(_Part):
    """What is needed of a labeled event, as the consumer publishes it or ``classify`` writes it."""

    event_id: str
    status: Literal["labeled", "skipped"]
    labels: tuple[PastLabel, ...]
    action: str
    reasons: tuple[str, ...] = ()
    policy: PastPolicy
    channel: str | None = None
    lang: str | None = None


class NoEvent(ValueError):
    """A line holds no labeled event; the message says why and quotes nothing."""


def read_event(line: bytes) -> PastEvent:
    """The event in a JSON line.

    Raises:
        NoEvent: there is none.
    """
    try:
        return PastEvent.model_validate(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise NoEvent(f"it is not JSON, at character {error.pos}") from None
    except ValidationError as error:
        wrong = dict.fromkeys(".".join(map(str, each["loc"])) or "the line" for each in error.errors())
        raise NoEvent(f"it is no labeled event: look at {', '.join(wrong)}") from None


@dataclass(frozen=True)
class Difference:
    """An event that would be judged differently."""

    event_id: str
    before: str
    after: str
    reasons: tuple[str, ...]


@dataclass(slots=True)
class LabelChange:
    """How often one label was flagged, is flagged now, and changes either way."""

    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0


@dataclass(slots=True)
class Comparison:
    """Counts over the events that were added. ``shown`` bounds how many differences are kept."""

    policy: Policy
    shown: int = 20
    labeled: int = 0
    skipped: int = 0
    audited: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    labels: dict[str, LabelChange] = field(default_factory=dict)
    earlier: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    _compiled: dict[tuple[str, ...], CompiledPolicy] = field(default_factory=dict)

    def add(self, event: PastEvent) -> None:
        """Judge one event anew. Its scores are those that were published, so the same policy gives the same answer.

        Raises:
            ValueError: the policy does not fit the event's labels.
        """
        if event.status == "skipped":
            self.skipped += 1
            return
        labels = tuple(each.label for each in event.labels)
        policy = self._compiled.get(labels)
        if policy is None:
            policy = self._compiled[labels] = self.policy.compiled(labels)
        judgement = policy.judge([each.score for each in event.labels], event.channel, event.lang)
        self.labeled += 1
        self.audited += policy.audits(event.event_id)
        self.before[event.action] += 1
        self.after[judgement.action] += 1
        self.earlier[event.policy.name, event.policy.digest] += 1
        self.reasons.update(judgement.reasons)
        self._compare_labels(event, judgement)
        if judgement.action != event.action:
            self.moves[event.action, judgement.action] += 1
            if len(self.differences) < self.shown:
                found = Difference(event.event_id, event.action, judgement.action, judgement.reasons)
                self.differences.append(found)

    def _compare_labels(self, event: PastEvent, judgement: Judgement) -> None:
        for said, flagged in zip(event.labels, judgement.flagged, strict=True):
            change = self.labels.setdefault(said.label, LabelChange())
            change.before += said.flagged
            change.after += flagged
            change.gained += flagged and not said.flagged
            change.lost += said.flagged and not flagged

    @property
    def changed(self) -> int:
        """Events for which another action is asked."""
        return self.moves.total()

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "policy": {"name": self.policy.name, "digest": self.policy.digest},
            "earlier_policies": [
                {"name": name, "digest": digest, "events": count}
                for (name, digest), count in self.earlier.most_common()
            ],
            "labeled": self.labeled,
            "skipped": self.skipped,
            "changed": self.changed,
            "audited": self.audited,
            "actions": {
                action: {"before": self.before[action], "after": self.after[action]} for action in self.actions
            },
            "moves": [
                {"before": before, "after": after, "events": count}
                for (before, after), count in self.moves.most_common()
            ],
            "labels": {
                label: {"before": each.before, "after": each.after, "gained": each.gained, "lost": each.lost}
                for label, each in self.labels.items()
            },
            "reasons": dict(self.reasons.most_common()),
            "differences": [
                {"event_id": each.event_id, "before": each.before, "after": each.after, "reasons": each.reasons}
                for each in self.differences
            ],
        }

    @property
    def actions(self) -> list[str]:
        """Those of the new policy in its order, then others that only past events have."""
        return [*self.policy.actions, *sorted(set(self.before) - set(self.policy.actions))]
