"""Is this line an event of that kind? Says what is wrong without quoting anything of it. No I/O."""

from __future__ import annotations

import orjson
from pydantic import ValidationError

from schemas.base import Event
from schemas.dead_letter import DeadLetterHeaders


def complaints(model: type[Event], line: bytes) -> list[str]:
    """What is wrong with this JSON, one text a rule that is broken; nothing if it is such an event.

    A rule names the field, by the model's own names and by places in lists. Never raises.
    """
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        # Its text and its `doc` may hold the line; the position does not.
        return [f"not JSON in UTF-8, at character {error.pos}"]
    if type(event) is not dict:
        return ["JSON, but not an object"]
    try:
        # Strictly: "0.5" is no number to a reader in another language. But every header's value is text.
        model.model_validate_json(line, strict=model is not DeadLetterHeaders)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        found = (f"{_place(detail['loc'])}{detail['msg'].removeprefix('Value error, ')}" for detail in details)
        return list(dict.fromkeys(found))
    return []


def _place(location: tuple[int | str, ...]) -> str:
    """Field names and positions; what pydantic calls the branches of a union is none of the event's."""
    steps = [str(step) for step in location if isinstance(step, int) or step.isidentifier() or step.startswith("dlq.")]
    return ".".join(steps) + ": " if steps else ""
