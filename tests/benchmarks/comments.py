"""What the benchmarks feed: the demo's synthetic comments, or real ones where ``TVL_DATA`` names them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from consumer.demo.comments import comments
from consumer.demo.traffic import events
from tests.support.data import TO_HAVE_IT, find_data, texts_of

AUTHORS = 400


class Sent(NamedTuple):
    """One record for the input topic."""

    key: bytes
    value: bytes


def demo_comments(count: int, seed: int = 5) -> list[Sent]:
    """The demo's traffic: a fifth repeated, one in 250 empty, one in 500 malformed."""
    return [Sent(event.key, event.value) for event in islice(events(seed), count)]


def real_comments(count: int) -> list[Sent]:
    """The real comments in their order, from the start again when they end; about a quarter repeat an earlier one."""
    return [sent_as(number, text) for number, text in zip(range(count), _round(real_texts()), strict=False)]


def distinct_texts(count: int, kind: str) -> list[str]:
    """Texts that are all different, after preprocessing as well."""
    source = iter(real_texts()) if kind == "real" else (comment.text for comment in comments(17))
    found: dict[str, str] = {}
    for text in source:
        found.setdefault("".join(text.lower().split()), text)
        if len(found) == count:
            break
    texts = list(found.values())
    random.Random(3).shuffle(texts)
    return texts


def sent_as(number: int, text: str) -> Sent:
    """The record of one text."""
    author = f"viewer-{number * 7919 % AUTHORS:03d}"
    event = {"id": f"bench-{number:07d}", "text": text, "channel": "court-1", "author": author}
    return Sent(author.encode(), json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())


def real_texts() -> list[str]:
    """Validation comments, then those of the training file."""
    folder = find_data()
    assert folder is not None, f"real comments are not here; {TO_HAVE_IT}"
    return texts_of(folder, "validation") + texts_of(folder, "train")


def _round(texts: list[str]) -> Iterator[str]:
    while True:
        yield from texts
