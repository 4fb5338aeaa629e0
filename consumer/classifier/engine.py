"""What the runner needs from a loaded model. No torch here: the simulation implements this too."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol, Self, TypeVar

from consumer.delivery.records import ModelIdentity


class Activation(enum.Enum):
    """How logits become scores: independent labels, or one of several."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class Tokenized(Protocol):
    """A tokenised batch: one row a text, in the order given."""

    @property
    def truncated(self) -> Sequence[bool]:
        """For each text, whether the model's limit cut it."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens in the whole batch, [CLS] and [SEP] included, padding not."""
        ...

    def __len__(self) -> int: ...

    def select(self, rows: Sequence[int]) -> Self:
        """The same batch with only these rows, in this order."""
        ...


TokenizedT = TypeVar("TokenizedT", bound=Tokenized)


class FailureKind(enum.Enum):
    """What an exception out of the engine means for the batch."""

    OUT_OF_MEMORY = "out_of_memory"  # a smaller batch may pass
    TRANSIENT = "transient"  # the same batch may pass later
    INPUT = "input"  # one of the texts may be to blame
    DEVICE_LOST = "device_lost"  # nothing will pass any more


class Engine(Protocol[TokenizedT]):
    """A loaded, checked classifier on its device."""

    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in logit order."""
        ...

    @property
    def activation(self) -> Activation: ...

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, [CLS] and [SEP] included; longer texts are cut."""
        ...

    def tokenize(self, texts: Sequence[str]) -> TokenizedT:
        """Tokenise preprocessed texts. Called from the tokeniser's thread, while :meth:`logits` may be running."""
        ...

    def logits(self, batch: TokenizedT) -> Sequence[tuple[float, ...]]:
        """One forward pass: for each row the logits in label order, as fp32 values (not finite ones included).

        Raises:
            Exception: whatever the framework raises; :meth:`classify_error` tells what it means.
        """
        ...

    def classify_error(self, error: BaseException) -> FailureKind: ...

    def release_memory(self) -> None:
        """Give cached device memory back, after OUT_OF_MEMORY."""
        ...

    def warm_up(self) -> None:
        """Run the probe batches, so that the first real one meets a warm engine.

        Raises:
            Exception: the model does not work here at all.
        """
        ...
