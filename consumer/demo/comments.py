"""Synthetic live-chat comments whose labels are known because of how they were made.

The same seed gives the same comments on every platform: the only source of chance is :class:`random.Random`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from consumer.demo.phrases import Topic, phrases

MAX_CHARACTERS = 200
LABELS = tuple(topic.name.capitalize() for topic in Topic)
"""Label names in the order of the model's logits."""

_CHATTER = frozenset({Topic.CHAT})


class LabeledText(NamedTuple):
    """A comment and its true labels."""

    text: str
    topics: frozenset[Topic]

    @property
    def targets(self) -> tuple[int, ...]:
        """One 0 or 1 a label, in label order."""
        return tuple(int(topic in self.topics) for topic in Topic)


def comments(seed: int) -> Iterator[LabeledText]:
    """Yield comments without end. No text is empty or longer than :data:`MAX_CHARACTERS` characters."""
    writer = _Writer(random.Random(seed))
    while True:
        yield writer.write()


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = phrases()
        self._topics = tuple(self._words.patterns)
        self._edges = tuple(accumulate(entry.weight for entry in self._words.patterns.values()))

    def write(self) -> LabeledText:
        topics = self._draw_topics()
        text = self._decorate(self._mistype(self._compose(topics)), topics)
        return LabeledText(text[:MAX_CHARACTERS], topics)

    def _draw_topics(self) -> frozenset[Topic]:
        point = self._rng.random() * self._edges[-1]
        return next(topics for topics, edge in zip(self._topics, self._edges, strict=True) if point < edge)

    def _compose(self, topics: frozenset[Topic]) -> str:
        """Write fragments about the topics until the comment is about as long as live comments are."""
        rng = self._rng
        wanted = self._draw_length()
        fragments = [self._first_fragment(topics, wanted)]
        while sum(map(len, fragments)) < wanted * 0.75:
            if rng.random() < 0.35:
                fragments.append(fragments[-1])  # live chat says everything twice
            else:
                # chatter belongs to no other topic, so it may stand beside any of them
                fragments.append(self._fragment(_CHATTER if rng.random() < 0.3 else topics))
        return fragments[0] + "".join(rng.choice(("", "", " ", "，", "　", "！")) + text for text in fragments[1:])

    def _draw_length(self) -> float:
        """Characters wanted: most comments are a few, one in twenty is a small speech."""
        if self._rng.random() < 0.05:
            return self._rng.lognormvariate(3.5, 0.5)
        return self._rng.lognormvariate(1.5, 0.62)

    def _first_fragment(self, topics: frozenset[Topic], wanted: float) -> str:
        """Prefer a fragment that is no longer than wanted; after a few tries take the shortest."""
        tried: list[str] = []
        for _ in range(6):
            tried.append(self._fragment(topics))
            if len(tried[-1]) <= wanted + 1:
                return tried[-1]
        return min(tried, key=len)

    def _fragment(self, topics: frozenset[Topic]) -> str:
        pieces = self._rng.choice(self._words.patterns[topics].sentences).replace("}", "{").split("{")
        return "".join(self._slot(piece) if i % 2 else piece for i, piece in enumerate(pieces))

    def _slot(self, name: str) -> str:
        rng = self._rng
        match name:
            case "player":
                return self._player()
            case "viewer":
                given, surnames = self._words.given, self._words.surnames
                ending = rng.choice(("醬", "桑", "仔", "粉", "迷", "爸", "媽", ""))
                return rng.choice(given) + rng.choice(given + surnames) + ending
            case "number":
                return str(rng.randint(1, 99))
            case "score":
                low, high = sorted((rng.randint(0, 25), rng.randint(8, 27)))
                return f"{high}{rng.choice(('比', '-', ':', '：', ' '))}{low}"
        return rng.choice(self._words.slots[name])

    def _player(self) -> str:
        rng = self._rng
        given = rng.choice(self._words.given) + rng.choice(self._words.given)
        kind = rng.randrange(6)
        if kind < 2:
            return rng.choice(self._words.surnames) + given
        if kind < 4:
            return given
        if kind == 4:
            return rng.choice("小阿") + given[0]
        return given[0] + rng.choice(("哥", "姐", "妹", "神", "寶"))

    def _mistype(self, text: str) -> str:
        """Now and then hit the wrong key: a like-sounding character, a lost one, two swapped."""
        rng = self._rng
        if rng.random() < 0.12:
            places = [i for i, character in enumerate(text) if character in self._words.mistyped]
            for i in rng.sample(places, min(2, len(places))):
                text = text[:i] + self._words.mistyped[text[i]] + text[i + 1 :]
        if len(text) > 2 and rng.random() < 0.06:
            i = rng.randrange(len(text) - 1)
            middle = "" if rng.random() < 0.5 else text[i + 1] + text[i]
            text = text[:i] + middle + text[i + 2 if middle else i + 1 :]
        return text

    def _decorate(self, text: str, topics: frozenset[Topic]) -> str:
        """Add what live comments are full of: particles, drawn-out endings, marks, emoji, shortcodes, stray spaces."""
        rng = self._rng
        if rng.random() < 0.15:
            text += rng.choice(self._words.particles)
        if rng.random() < 0.10:
            text += text[-1] * rng.randint(1, 6)
        if rng.random() < 0.18:
            text += rng.choice(self._words.marks)
        if rng.random() < 0.14:
            text = self._add_emoji(text, topics)
        if rng.random() < 0.03:
            text += rng.choice(("", " ")) + rng.choice(self._words.shortcodes) * rng.randint(1, 3)
        if rng.random() < 0.06:
            i = rng.randrange(len(text))
            text = text[:i] + " " + text[i:]
        if rng.random() < 0.25:
            text = text.upper()
        return text

    def _add_emoji(self, text: str, topics: frozenset[Topic]) -> str:
        """Emoji tell the topic only sometimes; a laughing face goes with everything."""
        rng = self._rng
        topic = rng.choice(sorted(topics)) if rng.random() < 0.6 else Topic.CHAT
        emoji = self._words.emoji[topic]
        run = "".join(rng.choice(emoji) for _ in range(rng.randint(1, 2))) * rng.randint(1, 3)
        return run + text if rng.random() < 0.15 else text + run
