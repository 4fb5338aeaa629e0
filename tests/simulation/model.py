"""A model that is a function of the text and its own generation, with faults on command. Driven by the real runner."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from consumer.classifier.engine import Activation, FailureKind
from consumer.delivery.records import ModelIdentity
from tests.simulation.scenario import Scenario


class Poison(Exception):
    """A text the model cannot take."""


class OutOfMemory(Exception):
    """The batch was too large."""


class Hiccup(Exception):
    """It would pass if tried again."""


class Broken(Exception):
    """Nothing passes any more."""


def oracle(generation: int, text: str) -> float:
    """The one right logit."""
    return float((hash_of(text) * 31 + generation * 7919) % 1009)


def hash_of(text: str) -> int:
    """A hash that does not depend on the interpreter's seed."""
    value = 0
    for character in text:
        value = (value * 131 + ord(character)) % 1_000_003
    return value


def identity(generation: int) -> ModelIdentity:
    return ModelIdentity("simulated", str(generation), f"{generation:064d}")


@dataclass(frozen=True)
class Texts:
    """A 'tokenised' batch: the texts themselves, a token a character."""

    texts: tuple[str, ...]

    @property
    def truncated(self) -> Sequence[bool]:
        return [False] * len(self.texts)

    @property
    def tokens(self) -> int:
        return sum(len(text) + 2 for text in self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Sequence[int]) -> Texts:
        return Texts(tuple(self.texts[row] for row in rows))


class FakeEngine:
    """Implements :class:`consumer.classifier.engine.Engine`."""

    labels = ("only",)
    activation = Activation.SIGMOID
    max_tokens = 512

    def __init__(self, scenario: Scenario, rng: random.Random, happened: Counter[str]) -> None:
        self._scenario = scenario
        self._rng = rng
        self._happened = happened
        self.generation = 0
        self.healed = False
        self.broken = False

    @property
    def identity(self) -> ModelIdentity:
        return identity(self.generation)

    def tokenize(self, texts: Sequence[str]) -> Texts:
        return Texts(tuple(texts))

    def logits(self, batch: Texts) -> Sequence[tuple[float, ...]]:
        if not self.healed:
            self.broken = self.broken or self._rng.random() < self._scenario.model_breaks
            if self._rng.random() < self._scenario.model_hiccup:
                self._happened["transient model error"] += 1
                raise Hiccup
        if self.broken:
            self._happened["broken model"] += 1
            raise Broken
        if len(batch) > 1 and batch.tokens > self._scenario.memory_tokens:
            self._happened["out of memory"] += 1
            raise OutOfMemory
        if any("poison" in text for text in batch.texts):
            raise Poison
        return [(float("nan") if "nan" in text else oracle(self.generation, text),) for text in batch.texts]

    def classify_error(self, error: BaseException) -> FailureKind:
        if isinstance(error, OutOfMemory):
            return FailureKind.OUT_OF_MEMORY
        return FailureKind.TRANSIENT if isinstance(error, Hiccup) else FailureKind.INPUT

    def release_memory(self) -> None:
        pass

    def warm_up(self) -> None:
        if self.broken:
            raise Broken
