"""The events' schemas as an AsyncAPI document holds them: each once, under its name, in draft-07."""

from __future__ import annotations

from typing import Any, Final

from schemas.comment import CommentEvent
from schemas.dead_letter import DeadLetterHeaders, DeadLetterStub
from schemas.draft07 import Schema, to_draft07
from schemas.json_schema import json_schema
from schemas.labeled import LabeledEvent

_INTEGER: Final = "^(0|-?[1-9][0-9]*)$"


def components_of() -> dict[str, Any]:
    """Every schema and every part that they share, by title.

    Raises:
        ValueError: two parts of one name differ, or a schema cannot be said in draft-07.
    """
    found: dict[str, Any] = {}
    for model in (CommentEvent, LabeledEvent, DeadLetterStub):
        schema = json_schema(model)
        for name, part in {**schema.get("$defs", {}), model.__name__: schema}.items():
            converted = to_draft07(part, schema_reference)
            if found.setdefault(name, converted) != converted:
                raise ValueError(f"two different schemas are named {name}")
    found["DeadLetterHeaders"] = _on_the_wire(json_schema(DeadLetterHeaders))
    return dict(sorted(found.items()))


def schema_reference(name: str) -> str:
    """Where the schema of this name stands in the document."""
    return f"#/components/schemas/{name}"


def _on_the_wire(schema: Schema) -> Schema:
    """The headers' schema speaks of what they say; here it speaks of the text that they are."""
    fields = {name: _as_text(field) for name, field in schema["properties"].items()}
    return {name: value for name, value in schema.items() if name not in ("$schema", "$id", "$defs")} | {
        "properties": fields
    }


def _as_text(field: Schema) -> Schema:
    """A header that says an integer is its decimal digits; null is a header that is not there.

    Raises:
        ValueError: it says something else than text or an integer.
    """
    kinds = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    text: Schema = {"type": "string"}
    if len(kinds) != 1 or kinds[0].get("type") not in ("string", "integer"):
        raise ValueError("a header says text or an integer")
    if kinds[0]["type"] == "integer":
        if "const" in kinds[0]:
            text["const"] = str(kinds[0]["const"])
        else:
            text["pattern"] = "^[1-9][0-9]*$" if kinds[0].get("minimum") == 1 else _INTEGER
    return {**text, "description": field["description"]}
