import json

import pytest

from consumer.training import examples
from consumer.training.examples import Example
from consumer.training.vocabulary import SPECIAL, build_vocabulary

ROW = {"text": "加 油 GO :fire:", "Cheer": 1, "Game": 0, "Broadcast": 0, "Chat": 0}


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_texts_are_read_as_the_model_will_read_them(tmp_path):
    assert examples.read(write(tmp_path / "x", ROW)) == [Example("加油go", (1, 0, 0, 0))]


def test_texts_with_nothing_left_are_dropped(tmp_path):
    assert examples.read(write(tmp_path / "x", {**ROW, "text": " :fire: "}, ROW)) == [Example("加油go", (1, 0, 0, 0))]


@pytest.mark.parametrize(
    "row", ["{broken", '"加油祕密"', {"text": "加油祕密"}, {**ROW, "Game": None}, {**ROW, "Chat": "祕密"}]
)
def test_a_bad_line_is_named_but_not_shown(tmp_path, row):
    with pytest.raises(ValueError, match=r"x:2: expected an object with text and Cheer") as caught:
        examples.read(write(tmp_path / "x", ROW, row))
    assert "祕密" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_digest_depends_on_texts_labels_and_order():
    one, two = Example("a", (1, 0, 0, 0)), Example("a", (0, 1, 0, 0))
    assert len({examples.digest(rows) for rows in ([one], [two], [one, two], [two, one])}) == 4


def test_generated_examples_are_repeatable():
    assert examples.generated(4, 500) == examples.generated(4, 500)
    assert len(examples.generated(4, 500)) == 500


def test_the_vocabulary_begins_with_the_special_tokens_and_has_no_token_twice():
    vocabulary = build_vocabulary(["加油加油🔥🔥go1go1"] * 30)
    assert vocabulary[:5] == list(SPECIAL)
    assert len(set(vocabulary)) == len(vocabulary)


def test_runs_of_letters_and_emoji_get_continuation_pieces_and_frequent_ones_a_token():
    vocabulary = build_vocabulary(["加油🔥🔥好go1"] * 30)
    assert {"加", "油", "🔥", "##🔥", "🔥🔥", "go1", "g", "##o", "##1"} <= set(vocabulary)
    assert "##油" not in vocabulary


def test_a_character_seen_once_stays_unknown():
    vocabulary = build_vocabulary(["加加油"])
    assert "加" in vocabulary
    assert "油" not in vocabulary
