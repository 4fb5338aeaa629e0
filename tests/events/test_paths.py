"""Paths: what they say, what they find, and where they say they stopped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.events.paths import MISSING, exclude_each_other, nested, parse_path, reader, where_it_stops
from tests.events.records import unhurried
from tests.events.test_decode import json_values


def read(path: str, event: dict[str, Any], headers: Any = ()) -> Any:
    return reader(parse_path(path))(event, headers)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("text", ("text",)),
        ("snippet.displayMessage", ("snippet", "displayMessage")),
        ("items.0.text", ("items", "0", "text")),
        ('data."com.example.text"', ("data", "com.example.text")),
        ("'a.b'.c.\"d.e\"", ("a.b", "c", "d.e")),
        ("留言.文字", ("留言", "文字")),
        ("@type._id.$oid", ("@type", "_id", "$oid")),
        ("it's.o'clock", ("it's", "o'clock")),
        ('"a[0]"." b "', ("a[0]", " b ")),
        ("a b.c", ("a b", "c")),
        ("'header:x'", ("header:x",)),
    ],
)
def test_a_path_is_names_with_dots_between_and_quotes_around_those_that_have_one(path: str, steps: tuple[str, ...]):
    assert parse_path(path).steps == steps
    assert parse_path(path).spelled == path


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "a.", ".a", "a..b", '"a', "'a.b", '"a"b', '""', "a. b", "a.b ", "$.a", "a[0]", "a.[0]",
        "header:", "header: x",
    ],
)  # fmt: skip
def test_a_malformed_path_is_refused(path: str):
    with pytest.raises(ValueError, match=r"path|header"):
        parse_path(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": {"c": 1}, "0": "named"}),
        ("a.b.c", 1),
        ("a.0", "named"),
        ("list.1", "second"),
        ("list.2.x", True),
        ("null", None),
        ('"dotted.name"', "yes"),
        ("a.x", MISSING),
        ("a.b.c.d", MISSING),
        ("list", ["first", "second", {"x": True}]),
        ("list.3", MISSING),
        ("list.x", MISSING),
        ("list.-1", MISSING),
        ("list.²", MISSING),
        ("list." + "9" * 5000, MISSING),
        ("null.x", MISSING),
        ("dotted.name", MISSING),
    ],
)
def test_a_path_steps_through_objects_and_arrays(path: str, found: object):
    event = {
        "a": {"b": {"c": 1}, "0": "named"},
        "list": ["first", "second", {"x": True}],
        "null": None,
        "dotted.name": "yes",
    }
    assert read(path, event) == found


def test_a_header_is_found_by_its_whole_name_and_the_last_one_counts():
    headers = (("ce_id", b"1"), ("ce_id", "加".encode()), ("ce.x-y", b""), ("none", None), ("odd", b"\xff"))
    assert read("header:ce_id", {"ce_id": "no"}, headers) == "加"
    assert read("header:ce.x-y", {}, headers) == ""
    assert read("header:none", {}, headers) is None
    assert read("header:odd", {}, headers) == b"\xff"
    assert read("header:CE_ID", {}, headers) is MISSING
    assert read("header:ce_id", {}, None) is MISSING


@pytest.mark.parametrize(
    ("path", "event", "said"),
    [
        ("text", {}, ""),
        ("snippet.text", {"snippets": 1}, "no snippet"),
        ("snippet.text", {"snippet": {}}, "no text in snippet"),
        ("a.b.c", {"a": {"b": "secret"}}, "b is no object"),
        ("a.b", {"a": None}, "a is no object"),
        ("a.1.b", {"a": ["secret"]}, "a is an array without 1"),
        ("a.b", {"a": ["secret"]}, "a is an array without b"),
        ("a.b", {"a": {"b": None}}, "b is null"),
    ],
)
def test_where_a_path_stopped_is_told_in_its_own_words(path: str, event: dict[str, Any], said: str):
    assert where_it_stops(parse_path(path), event, ()) == said


def test_of_headers_it_is_told_whether_they_could_be_read():
    assert where_it_stops(parse_path("header:x"), {}, ()) == "there is no such header"
    assert where_it_stops(parse_path("header:x"), {}, None) == "the headers cannot be read"


@pytest.mark.parametrize(
    ("one", "other", "exclude"),
    [("a", "a.b", True), ("a.b", "a", True), ("a.b", "a.b", False), ("a.b", "a.c", False), ("header:a", "a", False)],
)
def test_two_paths_exclude_each_other_if_one_goes_through_the_other(one: str, other: str, exclude: bool):
    assert exclude_each_other(parse_path(one), parse_path(other)) is exclude


def test_what_is_nested_is_found_again():
    paths = [parse_path(path) for path in ("a.b", "a.c.0", '"d.e"')]
    event = nested((path.steps, number) for number, path in enumerate(paths))
    assert [reader(path)(event, ()) for path in paths] == [0, 1, 2]


@unhurried
@given(json_values, st.lists(st.sampled_from(["a", "0", "1", "'a.b'", "x"]), min_size=1, max_size=4))
def test_a_path_finds_something_exactly_where_it_does_not_stop(value: Any, steps: list[str]):
    event = {"a": value, "x": {"a": [value]}}
    path = parse_path(".".join(steps))
    if reader(path)(event, ()) is MISSING:
        assert "null" not in where_it_stops(path, event, ())
    else:
        assert where_it_stops(path, event, ()).endswith("is null")
