"""Runs a tokenised batch whatever happens to it: out of memory, a text that breaks the model, a broken model.

No torch here: what an exception means is the engine's to say.

* Out of memory: cached memory is given back, the batch is halved and run again; later batches stay under the size
  that passed. One text that does not fit alone is treated as an input that fails.
* Transient: the same batch again, with back-off, a few times; a lone text another few times after the probe has passed.
* An input that fails: the batch is bisected. With one culprit among ``n`` texts that takes at most
  ``2 * log2(n) + 1`` forward passes beyond the first, the probe included: a half that passes proves the other
  guilty without a pass of its own, and a text is only ever accused by failing alone.
* A culprit is a culprit only if a sibling passed and the probe (the engine's warm-up) still passes. Otherwise the
  model is broken: nothing is dead-lettered, the program stops. In a batch of very few texts all may be culprits; there
  the probe's texts are the siblings, because a stop would meet the same few again after the restart, for ever. The
  limit on model-stage dead letters in a row bounds what a model that fails on everything but its probe can do.
* A logit that is not finite is a failure of its text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from consumer.classifier.engine import Engine, FailureKind, TokenizedT
from consumer.delivery.errors import ModelBroken
from consumer.delivery.records import Failure, Stage, Verdict

TRANSIENT_ATTEMPTS = 4
TRANSIENT_BACKOFF = wait_exponential(multiplier=0.1, max=2.0)  # seconds
FEW_TEXTS = 4  # up to here, a batch in which every text fails may be nothing but culprits


@dataclass(slots=True)
class Tally:
    """What the runner did since it was made; only ever grows. Read from other threads for metrics."""

    forwards: int = 0
    out_of_memory: int = 0
    bisections: int = 0
    culprits: int = 0


class Runner(Generic[TokenizedT]):
    """Turns tokenised batches into verdicts. Used by one thread."""

    def __init__(self, engine: Engine[TokenizedT], sleep: Callable[[float], None]) -> None:
        self._engine = engine
        self._max_tokens: int | None = None  # no forward pass is larger, once memory has run out
        self.tally = Tally()
        self._again = Retrying(
            stop=stop_after_attempt(TRANSIENT_ATTEMPTS),
            wait=TRANSIENT_BACKOFF,
            retry=retry_if_exception(lambda e: engine.classify_error(e) is FailureKind.TRANSIENT),
            sleep=sleep,
            reraise=True,
        )

    @property
    def max_tokens(self) -> int | None:
        """The size in tokens that forward passes are held to since memory ran out; ``None`` if it never did."""
        return self._max_tokens

    def run(self, batch: TokenizedT) -> list[Verdict | Failure]:
        """Return a verdict or a failure for each row of ``batch``, in order.

        Raises:
            ModelBroken: no text of the batch is to blame.
        """
        verdicts: list[Verdict | Failure | None] = [None] * len(batch)
        for rows in self._portions(batch):
            self._solve(batch, rows, verdicts)
        failed = sum(isinstance(verdict, Failure) for verdict in verdicts)
        if failed:
            self._judge(failed, len(batch))
        answers = [verdict for verdict in verdicts if verdict is not None]
        assert len(answers) == len(batch), "a text was left without an answer"
        return answers

    def _portions(self, batch: TokenizedT) -> list[list[int]]:
        """The whole batch, or after memory ran out pieces of it that fit; a text that does not is a piece alone."""
        pieces: list[list[int]] = []
        rest = [list(range(len(batch)))] if len(batch) else []
        while rest:
            rows = rest.pop()
            if self._max_tokens is None or len(rows) == 1 or batch.select(rows).tokens <= self._max_tokens:
                pieces.append(rows)
            else:
                rest += reversed(_halves(rows))
        return pieces

    def _solve(self, batch: TokenizedT, rows: list[int], verdicts: list[Verdict | Failure | None]) -> None:
        error = self._forward(batch, rows, verdicts)
        if error is None:
            return
        if len(rows) > 1 and self._engine.classify_error(error) is FailureKind.OUT_OF_MEMORY:
            for half in _halves(rows):
                self._solve(batch, half, verdicts)
        else:
            self._bisect(batch, rows, error, verdicts)

    def _bisect(
        self, batch: TokenizedT, rows: list[int], error: Exception, verdicts: list[Verdict | Failure | None]
    ) -> None:
        """Find who makes ``rows`` fail, knowing that together they do."""
        if len(rows) == 1:
            if self._engine.classify_error(error) is FailureKind.TRANSIENT:
                # Not the text's fault by its own word: the model is asked, and if it works now, so may the text.
                self._probe()
                again = self._forward(batch, rows, verdicts)
                if again is None:
                    return
                error = again
            verdicts[rows[0]] = Failure(type(error).__name__, "the model fails on this text", Stage.MODEL)
            return
        self.tally.bisections += 1
        left, right = _halves(rows)
        left_error = self._forward(batch, left, verdicts)
        if left_error is None and len(right) > 1:
            self._bisect(batch, right, error, verdicts)
            return
        right_error = self._forward(batch, right, verdicts)
        if left_error is not None and right_error is not None:
            self._probe()  # several culprits are rare, a broken model is not: ask before going on for long
        if left_error is not None:
            self._bisect(batch, left, left_error, verdicts)
        if right_error is not None:
            self._bisect(batch, right, right_error, verdicts)

    def _forward(
        self, batch: TokenizedT, rows: list[int], verdicts: list[Verdict | Failure | None]
    ) -> Exception | None:
        """Run ``rows`` and note their verdicts, or return why that failed."""
        selected = batch if len(rows) == len(batch) else batch.select(rows)
        self.tally.forwards += 1
        try:
            logits = self._again(self._engine.logits, selected)
        except Exception as error:
            kind = self._engine.classify_error(error)
            if kind is FailureKind.DEVICE_LOST:
                raise ModelBroken(
                    f"the model's device is gone ({type(error).__name__}); nothing of the batch was committed. "
                    "Restart the process; if it recurs, look at the device's driver log."
                ) from error
            if kind is FailureKind.OUT_OF_MEMORY:
                self.tally.out_of_memory += 1
                self._engine.release_memory()
                if len(rows) > 1:
                    half = max(1, selected.tokens // 2)
                    self._max_tokens = half if self._max_tokens is None else min(half, self._max_tokens)
            return error
        identity = self._engine.identity
        for row, values, truncated in zip(rows, logits, selected.truncated, strict=True):
            verdicts[row] = (
                Verdict(values, truncated, identity)
                if all(map(math.isfinite, values))
                else Failure("NonFiniteLogit", "the model's answer to this text is not finite", Stage.MODEL)
            )
        return None

    def _judge(self, failed: int, texts: int) -> None:
        """Accept the culprits, or find the model broken."""
        if texts > FEW_TEXTS and failed == texts:
            raise ModelBroken(
                f"the model failed on all {texts} texts of a batch; none of them was dead-lettered. "
                "Check the model folder and the device, then restart."
            )
        self._probe()
        self.tally.culprits += failed

    def _probe(self) -> None:
        """See whether the model works at all."""
        try:
            self._engine.warm_up()
        except Exception as error:
            raise ModelBroken(
                f"the model fails on its own probe ({type(error).__name__}); nothing was dead-lettered. "
                "Check the model folder and the device, then restart."
            ) from error


def _halves(rows: list[int]) -> tuple[list[int], list[int]]:
    middle = (len(rows) + 1) // 2
    return rows[:middle], rows[middle:]
