"""From outcomes to messages: labeled events, tombstones, dead letters. No I/O.

Labeled events are built by hand, in half the time that :class:`~schemas.labeled.LabeledEvent` takes; a test proves the
two equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from consumer.classifier.engine import Activation
from consumer.delivery.records import (
    Comment,
    Destination,
    Failure,
    Headers,
    Labeled,
    Message,
    ModelIdentity,
    Outcome,
    Record,
    Skipped,
    Stage,
    Tombstone,
)
from consumer.events.cloudevents import CloudEvents
from consumer.events.dead_letters import DeadLetters
from consumer.events.sent_back import read_sent_back
from consumer.events.traceparent import HEADER as TRACEPARENT
from consumer.events.traceparent import read_traceparent
from consumer.moderation.judgement import CompiledPolicy, Judgement
from schemas.labeled import SCHEMA_VERSION, rfc3339_ms

DECIMALS: Final = 6
_CONTENT_TYPE: Final = ("content-type", b"application/json")
_UNTRACED: Final[Headers] = (_CONTENT_TYPE,)


class Judged(NamedTuple):
    """What the policy made of the comments of one call: how often each label and each action, and the audit's share."""

    flags: dict[str, int]
    actions: dict[str, int]
    audited: int


class Encoder:
    """Encodes one message an outcome.

    Args:
        activation: How this model's logits become scores.
        policy: Thresholds and actions, for this model's labels; see :meth:`use`.
        dead_letters: Writes the failures.
        wall_clock: Seconds since the epoch; asked once a call.
        is_cut: Whether the decoder kept a part of this comment's text from the tokeniser.
        include_text: Put the comment's text into its event.
        run_id: Names a deliberate relabelling.
        cloudevents: Adds the headers that make CloudEvents of what is published.
        judged: Told what the policy made of the labeled ones, once a call.
    """

    def __init__(
        self,
        *,
        activation: Activation,
        policy: CompiledPolicy,
        dead_letters: DeadLetters,
        wall_clock: Callable[[], float],
        is_cut: Callable[[Comment], bool] = lambda comment: False,
        include_text: bool = False,
        run_id: str | None = None,
        cloudevents: CloudEvents | None = None,
        judged: Callable[[Judged], None] = lambda judged: None,
    ) -> None:
        self._activation = activation
        self.use(policy)
        self._model: ModelIdentity | None = None
        self._model_json = orjson.Fragment(b"null")
        self._dead_letters = dead_letters
        self._wall_clock = wall_clock
        self._is_cut = is_cut
        self._include_text = include_text
        self._run_id = run_id
        self._cloudevents = cloudevents
        self._judged = judged

    def use(self, policy: CompiledPolicy) -> None:
        """Judge by this policy from the next call on: a call knows one policy, so no event is judged by two."""
        self._policy = policy
        self._policy_json = orjson.Fragment(orjson.dumps({"name": policy.name, "digest": policy.digest}))

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> list[Message]:
        """Exactly one message an outcome, in order.

        Raises:
            ValueError: a verdict has another number of logits than the policy has labels: the program is put together
                wrongly. Nothing that a record holds raises.
        """
        verdicts = [outcome.verdict.logits for _, outcome in outcomes if isinstance(outcome, Labeled)]
        scores = iter(self._scores(verdicts))
        now = rfc3339_ms(datetime.fromtimestamp(self._wall_clock(), UTC))
        judgements: list[tuple[Judgement, bool]] = []
        messages = []
        for record, outcome in outcomes:
            if isinstance(outcome, Labeled):
                messages.append(self._labeled(record, outcome, next(scores), now, judgements))
            elif isinstance(outcome, Failure):
                messages.append(self._dead_letters.write(record, outcome))
            elif isinstance(outcome, Skipped):
                messages.append(self._skipped(record, outcome, now))
            else:
                messages.append(_tombstone(record, outcome))
        if judgements:
            self._judged(_tally(self._policy.labels, judgements))
        if self._cloudevents is not None:
            return self._cloudevents.attached(messages, outcomes, now, self._run_id)
        return messages

    def _scores(self, logits: Sequence[tuple[float, ...]]) -> list[list[float]]:
        """One row of rounded scores a verdict. A row with a logit that is not finite is empty."""
        if not logits:
            return []
        rows: npt.NDArray[np.float64] = np.array(logits, dtype=np.float64)
        if rows.shape[1] != len(self._policy.labels):
            raise ValueError(f"verdicts have {rows.shape[1]} logits, the policy {len(self._policy.labels)} labels")
        finite: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(rows), axis=1, keepdims=True)
        if not finite.all():
            rows = np.where(finite, rows, 0.0)
        if self._activation is Activation.SOFTMAX:
            exponentials = np.exp(rows - rows.max(axis=1, keepdims=True))
            scores = exponentials / exponentials.sum(axis=1, keepdims=True)
        else:
            scores = 0.5 * (1.0 + np.tanh(0.5 * rows))  # the sigmoid, in a form that cannot overflow
        found: list[list[float]] = np.round(scores, DECIMALS).tolist()
        return found if finite.all() else [row if ok else [] for row, ok in zip(found, finite, strict=True)]

    def _labeled(
        self,
        record: Record,
        outcome: Labeled,
        scores: list[float],
        now: str,
        judgements: list[tuple[Judgement, bool]],
    ) -> Message:
        if not scores:
            failure = Failure("non_finite_score", "the model answered with something that is no number", Stage.MODEL)
            return self._dead_letters.write(record, failure)
        policy, verdict, comment = self._policy, outcome.verdict, outcome.comment
        # Judged as published, so that nobody reads a score of .5 under a threshold of .5 that is not flagged.
        judgement = policy.judge(scores, comment.channel, comment.lang)
        event_id = f"{record.partition.topic}/{record.partition.number}/{record.offset}"
        audited = policy.audits(event_id)
        judgements.append((judgement, audited))
        if verdict.model is not self._model:
            self._model = verdict.model
            self._model_json = orjson.Fragment(orjson.dumps(verdict.model._asdict()))
        event = {
            "schema_version": SCHEMA_VERSION,
            "event_id": event_id,
            "comment_id": comment.id,
            "status": "labeled",
            "labels": [
                {"label": label, "score": score, "threshold": threshold, "flagged": flagged}
                for label, score, threshold, flagged in zip(
                    policy.labels, scores, judgement.thresholds, judgement.flagged, strict=True
                )
            ],
            "action": judgement.action,
            "reasons": judgement.reasons,
            "policy": self._policy_json,
            "model": self._model_json,
            "source": _source(record),
            "truncated": verdict.truncated or self._is_cut(comment),
            "classified_at": now,
            "latency_ms": round(outcome.latency_ms, 3),
        }
        if audited:
            event["audit"] = True
        return self._message(record, comment, event)

    def _skipped(self, record: Record, outcome: Skipped, now: str) -> Message:
        event = {
            "schema_version": SCHEMA_VERSION,
            "event_id": f"{record.partition.topic}/{record.partition.number}/{record.offset}",
            "comment_id": outcome.comment.id,
            "status": "skipped",
            "skip_reason": outcome.reason,
            "labels": (),
            "action": self._policy.weakest_action,
            "reasons": (),
            "policy": self._policy_json,
            "model": None,
            "source": _source(record),
            "truncated": False,
            "classified_at": now,
            "latency_ms": None,
        }
        return self._message(record, outcome.comment, event)

    def _message(self, record: Record, comment: Comment, event: dict[str, Any]) -> Message:
        if comment.channel is not None:
            event["channel"] = comment.channel
        if comment.stream is not None:
            event["stream"] = comment.stream
        if comment.author is not None:
            event["author"] = comment.author
        if comment.lang is not None:
            event["lang"] = comment.lang
        if self._include_text:
            event["text"] = comment.text
        if self._run_id is not None:
            event["run_id"] = self._run_id
        if record.headers and (sent_back := read_sent_back(record.headers)) is not None:
            event["replay_of"] = sent_back.origin
            event["attempt"] = sent_back.attempts + 1
        headers = _UNTRACED
        if comment.traceparent is not None:
            headers = (_CONTENT_TYPE, (TRACEPARENT, comment.traceparent.encode("ascii")))
        return Message(Destination.LABELED, record.key, orjson.dumps(event), headers)


def _tally(labels: Sequence[str], judgements: Sequence[tuple[Judgement, bool]]) -> Judged:
    columns = zip(*(judgement.flagged for judgement, _ in judgements), strict=True)
    flags = {label: sum(column) for label, column in zip(labels, columns, strict=True)}
    actions = Counter(judgement.action for judgement, _ in judgements)
    return Judged(flags, dict(actions), sum(audited for _, audited in judgements))


def _source(record: Record) -> dict[str, object]:
    (topic, partition) = record.partition
    return {"topic": topic, "partition": partition, "offset": record.offset, "timestamp": record.timestamp_ms}


def _tombstone(record: Record, _: Tombstone) -> Message:
    traceparent = read_traceparent(record.headers)
    headers: Headers = () if traceparent is None else ((TRACEPARENT, traceparent.encode("ascii")),)
    return Message(Destination.LABELED, record.key, None, headers)
