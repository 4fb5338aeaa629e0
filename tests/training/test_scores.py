import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.training.scores import score


def table(*rows):
    return np.array(rows, dtype=bool)


def test_a_comment_counts_only_when_all_its_labels_are_right():
    result = score(table([1, 0], [1, 1], [0, 1]), table([1, 0], [1, 0], [0, 1]))
    assert result.accuracy == pytest.approx(2 / 3)


def test_f1_is_by_label_over_all_labels_and_their_mean():
    result = score(table([1, 0], [1, 1], [0, 1]), table([1, 0], [0, 1], [1, 0]))
    assert result.f1_per_label == pytest.approx((0.5, 2 / 3))
    assert result.f1_macro == pytest.approx((0.5 + 2 / 3) / 2)
    assert result.f1_micro == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))


def test_a_label_that_never_comes_up_scores_zero():
    assert score(table([0, 1]), table([0, 1])).f1_per_label == (0.0, 1.0)


def test_no_comments_score_zero():
    nothing = np.zeros((0, 4), dtype=bool)
    assert score(nothing, nothing) == (0.0, 0.0, 0.0, (0.0, 0.0, 0.0, 0.0))


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_perfect_answer_is_perfect(rows):
    true = np.array(rows)
    assert score(true, true).accuracy == 1.0
    assert score(true, true).f1_micro in (0.0, 1.0)
