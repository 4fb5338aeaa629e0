"""Mappings in TOML files: those that are shipped, by name, and those of an operator. Read once, at start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from consumer.events.mapping import FIELDS, REQUIRED, FieldMapping, Kinds, Paths

FOLDER: Final = resources.files("consumer.events") / "mappings"
SUFFIX: Final = ".toml"
_KIND: Final = ("path", "comments", "deletions", "deleted_id", "optional")


def mapping_names() -> list[str]:
    """The names of the shipped mappings."""
    return sorted(file.name.removesuffix(SUFFIX) for file in FOLDER.iterdir() if file.name.endswith(SUFFIX))


def check_name(name: str) -> None:
    """Refuse what is neither a shipped mapping nor a file's path; the file itself is not looked at.

    Raises:
        ValueError: there is no such mapping.
    """
    if not name.endswith(SUFFIX) and name not in mapping_names():
        raise ValueError(
            f"there is no such mapping; there are {', '.join(mapping_names())}, and any file that ends with {SUFFIX}"
        )


def load_mapping(name: str) -> FieldMapping:
    """A shipped mapping by its name, or one in a file by its path, which ends with ``.toml``.

    Raises:
        ValueError: there is none, it cannot be read, or is wrong; the message says where.
    """
    check_name(name)
    try:
        if name.endswith(SUFFIX):
            text = Path(name).read_text(encoding="utf-8")
        else:
            text = (FOLDER / (name + SUFFIX)).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} cannot be read ({type(error).__name__})") from None
    try:
        return parse_mapping(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse_mapping(text: str) -> FieldMapping:
    """A mapping out of TOML: ``[fields]`` with a path or several for each field, and maybe ``[kind]``.

    A field that is not named is not read.

    Raises:
        ValueError: it is not TOML, a name is unknown, or a path is malformed.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML: {error}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets by the thousand
        raise ValueError(f"it is not TOML of a mapping ({type(error).__name__})") from None
    _only(tables, ("fields", "kind"), "")
    given = _table(tables, "fields")
    _only(given, FIELDS, "fields.")
    for name in REQUIRED:
        if name not in given:
            raise ValueError(f"fields.{name} is missing: a comment must have it")
    paths: dict[str, Any] = dict.fromkeys(FIELDS) | {name: _paths(f"fields.{name}", given[name]) for name in given}
    return FieldMapping(**paths, kinds=_kinds(_table(tables, "kind")) if "kind" in tables else None)


def _kinds(table: Mapping[str, object]) -> Kinds:
    _only(table, _KIND, "kind.")
    optional = table.get("optional", False)
    if not isinstance(optional, bool):
        raise ValueError("kind.optional is true or false")
    if "path" not in table:
        raise ValueError("kind.path is missing: where a record says what it is")
    return Kinds(
        path=_paths("kind.path", table["path"]),
        comments=_names("kind.comments", table.get("comments", [])),
        deletions=_names("kind.deletions", table.get("deletions", [])),
        deleted_id=_paths("kind.deleted_id", table["deleted_id"]) if "deleted_id" in table else None,
        optional=optional,
    )


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, object]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"[{name}] is a table")
    return table


def _only(table: Mapping[str, object], known: tuple[str, ...], above: str) -> None:
    for name in table:
        if name not in known:
            raise ValueError(f"{above}{name} is unknown; there are {', '.join(known)}")


def _paths(name: str, value: object) -> Paths:
    if not isinstance(value, str | list):
        raise ValueError(f"{name} is a path, or a list of paths")
    return value if isinstance(value, str) else _names(name, value)


def _names(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is a list of texts")
    return tuple(value)
