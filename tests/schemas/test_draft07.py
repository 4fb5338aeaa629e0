"""The draft-07 forms accept and refuse what the events' own schemas do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from schemas import asyncapi, export
from schemas.comment import CommentEvent
from schemas.draft07 import to_draft07
from tests.schemas.test_released_versions import SAMPLES

TITLES = {"comment": "CommentEvent", "labeled": "LabeledEvent", "dead-letter-stub": "DeadLetterStub"}
VALUES = ["a", "", 1, -1, True, 1.5, None, [], {}, {"a": [1]}, ["value"], "2026-01-31T12:00:00Z"]


def draft07(name: str) -> jsonschema.Draft7Validator:
    """The schema as a tool finds it in the document, following its references there."""
    document = asyncapi.asyncapi()
    return jsonschema.Draft7Validator({"$ref": f"#/components/schemas/{name}", **document})


def places(event: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = event.items() if isinstance(event, dict) else enumerate(event) if isinstance(event, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from places(value, (*above, key))


def changed(event: Any, place: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(event))
    *above, last = place
    inner = copy
    for step in above:
        inner = inner[step]
    inner[last] = value
    return copy


@pytest.mark.parametrize("name", TITLES)
def test_a_draft07_schema_agrees_with_the_original_on_every_sample_and_every_spoiled_one(name: str) -> None:
    original = jsonschema.Draft202012Validator(json.loads(export.render(name)))
    converted = draft07(TITLES[name])
    agreed = {True: 0, False: 0}
    for sample in SAMPLES:
        if not sample.stem.startswith(name + "-"):
            continue
        event = json.loads(sample.read_text("utf-8"))
        spoiled = [changed(event, place, value) for place in places(event) for value in VALUES]
        spoiled += [{key: value for key, value in event.items() if key != gone} for gone in event]
        for each in (event, *spoiled):
            accepted = original.is_valid(each)
            assert converted.is_valid(each) is accepted, each
            agreed[accepted] += 1
    assert min(agreed.values()) > 10


def test_the_schemas_of_the_document_are_valid_draft07() -> None:
    for schema in asyncapi.asyncapi()["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


def test_what_stands_beside_a_reference_is_kept() -> None:
    schema = {"$ref": "#/$defs/Part", "description": "why", "$defs": {"Part": {"type": "object"}}}
    assert to_draft07(schema, lambda name: f"#/there/{name}") == {
        "description": "why",
        "allOf": [{"$ref": "#/there/Part"}],
    }


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (
            {"prefixItems": [{"type": "string"}], "items": False},
            {"items": [{"type": "string"}], "additionalItems": False},
        ),
        ({"items": {"type": "string"}}, {"items": {"type": "string"}}),
        (
            {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"required": ["d"]}}},
            {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
        ),
        ({"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}]}, {"anyOf": [{"$ref": "#/there/P"}, {"type": "null"}]}),
        ({"properties": {"$ref": {"const": 1}}}, {"properties": {"$ref": {"const": 1}}}),
        ({"$schema": "x", "$id": "y", "not": True}, {"not": True}),
    ],
    ids=["tuple", "list", "dependencies", "reference in a list", "a property of a keyword's name", "identity"],
)
def test_keywords_that_were_renamed(later: dict[str, Any], earlier: dict[str, Any]) -> None:
    assert to_draft07(later, lambda name: f"#/there/{name}") == earlier


@pytest.mark.parametrize(
    "schema",
    [
        {"unevaluatedProperties": False},
        {"properties": {"a": {"minContains": 2}}},
        {"$dynamicRef": "#x"},
        {"$ref": "https://example.org/other.json"},
        {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {}}},
    ],
    ids=str,
)
def test_what_draft07_cannot_say_is_refused_rather_than_dropped(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"draft-07|definitions"):
        to_draft07(schema, str)


def test_every_field_of_a_comment_is_described_in_both() -> None:
    fields = asyncapi.asyncapi()["components"]["schemas"]["CommentEvent"]["properties"]
    assert {name: field["description"] for name, field in fields.items()} == {
        name: field.description for name, field in CommentEvent.model_fields.items()
    }
