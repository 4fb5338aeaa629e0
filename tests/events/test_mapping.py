from __future__ import annotations

import pytest

from consumer.events.mapping import FieldMapping


def test_by_default_the_event_is_read_as_it_is() -> None:
    event = {"id": "1", "text": "t", "other": 1}
    assert FieldMapping().compiled().apply(event) is event


def test_a_field_is_found_under_another_name_and_inside_other_objects() -> None:
    mapping = FieldMapping(id="messageId", text="snippet.displayMessage", author="snippet.by.id").compiled()
    event = {"messageId": 7, "snippet": {"displayMessage": "hi", "by": {"id": "a"}}, "channel": "c"}
    assert mapping.apply(event) == {"id": 7, "text": "hi", "author": "a", "channel": "c"}


@pytest.mark.parametrize(
    "event", [{}, {"snippet": None}, {"snippet": "x"}, {"snippet": ["text"]}, {"snippet": {}}, {"snippet.text": "x"}]
)
def test_a_path_that_leads_nowhere_finds_nothing(event: dict[str, object]) -> None:
    assert FieldMapping(text="snippet.text").compiled().apply(event) == {}


def test_null_at_the_end_of_a_path_is_found() -> None:
    assert FieldMapping(lang="a.b").compiled().apply({"a": {"b": None}}) == {"lang": None}


def test_the_plain_name_is_not_read_where_the_field_is_elsewhere() -> None:
    assert FieldMapping(text="body").compiled().apply({"id": "1", "text": "not this"}) == {"id": "1"}


def test_a_field_that_is_mapped_to_nothing_is_not_read() -> None:
    assert FieldMapping(channel=None).compiled().apply({"id": "1", "channel": {"not": "ours"}}) == {"id": "1"}


def test_two_fields_may_come_from_one_place() -> None:
    assert FieldMapping(channel="c", stream="c").compiled().apply({"c": "x"}) == {"channel": "x", "stream": "x"}


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_a_path_with_an_empty_step_is_refused_by_the_fields_name(path: str) -> None:
    with pytest.raises(ValueError, match="published_at"):
        FieldMapping(published_at=path)
