"""Every setting with its value and where that came from, for people, as JSON, and as a TOML file. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, SecretStr
from rich.table import Table
from rich.text import Text

from consumer.settings.loading import Layer, group_of, spell

HIDDEN: Final = "(hidden)"
_SECRET_OPTION: Final = re.compile(r"password|secret|token|\.pem$|\.key$|oauthbearer|jaas|credential", re.IGNORECASE)


class Shown(NamedTuple):
    """One setting. ``value`` holds no secret; ``is_secret`` says that it stands for one. ``origin`` is in words."""

    name: str
    value: object
    origin: str
    is_secret: bool = False


def show_settings(settings: BaseModel, layers: Sequence[Layer]) -> list[Shown]:
    """Every setting of this model, in its order; ``layers`` are those it was made of, the strongest first."""
    return list(_shown(settings, layers, ""))


def _shown(model: BaseModel, layers: Sequence[Layer], above: str) -> Iterator[Shown]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if group_of(field) is not None:
            yield from _shown(value, layers, f"{above}{name}.")
            continue
        dotted = above + name
        origin = _origin(dotted, layers)
        file = getattr(model, f"{name}_file", None)
        if isinstance(value, SecretStr):
            if origin == "default" and file is not None:
                origin = f"file {file} ({dotted}_file)"
            yield Shown(dotted, HIDDEN, origin, True)
        elif isinstance(value, dict):
            yield Shown(dotted, _without_secrets(value), origin, any(map(_SECRET_OPTION.search, value)))
        else:
            yield Shown(dotted, _plain(value), origin)


def _origin(name: str, layers: Sequence[Layer]) -> str:
    """Where a setting came from; of a map, all places that it was put together from."""
    origins = []
    for layer in layers:
        value: Any = layer.values
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is None:
            continue
        origins.append(_place(layer, name))
        if not isinstance(value, Mapping):
            break
    return " and ".join(origins) or "default"


def _place(layer: Layer, name: str) -> str:
    if layer.kind == "flag":
        return f"flag {spell(name, 'flag')}"
    if layer.kind == "environment":
        return f"environment {spell(name, 'variable')}"
    return f"{layer.kind} {layer.place}"


def _without_secrets(values: Mapping[str, object]) -> dict[str, object]:
    return {key: HIDDEN if _SECRET_OPTION.search(key) else _plain(value) for key, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


# ---- Forms -----------------------------------------------------------------------------------------------------------


def as_table(shown: Iterable[Shown]) -> Table:
    """For people: what was not left at its default stands out."""
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for each in shown:
        style = "dim" if each.origin == "default" else ""
        table.add_row(Text(each.name, style), Text(_spelled(each.value), style), Text(each.origin, style))
    return table


def as_json(shown: Iterable[Shown]) -> dict[str, dict[str, object]]:
    """By dotted name: value and origin."""
    return {each.name: {"value": each.value, "from": each.origin} for each in shown}


def as_toml(shown: Iterable[Shown]) -> str:
    """A file for ``--config`` that gives these settings; secrets and what has no value are left out as comments."""
    lines: list[str] = []
    section = ""
    for name, value, origin, is_secret in shown:
        above, _, key = name.rpartition(".")
        if not above and key in ("config", "preset"):
            lines.append(f"# {key} = {_toml(value)}  # {origin}; its settings are all below" if value else f"# {key} =")
            continue
        if above != section:
            section = above
            lines += ["", f"[{section}]"]
        if is_secret:
            lines.append(f"# {key} = hidden  # {origin}")
        elif value is None:
            lines.append(f"# {key} =  # not set")
        else:
            lines.append(f"{key} = {_toml(value)}  # {origin}")
    return "\n".join(lines) + "\n"


def _spelled(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
