"""A policy out of the text of a TOML or YAML file. No I/O."""

from __future__ import annotations

import tomllib
from collections.abc import Hashable
from pathlib import PurePath
from typing import Any, Final

import yaml
from pydantic import ValidationError

from consumer.moderation.policy import Policy

MAX_BYTES: Final = 1_000_000
SUFFIXES: Final = (".toml", ".yaml", ".yml")
_FIELDS: Final = ", ".join(Policy.model_fields)


class PolicyError(ValueError):
    """A policy cannot be used: a line for each thing that is wrong with it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def read_policy(name: str, content: bytes) -> Policy:
    """The policy in a file's content; ``name`` is the file's, its suffix says which format.

    Raises:
        PolicyError: it is no policy.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise PolicyError([f"{name}: a policy is a .toml, .yaml or .yml file"])
    if len(content) > MAX_BYTES:
        raise PolicyError([f"{name}: {len(content)} bytes are more than a policy may have ({MAX_BYTES})"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError([f"{name}: it is not UTF-8, at byte {error.start}"]) from None
    values = _toml(name, text) if suffix == ".toml" else _yaml(name, text)
    if not isinstance(values, dict):
        raise PolicyError([f"{name}: it holds no settings of a policy; they are {_FIELDS}"])
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        lines = [f"{name}: {_explain(each['loc'], each['type'], each['msg'])}" for each in error.errors()]
        raise PolicyError(lines) from None


def _toml(name: str, text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([f"{name} is not TOML: {error}"]) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets by the thousand
        raise PolicyError([f"{name} is not TOML of a policy ({type(error).__name__})"]) from None


def _yaml(name: str, text: str) -> object:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (at line {mark.line + 1}, column {mark.column + 1})"
        raise PolicyError([f"{name} is not YAML: {getattr(error, 'problem', None) or error}{where}"]) from None
    except Exception as error:  # PyYAML's constructors raise whatever Python does: KeyError, IndexError, ValueError
        raise PolicyError([f"{name} is not YAML of a policy ({type(error).__name__})"]) from None


class _Loader(yaml.SafeLoader):
    """Plain data only. A key that stands twice is a mistake, not an override, and an alias is a way to a huge file."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", alias.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a name stands before a colon, not a list or a table (a template that was not filled in?)"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
            if key.tag != "tag:yaml.org,2002:str":
                problem = f"{key.value} is not read as a name; put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _explain(location: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(step) for step in location if step != "[key]")
    if kind == "extra_forbidden":
        return f"{where}: there is no such setting of a policy"
    message = message.removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
