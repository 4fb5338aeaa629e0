"""Verdicts seen before, bounded, keyed by text and model. No I/O.

Live chat repeats itself (about a quarter of comments repeat an earlier one). What is kept is the model's logits, not
labels: thresholds and policy are applied afterwards and may change at any time. The text itself is not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from consumer.delivery.records import Verdict


def result_key(text: str, model_digest: str) -> bytes:
    """16 bytes that stand for this text under this model: BLAKE2b, personalised by the model's digest."""
    return blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=16, key=model_digest.encode("ascii")[:64]
    ).digest()


class ResultCache:
    """The most recently used verdicts, at most ``max_entries`` of them; 0 keeps none."""

    def __init__(self, max_entries: int) -> None:
        if max_entries < 0:
            raise ValueError("a cache holds 0 entries or more")
        self._max_entries = max_entries
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verdicts)

    def find(self, key: bytes) -> Verdict | None:
        verdict = self._verdicts.get(key)
        if verdict is not None:
            self._verdicts.move_to_end(key)
        return verdict

    def keep(self, key: bytes, verdict: Verdict) -> None:
        if self._max_entries == 0:
            return
        self._verdicts[key] = verdict
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._max_entries:
            self._verdicts.popitem(last=False)
