"""The words and sentence patterns of the synthetic live chat, read from ``phrases.toml`` beside this file."""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Topic(enum.IntEnum):
    """The four labels, in the order of the model's logits."""

    CHEER = 0
    GAME = 1
    BROADCAST = 2
    CHAT = 3


class Patterns(NamedTuple):
    """Sentences about these topics. ``weight`` says how often the topics come up; all weights make one."""

    topics: frozenset[Topic]
    weight: float
    sentences: Sequence[str]


class Phrases(NamedTuple):
    """Everything a comment is made of."""

    surnames: str
    given: str
    particles: Sequence[str]
    marks: Sequence[str]
    shortcodes: Sequence[str]
    mistyped: Mapping[str, str]
    emoji: Mapping[Topic, Sequence[str]]
    slots: Mapping[str, Sequence[str]]
    patterns: Mapping[frozenset[Topic], Patterns]


@cache
def phrases() -> Phrases:
    """Read the file that ships with the package."""
    content = tomllib.loads(files("consumer.demo").joinpath("phrases.toml").read_text(encoding="utf-8"))
    patterns = [
        Patterns(frozenset(Topic[name.upper()] for name in entry["topics"]), entry["weight"], entry["patterns"].split())
        for entry in content["patterns"]
    ]
    return Phrases(
        surnames=content["surnames"],
        given=content["given"],
        particles=content["particles"].split(),
        marks=content["marks"].split(),
        shortcodes=content["shortcodes"].split(),
        mistyped=dict(zip(content["meant"], content["mistyped"], strict=True)),
        emoji={topic: content["emoji"][topic.name.lower()].split() for topic in Topic},
        slots={name: words.split() for name, words in content["slots"].items()},
        patterns={entry.topics: entry for entry in patterns},
    )
