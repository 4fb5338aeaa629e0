"""The cache of verdicts: bounded, least recently used out first, never another model's answer."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.records import ModelIdentity, Verdict
from consumer.delivery.results import ResultCache, result_key

DIGEST = "a" * 64
OTHER = "b" * 64


def verdict(logit: float) -> Verdict:
    return Verdict((logit,), False, ModelIdentity("fake", "r1", DIGEST))


def test_what_was_kept_is_found() -> None:
    cache = ResultCache(2)
    cache.keep(b"a", verdict(1))
    assert cache.find(b"a") == verdict(1)
    assert cache.find(b"b") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = ResultCache(2)
    cache.keep(b"a", verdict(1))
    cache.keep(b"b", verdict(2))
    cache.find(b"a")
    cache.keep(b"c", verdict(3))
    assert cache.find(b"b") is None
    assert cache.find(b"a") == verdict(1)


def test_keeping_again_replaces_and_refreshes() -> None:
    cache = ResultCache(2)
    cache.keep(b"a", verdict(1))
    cache.keep(b"b", verdict(2))
    cache.keep(b"a", verdict(9))
    cache.keep(b"c", verdict(3))
    assert cache.find(b"a") == verdict(9)
    assert cache.find(b"b") is None


def test_a_cache_of_zero_entries_keeps_nothing() -> None:
    cache = ResultCache(0)
    cache.keep(b"a", verdict(1))
    assert cache.find(b"a") is None
    assert len(cache) == 0


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="0 entries or more"):
        ResultCache(-1)


@given(st.integers(0, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 9))))
def test_it_is_an_exact_lru_of_bounded_size(size: int, moves: list[tuple[bool, int]]) -> None:
    cache = ResultCache(size)
    model: OrderedDict[int, Verdict] = OrderedDict()
    for count, (keep, number) in enumerate(moves):
        if keep:
            cache.keep(bytes([number]), verdict(count))
            model.pop(number, None)
            model[number] = verdict(count)
            while len(model) > size:
                model.popitem(last=False)
        else:
            assert cache.find(bytes([number])) == model.get(number)
            if number in model:
                model.move_to_end(number)
        assert len(cache) == len(model) <= size


def test_the_same_text_under_another_model_has_another_key() -> None:
    assert result_key("text", DIGEST) != result_key("text", OTHER)


@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_keys_are_equal_exactly_when_texts_are_lone_surrogates_included(one: str, other: str) -> None:
    assert (result_key(one, DIGEST) == result_key(other, DIGEST)) == (one == other)


def test_a_lone_surrogate_has_a_key_of_its_own() -> None:
    keys = {result_key(text, DIGEST) for text in ("\ud83d", "\udc4d", "\ud83d\udc4d", "\U0001f44d", "?", "")}
    assert len(keys) == 6


def test_the_key_does_not_hold_the_text() -> None:
    key = result_key("a secret of some length", DIGEST)
    assert len(key) == 16
    assert b"secret" not in key
