from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.classifier.preprocessing import PRESETS, preset, seed
from tests.support.data import validation_texts

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates included
COLONS = st.text("::: aB\u3000\n", max_size=30)
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Nice BALL", "niceball"),
        ("加油:face-blue-smiling:好球", "加油好球"),
        (":_a::_b:好", "好"),
        ("3:0", "3:0"),
        ("3:0 3:1", "31"),
        (":not closed", ":notclosed"),
        ("::a:b:好", "好"),
        ("a : b : c", "ac"),
        ("full\u3000width\u00a0stay", "full\u3000width\u00a0stay"),
        ("   ", ""),
        ("\ud83d 加", "\ud83d加"),
    ],
)
def test_the_seed_reads_lower_case_without_shortcodes_and_spaces(text, read):
    assert seed(text) == read


@EVERY_PRESET
@given(text=ANY_TEXT | COLONS)
def test_preparing_a_prepared_text_changes_nothing(name, text):
    once = preset(name)(text)
    assert preset(name)(once) == once


@EVERY_PRESET
@given(text=ANY_TEXT | COLONS)
def test_a_text_never_grows_but_where_lower_case_has_more_characters(name, text):
    assert len(preset(name)(text)) <= len(text) + text.count("\u0130")


def test_the_seeds_training_texts_are_already_prepared():
    changed = [row for row, text in enumerate(validation_texts()) if seed(text) != text]
    assert changed == []


@pytest.mark.timeout(10)
def test_a_megabyte_of_colons_takes_no_time_to_speak_of():
    assert seed(":" * 1_000_000) == ":" * 1_000_000
    assert seed(":a" * 500_000) == "a" * 250_000
    seed(":" * 500_000 + "a:" * 250_000)


def test_an_unknown_preset_is_refused_with_the_names_of_those_that_exist():
    with pytest.raises(ValueError, match=r"'gone'.*none.*seed"):
        preset("gone")
