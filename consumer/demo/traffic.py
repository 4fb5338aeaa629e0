"""Comment events for the demo: synthetic comments with repeats, empty ones, and a few that are broken on purpose."""

from __future__ import annotations

import enum
import itertools
import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from consumer.demo.comments import LabeledText, comments

REPEATED = 0.20
"""Share of events whose text is a copy of a recent one, as in real chats."""
EMPTY = 0.004
"""Share of events with nothing to read after preprocessing."""
MALFORMED_EVERY = 500
"""One event in each run of this many is malformed."""

_RECENT = 200
_AUTHORS = 400
_NOTHING_TO_READ = ("", " ", "   ", ":fire:", " :clap::clap: ")
_START = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)


class Fate(enum.Enum):
    """What the pipeline must make of an event."""

    LABELED = "labeled"
    SKIPPED = "skipped"
    DEAD_LETTERED = "dead_lettered"


class Event(NamedTuple):
    """One record for the input topic. The key is the author, so an author's comments stay in order."""

    key: bytes
    value: bytes
    fate: Fate


def events(seed: int) -> Iterator[Event]:
    """Yield events without end; the same seed gives the same bytes on every platform."""
    rng = random.Random(seed)
    texts = comments(rng.getrandbits(32))
    recent: deque[str] = deque(maxlen=_RECENT)
    broken_at = 0
    for number in itertools.count():
        if number % MALFORMED_EVERY == 0:
            broken_at = number + rng.randrange(MALFORMED_EVERY)
        text = _next_text(rng, texts, recent)
        fields = _fields(rng, number, text)
        key = str(fields["author"]).encode()
        if number == broken_at:
            spoil = _SPOILS[(number // MALFORMED_EVERY) % len(_SPOILS)]
            yield Event(key, spoil(fields), Fate.DEAD_LETTERED)
        else:
            yield Event(key, _encode(fields), Fate.SKIPPED if text in _NOTHING_TO_READ else Fate.LABELED)


def _next_text(rng: random.Random, texts: Iterator[LabeledText], recent: deque[str]) -> str:
    chance = rng.random()
    if recent and chance < REPEATED:
        return recent[rng.randrange(len(recent))]
    if chance > 1 - EMPTY:
        return rng.choice(_NOTHING_TO_READ)
    text = next(texts).text
    recent.append(text)
    return text


def _fields(rng: random.Random, number: int, text: str) -> dict[str, object]:
    published = _START + timedelta(milliseconds=number * 5)
    return {
        "id": f"demo-{number:07d}",
        "text": text,
        "channel": "demo-court-1",
        "author": f"viewer-{rng.randrange(_AUTHORS):03d}",
        "published_at": published.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _encode(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _cut_short(fields: dict[str, object]) -> bytes:
    return _encode(fields)[:-9]


def _text_is_a_number(fields: dict[str, object]) -> bytes:
    return _encode({**fields, "text": 12345})


def _no_id(fields: dict[str, object]) -> bytes:
    return _encode({name: value for name, value in fields.items() if name != "id"})


def _not_utf8(fields: dict[str, object]) -> bytes:
    return _encode(fields).replace(b'"text":"', b'"text":"\xff\xfe', 1)


def _two_objects(fields: dict[str, object]) -> bytes:
    """A batch decoder that joins values into one array would see two comments here and shift every later label."""
    return _encode(fields) + b"," + _encode(fields)


def _a_list(fields: dict[str, object]) -> bytes:
    return b"[" + _encode(fields) + b"]"


def _lone_surrogate(fields: dict[str, object]) -> bytes:
    return _encode(fields).replace(b'"text":"', b'"text":"\\ud83d', 1)


def _no_text(fields: dict[str, object]) -> bytes:
    return _encode({name: value for name, value in fields.items() if name != "text"})


_SPOILS: tuple[Callable[[dict[str, object]], bytes], ...] = (
    _cut_short,
    _text_is_a_number,
    _no_id,
    _not_utf8,
    _two_objects,
    _a_list,
    _lone_surrogate,
    _no_text,
)
