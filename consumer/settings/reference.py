"""The reference of all settings, ``consumer/settings.md``, made from the model that checks them. No I/O."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from consumer.settings.everything import Settings
from consumer.settings.loading import group_of, spell

UNITS: Final = (
    "milliseconds", "seconds", "minutes", "bytes", "tokens", "comments", "records", "results", "texts", "threads",
    "attempts", "share", "score", "port", "percent", "times", "partitions", "messages", "spans",
)  # fmt: skip
"""What numbers are counted in; the first that a description names is its setting's."""

_UNIT = re.compile(rf"\b({'|'.join(UNITS)})\b", re.IGNORECASE)

_HEAD = """# Settings

Made by `comment-consumer config reference` from the settings' own definitions; a test keeps it current. Change the
descriptions there, not here.

Each setting is a flag, a variable and a key in the TOML file named by `--config` (`bootstrap_servers` under `[kafka]`).
A flag wins over a variable, that over the file, the file over the preset. `comment-consumer config show` tells what
holds now and where it came from. What is required has no default.
"""


class Documented(NamedTuple):
    """One setting, as the reference has it. ``unit`` is empty for what is no number."""

    name: str
    kind: str
    unit: str
    default: str
    description: str


def documented(model: type[BaseModel] = Settings, above: str = "") -> Iterator[Documented]:
    """Every setting of a model in its order."""
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group is not None:
            yield from documented(group, f"{above}{name}.")
        else:
            yield Documented(above + name, kind_of(field), unit_of(field), _default(field), field.description or "")


def unit_of(field: FieldInfo) -> str:
    """The unit of a number, by its description; empty if it is none."""
    if not {int, float} & set(_members(field.annotation)):
        return ""
    found = _UNIT.search(field.description or "")
    return found[1].lower() if found else ""


def reference(model: type[BaseModel] = Settings) -> str:
    """The whole reference, in Markdown."""
    parts = [_HEAD]
    top = [each for each in documented(model) if "." not in each.name]
    if top:
        parts.append("## For all\n\n" + _table(top))
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group is not None:
            about = " ".join((group.__doc__ or "").split())
            parts.append(f"## `[{name}]`\n\n{about}\n\n" + _table(list(documented(group, f"{name}."))))
    return "\n".join(parts)


def _table(settings: list[Documented]) -> str:
    lines = ["| setting | type | default | what it is, how to choose |", "|---|---|---|---|"]
    for each in settings:
        names = f"`{spell(each.name, 'flag')}`<br>`{spell(each.name, 'variable')}`"
        kind = f"{each.kind}, {each.unit}" if each.unit else each.kind
        lines.append(f"| {names} | {_cell(kind)} | {_cell(each.default)} | {_cell(each.description)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "-"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


# ---- Types in words --------------------------------------------------------------------------------------------------


def kind_of(field: FieldInfo) -> str:
    """What values a setting takes, in a few words."""
    names: list[str] = []
    for member in _members(field.annotation):
        names += [word for word in _words(member) if word not in names]
    bounds = ", ".join(_bound(each) for each in field.metadata if isinstance(each, Ge | Gt | Le | Lt))
    kind = ", ".join(names)
    return f"{kind} ({bounds})" if bounds else kind


def _members(annotation: Any) -> Iterator[Any]:  # noqa: ANN401
    """The parts of a union, without ``None`` and what annotates them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif annotation is not type(None):
        yield annotation


def _words(member: Any) -> list[str]:  # noqa: ANN401
    origin = get_origin(member)
    if origin is Literal:
        return [f"`{choice}`" for choice in get_args(member)]
    if origin is tuple:
        return ["names with commas between"]
    if origin is dict:
        return ["JSON object"]
    return [_PLAIN.get(member, str(member))]


_PLAIN: Final[dict[Any, str]] = {
    bool: "`true`, `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "text (secret)",
    datetime: "time",
}


def _bound(bound: Ge | Gt | Le | Lt) -> str:
    sign, limit = {
        Ge: ("from", getattr(bound, "ge", None)),
        Gt: ("above", getattr(bound, "gt", None)),
        Le: ("to", getattr(bound, "le", None)),
        Lt: ("below", getattr(bound, "lt", None)),
    }[type(bound)]
    return f"{sign} {limit}"
