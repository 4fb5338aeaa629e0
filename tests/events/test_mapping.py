from __future__ import annotations

from typing import Any

import pytest

from consumer.events.mapping import FIELDS, CompiledMapping, FieldMapping, Kind, Kinds
from schemas.comment import CommentEvent


def kinds(**changes: Any) -> Kinds:
    return Kinds(**{"path": "type", "comments": ("text", "gift"), "deletions": ("gone",), **changes})


def compiled(**changes: Any) -> CompiledMapping:
    return FieldMapping(**changes).compiled()


def test_the_fields_are_those_of_a_comment() -> None:
    assert set(FIELDS) == set(CommentEvent.model_fields)


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


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"a": {"b": "1"}, "c": "2"}, {"text": "1"}),
        ({"c": "2"}, {"text": "2"}),
        ({"a": {"b": None}, "c": "2"}, {"text": "2"}),
        ({"a": {"b": ""}, "c": "2"}, {"text": ""}),
        ({"a": {"b": None}}, {"text": None}),
        ({"c": None, "d": 0}, {"text": 0}),
        ({"x": 1}, {}),
    ],
)
def test_of_several_paths_the_first_that_leads_to_more_than_null_counts(
    event: dict[str, object], found: dict[str, object]
) -> None:
    assert compiled(text=("a.b", "c", "d")).apply(event) == found


def test_the_plain_name_is_not_read_where_the_field_is_elsewhere() -> None:
    assert FieldMapping(text="body").compiled().apply({"id": "1", "text": "not this"}) == {"id": "1"}


def test_a_field_that_is_mapped_to_nothing_is_not_read() -> None:
    assert FieldMapping(channel=None).compiled().apply({"id": "1", "channel": {"not": "ours"}}) == {"id": "1"}


def test_two_fields_may_come_from_one_place() -> None:
    assert FieldMapping(channel="c", stream="c").compiled().apply({"c": "x"}) == {"channel": "x", "stream": "x"}


def test_a_header_may_be_a_field() -> None:
    mapping = compiled(id=("id", "header:ce_id"))
    assert mapping.reads_headers
    assert mapping.apply({"text": "t"}, (("ce_id", b"7"),)) == {"id": "7", "text": "t"}
    assert mapping.apply({"text": "t"}, None) == {"text": "t"}
    assert not compiled(id="ce_id").reads_headers


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", (), ("a", "b.")])
def test_a_malformed_path_is_refused_by_the_fields_name(path: Any) -> None:
    with pytest.raises(ValueError, match="published_at"):
        FieldMapping(published_at=path)
    with pytest.raises(ValueError, match=r"kind\.path"):
        kinds(path=path)
    with pytest.raises(ValueError, match=r"kind\.deleted_id"):
        kinds(deleted_id=path)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "text.id"},
        {"id": "a.b.c", "text": "a.b"},
        {"id": ("text.id", "text.other")},
        {"kinds": kinds(path="id.kind")},
    ],
    ids=str,
)
def test_a_mapping_that_no_record_can_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one goes through the other"):
        FieldMapping(**changes)


def test_paths_that_exclude_each_other_are_fine_where_another_one_is_left() -> None:
    FieldMapping(id=("text.id", "id"))
    FieldMapping(kinds=kinds(path="id.kind", optional=True))


class TestOverrides:
    MAPPING = FieldMapping(id="a.id", text="a.text", channel=None, kinds=kinds())

    def test_single_paths_are_replaced_and_all_else_stays(self) -> None:
        changed = self.MAPPING.replaced({"text": ("b", "c"), "channel": "d"})
        assert (changed.id, changed.text, changed.channel, changed.kinds) == ("a.id", ("b", "c"), "d", kinds())

    @pytest.mark.parametrize("nothing", ["", ()])
    def test_an_empty_path_says_that_there_is_no_such_field(self, nothing: Any) -> None:
        assert self.MAPPING.replaced({"lang": nothing}).lang is None

    @pytest.mark.parametrize(
        ("overrides", "said"),
        [
            ({"txt": "a"}, "no field 'txt'; did you mean text?"),
            ({"id": ""}, "id: a comment must have it"),
            ({"text": ()}, "text: a comment must have it"),
            ({"lang": "a..b"}, "lang: a path is names"),
            ({"lang": ("a", "")}, "lang: a path is names"),
            ({"kinds": "a"}, "no field 'kinds'"),
            ({"text": "a"}, "one goes through the other"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_named(self, overrides: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said.replace("?", r"\?")):
            self.MAPPING.replaced(overrides)


class TestKinds:
    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ("text", Kind.COMMENT),
            ("gift", Kind.COMMENT),
            ("gone", Kind.DELETION),
            ("poll", Kind.OTHER),
            ("", Kind.OTHER),
            (None, Kind.UNSAID),
            ({}, Kind.UNREADABLE),
            (1.5, Kind.UNREADABLE),
        ],
    )
    def test_a_record_is_what_it_says_of_itself(self, said: object, kind: Kind) -> None:
        assert compiled(kinds=kinds()).kind({"type": said}, ()) is kind

    def test_one_that_says_nothing_is_a_comment_only_where_that_is_allowed(self) -> None:
        assert compiled(kinds=kinds()).kind({}, ()) is Kind.UNSAID
        assert compiled(kinds=kinds(optional=True)).kind({}, ()) is Kind.COMMENT
        assert compiled(kinds=kinds(optional=True)).kind({"type": "poll"}, ()) is Kind.OTHER

    def test_whole_numbers_and_truth_values_are_read_as_json_writes_them(self) -> None:
        mapping = compiled(kinds=kinds(comments=("1", "false"), deletions=("true",)))
        said = [mapping.kind({"type": value}, ()) for value in (1, False, True, "true", 0)]
        assert said == [Kind.COMMENT, Kind.COMMENT, Kind.DELETION, Kind.DELETION, Kind.OTHER]

    def test_a_kind_may_stand_in_a_header(self) -> None:
        mapping = compiled(kinds=kinds(path="header:ce_type"))
        assert mapping.reads_headers
        assert mapping.kind({"type": "gone"}, (("ce_type", b"text"),)) is Kind.COMMENT
        assert mapping.kind({}, (("ce_type", b"\xff"),)) is Kind.UNREADABLE

    def test_a_deletion_names_the_comment_that_it_deletes(self) -> None:
        mapping = compiled(kinds=kinds(deleted_id=("target", "id")))
        event = {"id": 5, "target": "c1"}
        assert mapping.own_or_deleted_id(Kind.DELETION, event, ()) == "c1"
        assert mapping.own_or_deleted_id(Kind.OTHER, event, ()) == "5"
        assert mapping.own_or_deleted_id(Kind.DELETION, {"id": 5}, ()) == "5"
        assert compiled(kinds=kinds()).own_or_deleted_id(Kind.DELETION, event, ()) == "5"

    @pytest.mark.parametrize("event", [{}, {"id": ""}, {"id": None}, {"id": []}, {"id": True}, {"id": 1.5}])
    def test_one_without_a_readable_id_is_about_no_comment(self, event: dict[str, object]) -> None:
        assert compiled(kinds=kinds()).own_or_deleted_id(Kind.OTHER, event, ()) is None

    @pytest.mark.parametrize("changes", [{"comments": ()}, {"deletions": ("text",)}, {"comments": ("a", "a")}], ids=str)
    def test_names_that_make_no_sense_are_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="kind"):
            kinds(**changes)
