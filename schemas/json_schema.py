"""The JSON Schema of an event, in draft 2020-12."""

from __future__ import annotations

from typing import Any

from schemas.base import Event


def json_schema(model: type[Event]) -> dict[str, Any]:
    """As pydantic makes it, without the titles that repeat a field's name."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    for described in (schema, *schema.get("$defs", {}).values()):
        for field in described["properties"].values():
            field.pop("title", None)
    return schema
