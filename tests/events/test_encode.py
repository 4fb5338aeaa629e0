from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.classifier.engine import Activation
from consumer.delivery.records import (
    Comment,
    Destination,
    Failure,
    Labeled,
    Message,
    ModelIdentity,
    Outcome,
    Partition,
    Record,
    Skipped,
    Stage,
    Tombstone,
    Verdict,
)
from consumer.events.dead_letters import DeadLetters
from consumer.events.encode import Encoder, Judged
from consumer.moderation.policy import Policy
from schemas.labeled import LabeledEvent
from tests.events.records import LABELS, MODEL, TRACEPARENT, labeled, record, unhurried

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_999, UTC).timestamp()
DEAD_LETTERS = DeadLetters(model_revision="r1", app_version="1")


def policy_of(thresholds: dict[str, float] | None = None, **fields: Any) -> Policy:
    labels = {label: {"threshold": threshold} for label, threshold in (thresholds or {}).items()}
    return Policy.model_validate({"name": "default", "labels": labels, **fields})


def encoder(
    activation: Activation = Activation.SIGMOID,
    thresholds: dict[str, float] | None = None,
    labels: tuple[str, ...] = LABELS,
    **changes: Any,
) -> Encoder:
    policy = policy_of(thresholds).compiled(labels)
    settings: dict[str, Any] = {"policy": policy, "dead_letters": DEAD_LETTERS, "wall_clock": lambda: NOON}
    return Encoder(activation=activation, **{**settings, **changes})


def encode(outcome: Outcome, subject: Encoder | None = None, source: Record | None = None) -> Message:
    (message,) = (subject or encoder()).encode([(source or record(), outcome)])
    return message


def event(message: Message) -> dict[str, Any]:
    assert message.value is not None
    content: dict[str, Any] = json.loads(message.value)
    return content


def scores(message: Message) -> list[float]:
    return [label["score"] for label in event(message)["labels"]]


def test_a_labeled_event_says_everything_about_its_comment() -> None:
    comment = Comment("c1", "secret text", "ch", "s", "a", "zh-TW", TRACEPARENT)
    message = encode(labeled(0.0, -1.0, 2.0, comment=comment, latency_ms=12.34567), encoder(thresholds={"Chat": 0.9}))
    assert (message.destination, message.key) == (Destination.LABELED, b"channel")
    assert event(message) == {
        "schema_version": 1,
        "event_id": "comments/3/41",
        "comment_id": "c1",
        "status": "labeled",
        "labels": [
            {"label": "Cheer", "score": 0.5, "threshold": 0.5, "flagged": True},
            {"label": "Game", "score": 0.268941, "threshold": 0.5, "flagged": False},
            {"label": "Chat", "score": 0.880797, "threshold": 0.9, "flagged": False},
        ],
        "action": "allow",
        "reasons": [],
        "policy": {"name": "default", "digest": policy_of({"Chat": 0.9}).digest},
        "model": MODEL._asdict(),
        "source": {"topic": "comments", "partition": 3, "offset": 41, "timestamp": 1_769_860_800_000},
        "truncated": False,
        "classified_at": "2026-01-31T12:00:00.250Z",
        "latency_ms": 12.346,
        "channel": "ch",
        "stream": "s",
        "author": "a",
        "lang": "zh-TW",
    }


def test_a_skipped_event_has_its_reason_and_no_model() -> None:
    content = event(encode(Skipped(Comment("c1", " ", "ch"), "empty"), source=record(timestamp_ms=None)))
    assert (content["status"], content["skip_reason"]) == ("skipped", "empty")
    assert (content["labels"], content["model"], content["latency_ms"]) == ([], None, None)
    assert (content["channel"], content["source"]["timestamp"]) == ("ch", None)
    assert "text" not in content


@pytest.mark.parametrize(
    "outcome", [labeled(0, 0, 0), Skipped(Comment("c1", "hi"), "empty")], ids=["labeled", "skipped"]
)
def test_text_and_run_are_there_only_when_asked_for(outcome: Outcome) -> None:
    plain = event(encode(outcome))
    assert plain.keys().isdisjoint({"text", "run_id"})
    asked = event(encode(outcome, encoder(include_text=True, run_id="again")))
    assert asked == {**plain, "text": "hi", "run_id": "again"}


@pytest.mark.parametrize("outcome", [labeled(0, 0, 0), Skipped(Comment("c1", ""), "empty")], ids=["labeled", "skipped"])
def test_an_event_of_a_record_that_was_sent_back_says_what_it_replays(outcome: Outcome) -> None:
    headers = (("mine", b"1"), ("dlq.origin", b"comments/3/7"), ("dlq.attempt", b"2"))
    read = LabeledEvent.model_validate(event(encode(outcome, source=record(headers=headers, offset=9000))))
    assert (read.event_id, read.replay_of, read.attempt) == ("comments/3/9000", "comments/3/7", 3)


def test_any_other_event_says_nothing_of_it() -> None:
    said = event(encode(labeled(0, 0, 0), source=record(headers=(("dlq.attempt", b"2"), ("replay", b"x")))))
    assert not {"replay_of", "attempt"} & said.keys()


class TestThePolicy:
    STRICT: ClassVar[dict[str, Any]] = {
        "labels": {"Cheer": {"action": "hide", "reason": "loud"}},
        "overrides": [{"channels": ["ch"], "languages": ["zh"], "labels": {"Cheer": {"threshold": 0.99}}}],
    }

    def test_its_action_and_reasons_stand_in_the_event(self) -> None:
        content = event(encode(labeled(2, -2, -2), encoder(policy=policy_of(**self.STRICT).compiled(LABELS))))
        assert (content["action"], content["reasons"]) == ("hide", ["loud"])

    def test_the_thresholds_are_those_for_the_comments_channel_and_language(self) -> None:
        subject = encoder(policy=policy_of(**self.STRICT).compiled(LABELS))
        special = Comment("c1", "hi", channel="ch", lang="zh-TW")
        content = event(encode(labeled(2, -2, -2, comment=special), subject))
        cheer = content["labels"][0]
        assert (content["action"], cheer["threshold"], cheer["flagged"]) == ("allow", 0.99, False)

    def test_a_skipped_comment_gets_the_weakest_action(self) -> None:
        lax = policy_of(actions=["pass", "review"]).compiled(LABELS)
        assert event(encode(Skipped(Comment("c1", " "), "empty"), encoder(policy=lax)))["action"] == "pass"

    def test_an_event_of_the_sample_says_so_and_no_other(self) -> None:
        sampled = policy_of(audit={"share": 0.5}).compiled(LABELS)
        subject = encoder(policy=sampled)
        events = [event(encode(labeled(0, 0, 0), subject, record(offset=offset))) for offset in range(50)]
        assert [each.get("audit") for each in events] == [sampled.audits(each["event_id"]) or None for each in events]
        assert {each.get("audit") for each in events} == {True, None}
        assert all(LabeledEvent.model_validate(each) for each in events)

    def test_another_one_holds_from_the_next_call_on(self) -> None:
        subject = encoder()
        before = event(encode(labeled(2, -2, -2), subject))
        subject.use(policy_of(**self.STRICT).compiled(LABELS))
        after = event(encode(labeled(2, -2, -2), subject))
        assert (before["action"], before["policy"]["digest"]) == ("allow", policy_of().digest)
        assert (after["action"], after["policy"]["digest"]) == ("hide", policy_of(**self.STRICT).digest)

    def test_what_it_makes_of_a_call_is_told_once(self) -> None:
        told: list[Judged] = []
        subject = encoder(policy=policy_of(**self.STRICT, audit={"share": 1}).compiled(LABELS), judged=told.append)
        subject.encode(
            [
                (record(), labeled(2, 2, -2)),
                (record(), labeled(-2, 2, -2)),
                (record(), labeled(float("nan"), 2, -2)),
                (record(), Skipped(Comment("c1", " "), "empty")),
            ]
        )
        assert told == [Judged({"Cheer": 1, "Game": 2, "Chat": 0}, {"hide": 1, "allow": 1}, 2)]


def test_the_event_id_does_not_change_with_the_model() -> None:
    other = ModelIdentity("other", "r2", "e" * 64)
    subject = encoder()
    first, second = subject.encode(
        [(record(), labeled(1, 2, 3)), (record(), Labeled(Comment("c1", "hi"), Verdict((1, 2, 3), False, other), 1.0))]
    )
    assert event(first)["event_id"] == event(second)["event_id"]
    assert (event(first)["model"], event(second)["model"]) == (MODEL._asdict(), other._asdict())


@pytest.mark.parametrize("traceparent", [None, TRACEPARENT])
def test_of_the_inputs_headers_only_a_traceparent_is_handed_on(traceparent: str | None) -> None:
    source = record(headers=(("secret", b"1"), ("dlq.attempt", b"3")))
    traced = (("traceparent", traceparent.encode()),) if traceparent else ()
    comment = Comment("c1", "hi", traceparent=traceparent)
    for outcome in (labeled(0, 0, 0, comment=comment), Skipped(comment, "empty")):
        assert encode(outcome, source=source).headers == (("content-type", b"application/json"), *traced)


@pytest.mark.parametrize("key", [None, b"", b"\xff\x00"])
def test_the_key_is_the_inputs_key(key: bytes | None) -> None:
    for outcome in (labeled(0, 0, 0), Skipped(Comment("1", ""), "empty"), Tombstone()):
        assert encode(outcome, source=record(key=key)).key == key


def test_a_tombstone_is_forwarded_as_a_tombstone() -> None:
    source = record(None, headers=(("secret", b"1"), ("traceparent", TRACEPARENT.encode())))
    traced = (("traceparent", TRACEPARENT.encode()),)
    assert encode(Tombstone(), source=source) == Message(Destination.LABELED, b"channel", None, traced)
    assert encode(Tombstone(), source=record(None, headers=None)).headers == ()


def test_a_failure_becomes_a_dead_letter() -> None:
    failure = Failure("invalid_json", "m", Stage.DECODE)
    source = record(b"bad", headers=(("a", b"b"),))
    assert encode(failure, source=source) == DEAD_LETTERS.write(source, failure)


def test_a_comment_is_truncated_if_the_model_or_the_decoder_cut_it() -> None:
    subject = encoder(is_cut=lambda comment: len(comment.text) > 5)
    long, short = Comment("1", "x" * 6), Comment("1", "x" * 5)
    cut = [labeled(0, 0, 0, comment=comment, truncated=t) for comment in (long, short) for t in (False, True)]
    truncated = [event(m)["truncated"] for m in subject.encode([(record(), outcome) for outcome in cut])]
    assert truncated == [True, True, False, True]


def test_every_outcome_gives_one_message_in_order() -> None:
    outcomes: list[Outcome] = [
        labeled(9, 0, 0),
        Failure("x", "", Stage.MODEL),
        labeled(0, 9, 0),
        Tombstone(),
        Skipped(Comment("1", ""), "empty"),
        labeled(0, 0, 9),
    ]
    messages = encoder().encode([(record(offset=n), outcome) for n, outcome in enumerate(outcomes)])
    assert [m.destination.value for m in messages] == [
        "labeled",
        "dead_letter",
        "labeled",
        "labeled",
        "labeled",
        "labeled",
    ]
    assert [event(messages[n])["source"]["offset"] for n in (0, 2, 4, 5)] == [0, 2, 4, 5]
    assert [np.argmax(scores(messages[n])) for n in (0, 2, 5)] == [0, 1, 2]
    assert encoder().encode([]) == []


def test_the_clock_is_asked_once_for_all() -> None:
    ticks = count()
    subject = encoder(wall_clock=lambda: float(next(ticks)))
    subject.encode([(record(), labeled(0, 0, 0))] * 5)
    assert next(ticks) == 1


def test_sigmoid_scores_are_independent_and_never_overflow() -> None:
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert scores(encode(labeled(-1e30, 0.0, 1e30))) == [0.0, 0.5, 1.0]
        assert scores(encode(labeled(-800.0, 3.0, 800.0))) == [0.0, 0.952574, 1.0]


def test_softmax_scores_share_one_whole_and_never_overflow() -> None:
    subject = encoder(Activation.SOFTMAX)
    assert scores(encode(labeled(1.0, 2.0, 3.0), subject)) == [0.090031, 0.244728, 0.665241]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores(encode(labeled(1e30, -1e30, 0.0), subject)) == [1.0, 0.0, 0.0]


def test_a_score_is_judged_as_it_is_published() -> None:
    almost = labeled(-1e-7, -1e-5, 0.0)  # .499999975 is published as .5, .4999975 as .499998
    assert [label["flagged"] for label in event(encode(almost))["labels"]] == [True, False, True]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("activation", Activation)
def test_a_logit_that_is_no_number_is_a_dead_letter_and_hurts_no_neighbour(bad: float, activation: Activation) -> None:
    outcomes = [labeled(1, 2, 3), labeled(0, bad, 0), labeled(1, 2, 3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before, culprit, after = encoder(activation).encode([(record(), outcome) for outcome in outcomes])
    assert culprit.destination is Destination.DEAD_LETTER
    assert ("dlq.error.type", b"non_finite_score") in culprit.headers
    assert scores(before) == scores(after) == scores(encode(labeled(1, 2, 3), encoder(activation)))


def test_another_number_of_logits_than_labels_is_never_published() -> None:
    with pytest.raises(ValueError, match="4 logits"):
        encode(labeled(0, 0, 0, 0))


names = st.text(min_size=1, max_size=10)
optional_names = st.none() | st.text(max_size=5)
comments = st.builds(
    Comment,
    names,
    st.text(max_size=30),
    optional_names,
    optional_names,
    optional_names,
    optional_names,
    st.sampled_from([None, TRACEPARENT]),
)
sources = st.builds(
    Record,
    st.builds(Partition, st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True), st.integers(0, 10_000)),
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(-1, 2**53),
    st.none() | st.binary(max_size=5),
)
models = st.builds(ModelIdentity, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
logits = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=3, max_size=3).map(tuple)
outcomes = st.builds(
    Labeled, comments, st.builds(Verdict, logits, st.booleans(), models), st.floats(0, 1e9)
) | st.builds(Skipped, comments, names)


@unhurried
@given(
    st.lists(st.tuples(sources, outcomes), max_size=4),
    st.sampled_from(Activation),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.lists(names, min_size=3, max_size=3, unique=True),
    st.booleans(),
    st.none() | names,
)
@example(
    [(record(timestamp_ms=None), labeled(-0.0, 1e-30, -3.4e38))],
    Activation.SOFTMAX,
    [0, 1, 0.5],
    ["a", "b", "c"],
    True,
    None,
)
def test_what_is_encoded_by_hand_is_what_the_model_writes(
    given_outcomes: list[tuple[Record, Labeled | Skipped]],
    activation: Activation,
    thresholds: list[float],
    labels: list[str],
    include_text: bool,
    run_id: str | None,
) -> None:
    by_label = dict(zip(labels, thresholds, strict=True))
    subject = encoder(activation, by_label, tuple(labels), include_text=include_text, run_id=run_id)
    for (source, outcome), message in zip(given_outcomes, subject.encode(given_outcomes), strict=True):
        assert message.value is not None
        read = LabeledEvent.model_validate_json(message.value)
        assert read.model_dump(mode="json", exclude_unset=True) == orjson.loads(message.value)
        assert read.event_id == f"{source.partition.topic}/{source.partition.number}/{source.offset}"
        assert (read.comment_id, read.channel, read.lang) == (
            outcome.comment.id,
            outcome.comment.channel,
            outcome.comment.lang,
        )
        assert read.text == (outcome.comment.text if include_text else None)
        assert read.run_id == run_id
        assert [label.label for label in read.labels] == (labels if isinstance(outcome, Labeled) else [])
        assert all(label.flagged is (label.score >= label.threshold) for label in read.labels)
