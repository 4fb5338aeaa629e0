"""From JSON Schema 2020-12, in which the events are described, to draft-07, which AsyncAPI's own dialect is made of.

Tools that read draft-07 do not stumble over later keywords: they pass over them, and check less than they seem to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

_PLAIN: Final = frozenset(
    {
        "title", "description", "default", "examples", "readOnly", "writeOnly", "$comment",
        "type", "enum", "const", "format", "pattern", "minLength", "maxLength", "contentEncoding", "contentMediaType",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "required",
    }
)  # fmt: skip
_ONE: Final = frozenset({"additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf"})
_MAPS: Final = frozenset({"properties", "patternProperties"})
_DROPPED: Final = frozenset({"$schema", "$id", "$defs"})
_DEFINITION: Final = "#/$defs/"


def to_draft07(schema: Schema | bool, place: Callable[[str], str]) -> Schema | bool:
    """The same schema in draft-07, without its definitions.

    Args:
        schema: Draft 2020-12.
        place: Where the definition of this name will stand, as a reference.

    Raises:
        ValueError: it uses a keyword that draft-07 cannot say.
    """
    if isinstance(schema, bool):
        return schema
    converted: Schema = {}
    for keyword, value in schema.items():
        if keyword in _DROPPED or keyword == "$ref":
            continue
        if keyword in _PLAIN:
            converted[keyword] = value
        elif keyword in _ONE:
            converted[keyword] = to_draft07(value, place)
        elif keyword in _LISTS:
            converted[keyword] = [to_draft07(each, place) for each in value]
        elif keyword in _MAPS:
            converted[keyword] = {name: to_draft07(each, place) for name, each in value.items()}
        elif keyword == "prefixItems":
            converted["items"] = [to_draft07(each, place) for each in value]
        elif keyword == "items":
            converted["additionalItems" if "prefixItems" in schema else "items"] = to_draft07(value, place)
        elif keyword in ("dependentRequired", "dependentSchemas"):
            needs = {
                name: each if keyword == "dependentRequired" else to_draft07(each, place)
                for name, each in value.items()
            }
            if needs.keys() & converted.get("dependencies", {}).keys():
                raise ValueError("draft-07 cannot say both dependentRequired and dependentSchemas of one property")
            converted.setdefault("dependencies", {}).update(needs)
        else:
            raise ValueError(f"draft-07 has no way to say {keyword}")
    if "$ref" in schema:
        if not schema["$ref"].startswith(_DEFINITION):
            raise ValueError(f"only definitions of the schema itself can be referred to, not {schema['$ref']}")
        reference = {"$ref": place(schema["$ref"].removeprefix(_DEFINITION))}
        # Beside a reference draft-07 reads nothing.
        converted = {**converted, "allOf": [reference, *converted.get("allOf", ())]} if converted else reference
    return converted
