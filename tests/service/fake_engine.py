"""An engine that a test can hold, and that fails where it is told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumer.classifier.engine import Activation, FailureKind
from consumer.delivery.records import ModelIdentity


@dataclass(frozen=True)
class Batch:
    texts: tuple[str, ...]

    @property
    def truncated(self) -> Sequence[bool]:
        return [False] * len(self.texts)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.texts)) + 2 * len(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Sequence[int]) -> Batch:
        return Batch(tuple(self.texts[row] for row in rows))


@dataclass
class FakeEngine:
    """A text's one logit is its length. ``unreadable`` texts break the tokeniser, ``poison`` texts the model."""

    unreadable: frozenset[str] = frozenset()
    poison: frozenset[str] = frozenset()
    warm_up_error: Exception | None = None
    tokenizer_gate: threading.Event = field(default_factory=threading.Event)
    model_gate: threading.Event = field(default_factory=threading.Event)
    tokenizing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    running: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    threads: dict[str, str] = field(default_factory=dict)
    identity: ModelIdentity = field(default_factory=lambda: ModelIdentity("fake", "1", "00"))
    labels: tuple[str, ...] = ("Length",)
    activation: Activation = Activation.SIGMOID
    max_tokens: int = 512

    def __post_init__(self) -> None:
        self.tokenizer_gate.set()
        self.model_gate.set()

    def tokenize(self, texts: Sequence[str]) -> Batch:
        self.threads["tokenize"] = threading.current_thread().name
        self.tokenizing.release()
        assert self.tokenizer_gate.wait(10)
        if self.unreadable.intersection(texts):
            raise UnicodeError("cannot read")
        return Batch(tuple(texts))

    def logits(self, batch: Batch) -> Sequence[tuple[float, ...]]:
        self.threads["logits"] = threading.current_thread().name
        self.running.release()
        assert self.model_gate.wait(10)
        if self.poison.intersection(batch.texts):
            raise ArithmeticError("cannot label")
        return [(float(len(text)),) for text in batch.texts]

    def classify_error(self, error: BaseException) -> FailureKind:
        return FailureKind.INPUT

    def release_memory(self) -> None:
        pass

    def warm_up(self) -> None:
        self.threads["warm_up"] = threading.current_thread().name
        if self.warm_up_error is not None:
            raise self.warm_up_error
