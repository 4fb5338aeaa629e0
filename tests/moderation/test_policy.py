from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from consumer.moderation.filters import skip_reason
from consumer.moderation.policy import Policy

ROOT = Path(__file__).parents[2]
LABELS = ("Cheer", "Game", "Chat")


def test_a_label_has_its_own_threshold_or_the_default() -> None:
    policy = Policy("p", {"Game": 0.9}, default_threshold=0.2).compiled(LABELS)
    assert policy.thresholds == (0.2, 0.9, 0.2)


def test_a_score_at_its_threshold_is_flagged() -> None:
    judgement = Policy("p", {"Game": 0.9}).compiled(LABELS).judge([0.5, 0.899999, 0.499999])
    assert judgement.flagged == (True, False, False)


def test_without_actions_everything_is_allowed_for_no_reason() -> None:
    judgement = Policy("p").compiled(LABELS).judge([1.0, 1.0, 1.0])
    assert (judgement.action, judgement.reasons) == ("allow", ())


def test_a_row_of_another_length_than_the_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        Policy("p").compiled(LABELS).judge([0.5])


@pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan, math.inf])
def test_a_threshold_outside_0_to_1_is_refused_by_name(threshold: float) -> None:
    with pytest.raises(ValueError, match="Game"):
        Policy("p", {"Game": threshold})
    with pytest.raises(ValueError, match="default_threshold"):
        Policy("p", default_threshold=threshold)


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0])
def test_the_bounds_themselves_are_thresholds(threshold: float) -> None:
    assert Policy("p", {"Game": threshold}, threshold).compiled(("Game", "x")).thresholds == (threshold, threshold)


def test_a_threshold_for_a_label_the_model_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"game.*Cheer, Game, Chat"):
        Policy("p", {"game": 0.5}).compiled(LABELS)


def test_a_policy_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="name"):
        Policy("")


def test_a_policy_cannot_change() -> None:
    thresholds = {"Game": 0.9}
    policy = Policy("p", thresholds)
    thresholds["Game"] = 0.1
    assert policy.thresholds["Game"] == 0.9
    with pytest.raises(TypeError):
        policy.thresholds["Game"] = 0.1  # type: ignore[index]


def test_the_digest_tells_policies_apart_and_equal_ones_alike() -> None:
    digest = Policy("p", {"a": 1, "b": 0.25}).digest
    assert digest == Policy("p", {"b": 0.25, "a": 1.0}).digest
    others = [Policy("q", {"a": 1, "b": 0.25}), Policy("p", {"a": 1}), Policy("p", {"a": 1, "b": 0.25}, 0.6)]
    assert len({digest, *(other.digest for other in others)}) == 4


def test_the_digest_is_the_same_in_another_process() -> None:
    code = "from consumer.moderation.policy import Policy; print(Policy('詞', {'b': .3, 'a': .1}).digest)"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == Policy("詞", {"a": 0.1, "b": 0.3}).digest
    # What stands in published events must not change by accident.
    assert Policy("default").digest == "7bc4122ee7d33d94be25b45687e3ffbfcdb2a4b63419a3f5c42618f29a7bdb76"


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000", "\u00a0 "])
def test_a_text_with_nothing_to_read_is_empty(text: str) -> None:
    assert skip_reason(text) == "empty"


@pytest.mark.parametrize("text", ["a", " a ", "。", "💪", "\x00"])
def test_any_other_text_is_worth_a_look(text: str) -> None:
    assert skip_reason(text) is None
