"""Where a value stands in a record: steps through its JSON, or the name of one of its headers. No I/O.

``snippet.displayMessage`` steps into an object twice. A whole number steps into an array, counted from 0 (and into an
object by that name): ``items.0.text``. A name that holds a dot is quoted as in TOML: ``data."com.example.text"``.
``header:ce_id`` is the record's header of that name; of several the last one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from consumer.delivery.records import Headers

JsonObject: TypeAlias = dict[str, Any]

HEADER: Final = "header:"
MISSING: Final = object()
"""What a path leads to that leads nowhere; ``null`` is something."""

_STEP: Final = re.compile(r"""(?:"([^"]+)"|'([^']+)'|([^."'][^.]*))(\.|\Z)""")
_MAX_INDEX_DIGITS: Final = 6


class Path(NamedTuple):
    """One place. Either there are ``steps``, or there is a ``header``; ``spelled`` is how the settings say it."""

    spelled: str
    steps: tuple[str, ...]
    header: str | None = None


Read: TypeAlias = Callable[[JsonObject, Headers | None], Any]
"""Reads a place out of a parsed value and its record's headers: what is there, or :data:`MISSING`."""


def parse_path(spelled: str) -> Path:
    """Read a path.

    Raises:
        ValueError: it is malformed; the message says what a path is.
    """
    if spelled.startswith(HEADER):
        name = spelled.removeprefix(HEADER)
        if not name or name != name.strip():
            raise ValueError(f"after {HEADER} comes the name of a header, such as {HEADER}ce_id")
        return Path(spelled, (), name)
    steps: list[str] = []
    at = 0
    more = True
    while more:
        step = _STEP.match(spelled, at)
        if step is None:
            raise ValueError("a path is names with single dots between, such as snippet.text; quote one that has a dot")
        quoted: str | None = step[1] or step[2]
        bare: str = step[3] or ""
        if quoted is None and (bare != bare.strip() or bare == "$" or "[" in bare or "]" in bare):
            raise ValueError(
                "a step of a path is a name as it stands in the JSON, or the number of an array's element as in "
                "items.0.text; quote a name with brackets or spaces around it"
            )
        steps.append(quoted or bare)
        at = step.end()
        more = step[4] == "."
    return Path(spelled, tuple(steps))


def reader(path: Path) -> Read:
    """What reads this path, ready for the hot path. A header is text in UTF-8; another one is found as bytes."""
    if path.header is not None:
        return _header_reader(path.header)
    if len(path.steps) == 1:
        (only,) = path.steps
        return lambda event, headers: event.get(only, MISSING)
    steps = path.steps

    def read(event: JsonObject, headers: Headers | None) -> Any:  # noqa: ANN401
        value: Any = event
        for step in steps:
            if type(value) is dict:
                value = value.get(step, MISSING)
            elif type(value) is list and (index := _index(step)) < len(value):
                value = value[index]
            else:
                return MISSING
        return value

    return read


def _header_reader(wanted: str) -> Read:
    def read(event: JsonObject, headers: Headers | None) -> Any:  # noqa: ANN401
        found: Any = MISSING
        for name, content in headers or ():
            if name == wanted:
                found = content
        if type(found) is bytes:
            try:
                return found.decode("utf-8")
            except UnicodeDecodeError:
                return found
        return found

    return read


def _index(step: str) -> int:
    """The element that this step names; beyond any array if it names none."""
    return int(step) if step.isascii() and step.isdigit() and len(step) <= _MAX_INDEX_DIGITS else 2**62


def where_it_stops(path: Path, event: JsonObject, headers: Headers | None) -> str:
    """Why a path leads nowhere, in the path's own words: nothing of the record is quoted.

    Empty where there is nothing to add: a field that is not at the top.
    """
    if path.header is not None:
        return "the headers cannot be read" if headers is None else "there is no such header"
    value: Any = event
    above = ""
    for step in path.steps:
        if type(value) is dict:
            if step not in value:
                return f"no {step} in {above}" if above else f"no {step}" if len(path.steps) > 1 else ""
            value = value[step]
        elif type(value) is list:
            if (index := _index(step)) >= len(value):
                return f"{above} is an array without {step}"
            value = value[index]
        else:
            return f"{above} is no object"
        above = step
    return f"{above} is null"


def exclude_each_other(one: Path, other: Path) -> bool:
    """Whether no record can have text at both, because one goes through the other."""
    shorter, longer = sorted((one.steps, other.steps), key=len)
    return bool(shorter) and shorter != longer and longer[: len(shorter)] == shorter


def nested(values: Iterable[tuple[tuple[str, ...], Any]]) -> JsonObject:
    """An object with these values at these steps; later ones win."""
    event: JsonObject = {}
    for steps, value in values:
        place = event
        for step in steps[:-1]:
            inner = place.get(step)
            if not isinstance(inner, dict):
                place[step] = inner = {}
            place = inner
        place[steps[-1]] = value
    return event
