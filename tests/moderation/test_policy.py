"""What a policy makes of scores: labels, bands, precedence, overrides, audit, and its digest."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from consumer.moderation.filters import skip_reason
from consumer.moderation.judgement import CompiledPolicy
from consumer.moderation.policy import Policy

ROOT = Path(__file__).parents[2]
LABELS = ("Cheer", "Game", "Chat")


def policy(**fields: Any) -> Policy:
    return Policy.model_validate({"name": "p", **fields})


def compiled(**fields: Any) -> CompiledPolicy:
    return policy(**fields).compiled(LABELS)


def labels(**rules: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    return rules


class TestThresholds:
    def test_a_label_has_its_own_or_the_default(self) -> None:
        found = compiled(labels=labels(Game={"threshold": 0.9}), default={"threshold": 0.2})
        assert found.thresholds == (0.2, 0.9, 0.2)

    def test_without_any_it_is_one_half(self) -> None:
        assert compiled().thresholds == (0.5, 0.5, 0.5)

    def test_a_score_at_its_threshold_fires(self) -> None:
        judgement = compiled(labels=labels(Game={"threshold": 0.9})).judge([0.5, 0.899999, 0.499999])
        assert judgement.flagged == (True, False, False)

    @pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan, math.inf])
    def test_outside_0_to_1_is_refused_by_name(self, threshold: float) -> None:
        with pytest.raises(ValidationError, match=r"labels\.Game\.threshold"):
            policy(labels=labels(Game={"threshold": threshold}))

    @pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0])
    def test_the_bounds_themselves_are_thresholds(self, threshold: float) -> None:
        assert compiled(default={"threshold": threshold}).thresholds == (threshold,) * 3

    def test_a_row_of_another_length_than_the_labels_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"shorter|longer"):
            compiled().judge([0.5])


class TestActions:
    def test_without_actions_everything_is_allowed_for_no_reason(self) -> None:
        judgement = compiled().judge([1.0, 1.0, 1.0])
        assert (judgement.action, judgement.reasons) == ("allow", ())

    def test_a_label_that_fires_asks_for_its_action_and_says_why(self) -> None:
        found = compiled(labels=labels(Game={"action": "hide", "reason": "spoiler"}))
        assert found.judge([0.9, 0.1, 0.9])[2:] == ("allow", ())
        assert found.judge([0.1, 0.9, 0.1])[2:] == ("hide", ("spoiler",))

    def test_the_strongest_action_is_taken_and_all_reasons_are_told_the_strongest_first(self) -> None:
        found = compiled(
            labels=labels(
                Cheer={"action": "review", "reason": "noisy"},
                Game={"action": "hide", "reason": "spoiler"},
                Chat={"action": "review"},
            )
        )
        assert found.judge([0.9, 0.9, 0.9])[2:] == ("hide", ("spoiler", "noisy", "Chat"))
        assert found.judge([0.9, 0.1, 0.9])[2:] == ("review", ("noisy", "Chat"))

    def test_names_and_precedence_are_free(self) -> None:
        found = compiled(
            actions=["pass", "隱藏", "ban"],
            review_action="pass",
            labels=labels(Cheer={"action": "ban"}, Game={"action": "隱藏"}),
        )
        assert found.judge([0, 0, 0]).action == "pass"
        assert found.judge([0, 1, 0]).action == "隱藏"
        assert found.judge([1, 1, 0])[2:] == ("ban", ("Cheer", "Game"))

    @pytest.mark.parametrize(
        ("fields", "where"),
        [
            ({"labels": {"Game": {"action": "destroy"}}}, r"labels\.Game\.action \(destroy\)"),
            ({"default": {"action": "destroy"}}, r"default\.action \(destroy\)"),
            ({"no_label": {"action": "destroy"}}, r"no_label\.action \(destroy\)"),
            (
                {"overrides": [{"channels": ["a"], "labels": {"Game": {"action": "destroy"}}}]},
                r"overrides\.0\.labels\.Game\.action \(destroy\)",
            ),
            ({"actions": ["ok", "no"], "default": {"review": [0.4, 0.6]}}, r"review_action \(review\)"),
        ],
    )
    def test_an_action_that_is_not_in_the_list_is_refused_by_its_place(self, fields: Any, where: str) -> None:
        with pytest.raises(ValidationError, match=where):
            policy(**fields)

    @pytest.mark.parametrize("actions", [[], ["a", "a"], ["a", ""], ["a\nb"], ["x" * 65], [" a"]])
    def test_a_list_of_actions_that_makes_no_sense_is_refused(self, actions: list[str]) -> None:
        with pytest.raises(ValidationError, match="actions"):
            policy(actions=actions)


class TestTheReviewBand:
    FOUND = compiled(
        labels=labels(Game={"threshold": 0.7, "action": "hide", "reason": "spoiler", "review": [0.5, 0.9]})
    )

    @pytest.mark.parametrize(
        ("score", "action", "reasons", "flagged"),
        [
            (0.499999, "allow", (), False),
            (0.5, "review", ("unsure:spoiler",), False),
            (0.7, "review", ("unsure:spoiler",), True),
            (0.899999, "review", ("unsure:spoiler",), True),
            (0.9, "hide", ("spoiler",), True),
        ],
    )
    def test_scores_between_its_bounds_go_to_people(
        self, score: float, action: str, reasons: tuple[str, ...], flagged: bool
    ) -> None:
        judgement = self.FOUND.judge([0.0, score, 0.0])
        assert (judgement.action, judgement.reasons, judgement.flagged[1]) == (action, reasons, flagged)

    def test_a_label_that_fires_for_sure_is_stronger(self) -> None:
        found = compiled(labels=labels(Game={"review": [0.4, 0.8]}, Chat={"action": "hide"}))
        assert found.judge([0, 0.6, 1.0])[2:] == ("hide", ("Chat", "unsure:Game"))

    def test_its_action_has_a_name_of_the_teams_own(self) -> None:
        found = compiled(
            actions=["ok", "look", "no"],
            review_action="look",
            labels=labels(Game={"action": "no", "review": [0.2, 0.8]}),
        )
        assert found.judge([0, 0.3, 0]).action == "look"

    @pytest.mark.parametrize("band", [[0.5], [0.6, 0.6], [0.9, 0.5], [0.1, 0.2, 0.3], [-1, 0.5], [0.5, 2]])
    def test_bounds_that_make_no_sense_are_refused(self, band: list[float]) -> None:
        with pytest.raises(ValidationError, match=r"labels\.Game\.review"):
            policy(labels=labels(Game={"review": band}))

    @pytest.mark.parametrize("threshold", [0.3, 0.95])
    def test_a_threshold_outside_of_it_is_refused(self, threshold: float) -> None:
        with pytest.raises(ValidationError, match=r"labels\.Game: the threshold"):
            policy(labels=labels(Game={"threshold": threshold, "review": [0.4, 0.9]}))


class TestWhenNoLabelFires:
    FOUND = compiled(no_label={"action": "review", "reason": "unknown"}, labels=labels(Game={"review": [0.3, 0.6]}))

    def test_the_policy_says_what_to_do(self) -> None:
        assert self.FOUND.judge([0.1, 0.1, 0.1])[2:] == ("review", ("unknown",))

    def test_a_label_that_fires_and_is_allowed_is_one(self) -> None:
        assert self.FOUND.judge([0.9, 0.1, 0.1])[2:] == ("allow", ())

    def test_a_score_in_a_review_band_is_one(self) -> None:
        assert self.FOUND.judge([0.1, 0.4, 0.1])[2:] == ("review", ("unsure:Game",))


class TestOverrides:
    FOUND = compiled(
        labels=labels(Game={"threshold": 0.8, "action": "hide"}),
        overrides=[
            {"channels": ["kids"], "languages": ["en"], "labels": {"Game": {"threshold": 0.1}}},
            {"channels": ["kids", "family"], "labels": {"Game": {"threshold": 0.2, "action": "review"}}},
            {"languages": ["zh", "EN-us"], "no_label": {"action": "review"}},
        ],
    )

    @pytest.mark.parametrize(
        ("channel", "language", "threshold"),
        [
            (None, None, 0.8),
            ("other", "fr", 0.8),
            ("kids", "en", 0.1),
            ("kids", "EN-gb", 0.1),
            ("kids", "eng", 0.2),
            ("kids", None, 0.2),
            ("family", "en", 0.2),
            ("kids ", "en", 0.8),
        ],
    )
    def test_the_first_that_fits_is_laid_over_the_base(
        self, channel: str | None, language: str | None, threshold: float
    ) -> None:
        judgement = self.FOUND.judge([0, 0.15, 0], channel, language)
        assert judgement.thresholds == (0.5, threshold, 0.5)
        assert judgement.flagged[1] == (threshold <= 0.15)

    def test_what_it_does_not_say_comes_from_the_base(self) -> None:
        assert self.FOUND.judge([0, 1, 0], "kids", "en")[2:] == ("hide", ("Game",))
        assert self.FOUND.judge([0, 1, 0], "family")[2:] == ("review", ("Game",))

    def test_it_can_say_what_to_do_when_no_label_fires(self) -> None:
        assert self.FOUND.judge([0, 0, 0], None, "zh-TW").action == "review"
        assert self.FOUND.judge([0, 0, 0], None, "en-US").action == "review"
        assert self.FOUND.judge([0, 0, 0], None, "en").action == "allow"

    def test_it_can_take_a_review_band_away(self) -> None:
        found = compiled(
            labels=labels(Game={"action": "hide", "review": [0.4, 0.9]}),
            overrides=[{"channels": ["news"], "labels": {"Game": {"review": []}}}],
        )
        assert found.judge([0, 0.6, 0]).action == "review"
        assert found.judge([0, 0.6, 0], "news").action == "hide"

    def test_a_threshold_that_it_moves_out_of_the_band_is_refused(self) -> None:
        with pytest.raises(ValidationError, match=r"overrides\.0\.labels\.Game"):
            policy(
                labels=labels(Game={"review": [0.4, 0.9]}),
                overrides=[{"channels": ["a"], "labels": {"Game": {"threshold": 0.95}}}],
            )

    def test_one_that_fits_everything_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="names channels or languages"):
            policy(overrides=[{"labels": {"Game": {"threshold": 0.1}}}])

    def test_names_from_outside_take_no_memory_for_ever(self) -> None:
        for number in range(25_000):
            self.FOUND.judge([0, 0, 0], f"channel-{number}")
        assert len(self.FOUND._chosen) <= 10_000


class TestTheAudit:
    def test_a_share_of_all_events_is_in_it_and_always_the_same_ones(self) -> None:
        found = compiled(audit={"share": 0.1})
        chosen = [found.audits(f"comments/0/{offset}") for offset in range(20_000)]
        assert 1_800 < sum(chosen) < 2_200
        assert chosen == [compiled(audit={"share": 0.1}).audits(f"comments/0/{offset}") for offset in range(20_000)]

    def test_none_and_all_are_shares(self) -> None:
        assert not any(compiled().audits(f"comments/0/{offset}") for offset in range(1000))
        assert all(compiled(audit={"share": 1}).audits(f"comments/0/{offset}") for offset in range(1000))


class TestTheDigest:
    def test_it_names_what_is_decided_and_nothing_else(self) -> None:
        one = policy(labels={"a": {"threshold": 1}, "b": {"threshold": 0.25}})
        assert one.digest == policy(labels={"b": {"threshold": 0.25}, "a": {"threshold": 1.0}}).digest
        others = [
            policy(name="q"),
            policy(labels={"a": {"threshold": 1}}),
            policy(labels=one.labels, default={"threshold": 0.6}),
            policy(labels=one.labels, audit={"share": 0.5}),
            policy(labels={"a": {"threshold": 1, "reason": "r"}, "b": {"threshold": 0.25}}),
            policy(overrides=[{"channels": ["a"]}]),
        ]
        assert len({one.digest, *(other.digest for other in others)}) == 1 + len(others)

    def test_what_stands_in_published_events_does_not_change_by_accident(self) -> None:
        assert policy(name="default").digest == "f9c554659714245a830306dce45db869e61436404d51276bde03a8668058c3ce"

    def test_it_is_the_same_in_another_process(self) -> None:
        code = (
            "from consumer.moderation.policy import Policy; "
            "print(Policy.model_validate({'name': '詞', 'labels': {'b': {'threshold': .3}, 'a': {}}}).digest)"
        )
        other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert other.stdout.strip() == policy(name="詞", labels={"a": {}, "b": {"threshold": 0.3}}).digest


def test_a_label_the_model_does_not_have_is_refused_by_name_wherever_it_stands() -> None:
    with pytest.raises(ValueError, match=r"game.*Cheer, Game, Chat"):
        compiled(labels=labels(game={"threshold": 0.5}))
    with pytest.raises(ValueError, match=r"Ghost.*Cheer, Game, Chat"):
        compiled(overrides=[{"channels": ["a"], "labels": {"Ghost": {}}}])


def test_a_policy_without_a_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="name"):
        policy(name="")


_SCORES = st.lists(st.floats(0, 1), min_size=3, max_size=3)
_RULE = st.fixed_dictionaries(
    {"threshold": st.floats(0.3, 0.7), "action": st.sampled_from(["allow", "review", "hide"])},
    optional={"review": st.tuples(st.floats(0, 0.29), st.floats(0.71, 1)).map(list)},
)


@given(_SCORES, st.fixed_dictionaries(dict.fromkeys(LABELS, _RULE)), st.sampled_from(["allow", "hide"]))
def test_the_action_is_the_strongest_that_anything_asks_for(
    scores: list[float], rules: dict[str, dict[str, Any]], none: str
) -> None:
    """Said once more, as the specification has it: slow, label by label."""
    asked = []
    for label, score in zip(LABELS, scores, strict=True):
        rule = rules[label]
        if "review" in rule and rule["review"][0] <= score < rule["review"][1]:
            asked.append("review")
        elif score >= rule["threshold"]:
            asked.append(rule["action"])
    expected = max(asked or [none], key=["allow", "review", "hide"].index)
    judgement = compiled(labels=rules, no_label={"action": none}).judge(scores)
    assert judgement.action == expected
    assert bool(judgement.reasons) == (expected != "allow")


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t", "\u3000", "\u00a0 ", "\u200b\u200d\ufeff", "\x00", "\u202e \x07", "\ud800"]
)
def test_a_text_with_nothing_to_read_is_empty(text: str) -> None:
    assert skip_reason(text) == "empty"


@pytest.mark.parametrize("text", ["a", " a ", "。", "💪", "\u200ba", "\x00好", "\u0301", "🏳️"])
def test_any_other_text_is_worth_a_look(text: str) -> None:
    assert skip_reason(text) is None
