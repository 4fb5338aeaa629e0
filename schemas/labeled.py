"""The output: one event for every valid comment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, PlainSerializer, model_validator

from schemas.base import Event

SCHEMA_VERSION = 1


def rfc3339_ms(moment: datetime) -> str:
    """An aware datetime as RFC 3339 in UTC with milliseconds: ``2026-01-31T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


Timestamp = Annotated[AwareDatetime, PlainSerializer(rfc3339_ms, return_type=str, when_used="json")]


class LabelScore(Event):
    """What the model says about one label."""

    label: str = Field(min_length=1, description="The label's name.")
    score: float = Field(ge=0, le=1, description="The model's score, six decimals.")
    threshold: float = Field(ge=0, le=1, description="The policy's threshold for this label, channel and language.")
    flagged: bool = Field(description="Whether the score is at or above the threshold.")


class PolicyRef(Event):
    """Which policy judged the scores."""

    name: str = Field(min_length=1, description="The policy's name.")
    digest: str = Field(
        pattern="^[0-9a-f]{64}$", description="SHA-256 of the policy: another decision, another digest."
    )


class ModelRef(Event):
    """Which model gave the scores."""

    name: str = Field(description="Where the model came from: a hub id, or a folder's name.")
    revision: str = Field(description="The pinned revision.")
    digest: str = Field(description="SHA-256 of all that changes the scores: weights, vocabulary, configuration.")


class SourceRef(Event):
    """Where the comment stands in the input topic."""

    topic: str = Field(description="Topic name.")
    partition: int = Field(ge=0, description="Partition number.")
    offset: int = Field(ge=0, description="Offset in the partition.")
    timestamp: int | None = Field(
        default=None, description="The record's timestamp in milliseconds since the epoch; null if it has none."
    )


class LabeledEvent(Event):
    """The labels of one comment, with their lineage: a JSON object in UTF-8.

    The Kafka key is that of the comment's record. Delivery is at least once: an event may come again, and then has
    the same event_id (and run_id), whatever model answered. Of a comment that was sent back after it had failed,
    replay_of stands for event_id. A record with a key and no value (a tombstone) says that the comment was deleted.
    Fields that do not apply are absent, unless their description says null.
    """

    schema_version: Literal[1] = Field(description="Version of this schema.")
    event_id: str = Field(
        min_length=1,
        description="Names this event for ever: topic/partition/offset of the input record. With run_id, the key to "
        "tell a repeated event by.",
    )
    run_id: str | None = Field(
        default=None, min_length=1, description="Set when comments were labeled again on purpose: names that run."
    )
    replay_of: str | None = Field(
        default=None,
        min_length=1,
        description="Set when the record had been a dead letter and was sent back to the input: topic/partition/offset "
        "at which it first stood there. With it, replay_of (and run_id) is the key to tell a repeated event by.",
    )
    attempt: int | None = Field(
        default=None, ge=1, description="Set together with replay_of: which attempt at this record succeeded."
    )
    comment_id: str = Field(
        min_length=1,
        description="The comment's id. With skip_reason deleted, that of the deleted comment; with other_kind, that "
        "of the record, or the event_id if it has none.",
    )
    status: Literal["labeled", "skipped"] = Field(
        description="labeled: the model read it. skipped: it did not, for the reason in skip_reason."
    )
    skip_reason: str | None = Field(
        default=None,
        min_length=1,
        description="Only when skipped: why. Known: empty (nothing left after preprocessing), too_old (written longer "
        "ago than the operator wants labeled), deleted (the input announces that this comment was deleted), other_kind "
        "(the input says of itself that it is no comment, but a new subscriber or the like). Expect new ones.",
    )
    labels: list[LabelScore] = Field(
        description="Every label the model has, in the model's order, flagged or not; empty when skipped."
    )
    action: str = Field(
        min_length=1,
        description="What the policy says to do: one of its own actions, by default allow, review or hide.",
    )
    reasons: list[str] = Field(
        description="Why the action is what it is, the strongest action's reasons first; empty where nothing asked for "
        "more than the weakest action. unsure: before a reason says that the score lies in a review band."
    )
    audit: Literal[True] | None = Field(
        default=None,
        description="true: in the policy's sample, for people to look at whatever the action is. Else absent.",
    )
    policy: PolicyRef = Field(description="The policy in force.")
    model: ModelRef | None = Field(description="The model that answered; null when skipped.")
    source: SourceRef = Field(description="The input record.")
    truncated: bool = Field(description="Whether the model read only the beginning of the text.")
    classified_at: Timestamp = Field(description="When this event was made: RFC 3339, UTC, milliseconds.")
    latency_ms: float | None = Field(
        ge=0, description="Milliseconds from receipt to verdict, waiting included; null when skipped."
    )
    channel: str | None = Field(default=None, description="The comment's channel, if it has one.")
    stream: str | None = Field(default=None, description="The comment's stream, if it has one.")
    author: str | None = Field(default=None, description="The comment's author, if it has one.")
    lang: str | None = Field(default=None, description="The comment's language, if it says one.")
    text: str | None = Field(
        default=None, description="The comment's text, as it came; only where the operator asked for it."
    )

    @model_validator(mode="after")
    def _status_fits(self) -> Self:
        labeled = self.status == "labeled"
        if labeled != bool(self.labels) or labeled != (self.model is not None) or labeled != (self.skip_reason is None):
            raise ValueError("a labeled event has labels and a model, a skipped one only a skip_reason")
        return self
