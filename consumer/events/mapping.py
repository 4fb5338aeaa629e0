"""Where a comment's fields stand in somebody else's JSON. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class FieldMapping:
    """For each field of a CommentEvent, the path to it: names of nested objects with dots between.

    ``FieldMapping(text="snippet.displayMessage")`` reads ``{"snippet": {"displayMessage": "..."}}``. A name that
    holds a dot itself cannot be reached. ``None`` for an optional field says that the JSON has no such thing, even
    where it has a field of that name.

    Raises:
        ValueError: a path has an empty step.
    """

    id: str = "id"
    text: str = "text"
    channel: str | None = "channel"
    stream: str | None = "stream"
    author: str | None = "author"
    published_at: str | None = "published_at"
    lang: str | None = "lang"
    metadata: str | None = "metadata"

    def __post_init__(self) -> None:
        for name, path in self.paths.items():
            if not all(path.split(".")):
                raise ValueError(f"the path of {name} must be names with single dots between, such as snippet.text")

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of every mapped field."""
        return {f.name: path for f in fields(self) if (path := getattr(self, f.name)) is not None}

    def compiled(self) -> CompiledMapping:
        """This mapping, ready for the hot path."""
        return CompiledMapping(self)


class CompiledMapping:
    """Reads mapped fields out of a parsed object."""

    def __init__(self, mapping: FieldMapping) -> None:
        self._paths = mapping.paths
        self._flat = tuple((name, path) for name, path in self._paths.items() if "." not in path)
        self._nested = tuple((name, path.split(".")) for name, path in self._paths.items() if "." in path)
        self._unchanged = mapping == FieldMapping()

    def path(self, field: str) -> str:
        """Where the JSON has this field; for error messages."""
        return self._paths.get(field, field)

    def apply(self, event: JsonObject) -> JsonObject:
        """The event under our own field names; what is not there (a step missing, or no object) is left out."""
        if self._unchanged:
            return event
        found = {name: event[key] for name, key in self._flat if key in event}
        for name, steps in self._nested:
            value: Any = event
            for step in steps:
                if type(value) is not dict or step not in value:
                    break
                value = value[step]
            else:
                found[name] = value
        return found
