"""Records that somebody wrote to do harm, or by mistake: seeded, so that a run can be had again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.events.test_hostile_input import FAILING, SECRET

Fate = Literal["labeled", "skipped", "tombstone", "dead", "any"]
"""What must become of a record; ``any`` is one of them, whichever."""

LARGE = 10_000  # bytes; of larger values there are few
_NAMES = ("traceparent", "dlq.attempt", "content-type", "", "a\r\nb", "名", "x" * 2000)

_PARTS = (
    *("\x00", "\u202e", "\u200d", "\u200b", "\ufffd", "\r\n", "%s%n", "{0}", "<script>"),
    *("🔥" * 20, "加油", "a" * 600, SECRET),
)
_DAMAGE = (b'"', b"{", b"}", b"\\", b"\\ud800", b"\xff", b",", b"[" * 40)


@dataclass(frozen=True)
class Hostile:
    """One record. ``raw_header`` is a header's name that is no text."""

    kind: str
    fate: Fate
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    raw_header: bytes | None = None


def hostile_records(count: int, seed: int, large: int) -> list[Hostile]:
    """So many records, ``large`` of each kind of large ones among them, in random order."""
    dice = random.Random(seed)
    records = [each for kind in _large() for each in [kind] * large]
    records += [_with_raw_header(dice) for _ in range(20)]
    small = _small(dice)
    while len(records) < count:
        record = next(small)
        records += [record] * (3 if dice.random() < 0.02 else 1)  # some come again, key and all
    del records[count:]
    dice.shuffle(records)
    return records


def _large() -> Iterator[Hostile]:
    for kind, value in FAILING.items():
        if LARGE < len(value) < 900_000:
            yield Hostile(kind, "dead", value, b"large")
    comment = _comment("fine")
    yield Hostile("900 kB of text", "dead", _comment(SECRET * 64_000), b"k")
    yield Hostile("a text near the limit", "labeled", _comment(SECRET * 18_000), b"k")
    yield Hostile("a key of 100 kB", "labeled", comment, SECRET.encode() * 7_000)
    yield Hostile("a key that leaves no room for an output", "dead", comment, b"k" * 1_000_000)
    yield Hostile("a header of 100 kB", "labeled", comment, b"k", ((SECRET, SECRET.encode() * 7_000),))
    yield Hostile("a header of 100 kB, and no comment", "dead", b"{", b"k", ((SECRET, SECRET.encode() * 7_000),))
    yield Hostile("5,000 headers", "dead", b"[]", b"k", tuple((f"h{n}", SECRET.encode()) for n in range(5_000)))


def _small(dice: random.Random) -> Iterator[Hostile]:
    failing = [(kind, value) for kind, value in FAILING.items() if len(value) <= LARGE]
    number = 0
    while True:
        number += 1
        key = dice.choice([None, b"", dice.randbytes(8), SECRET.encode(), b"\xff\x00\r\n"])
        headers = tuple((dice.choice(_NAMES), dice.choice([None, b"", dice.randbytes(20)])) for _ in range(number % 3))
        chance = dice.random()
        if chance < 0.35:
            kind, value = dice.choice(failing)
            yield Hostile(kind, "dead", value, key, headers)
        elif chance < 0.65:
            yield Hostile("damaged", "any", _damaged(dice, number), key, headers)
        elif chance < 0.75:
            yield Hostile("any bytes", "dead", b"\xfe" + dice.randbytes(dice.randrange(200)), key, headers)
        elif chance < 0.8:
            yield Hostile("deleted", "tombstone", None, f"{SECRET}-{number}".encode(), headers)
        elif chance < 0.83:
            yield Hostile("nothing to read", "skipped", _comment(dice.choice(("", "  ", "\n\t"))), key, headers)
        else:
            yield Hostile("odd, but a comment", "any", _comment(_odd_text(dice), number), key, headers)


def _with_raw_header(dice: random.Random) -> Hostile:
    name = dice.choice([b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\x80" * 300])
    if dice.random() < 0.5:
        return Hostile("a header whose name is no text", "labeled", _comment("fine"), raw_header=name)
    return Hostile("a header whose name is no text, and no comment", "dead", b"no json", raw_header=name)


def _comment(text: str, number: int = 0) -> bytes:
    return json.dumps({"id": f"{SECRET}-{number}", "text": text, "author": SECRET}, ensure_ascii=False).encode()


def _odd_text(dice: random.Random) -> str:
    return "".join(dice.choice(_PARTS) for _ in range(dice.randrange(1, 6)))


def _damaged(dice: random.Random, number: int) -> bytes:
    """A comment's JSON, cut, doubled, overwritten or filled up somewhere."""
    value = bytearray(_comment(_odd_text(dice), number))
    for _ in range(dice.randrange(1, 4)):
        start = dice.randrange(len(value) + 1)
        end = min(len(value), start + dice.randrange(10))
        value[start:end] = dice.choice((*_DAMAGE, dice.randbytes(4)))
    return bytes(value)
