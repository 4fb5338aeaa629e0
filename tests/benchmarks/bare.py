"""The bare packed forward: the engine alone, on the batches that the program would close, without Kafka around it.

``python -m tests.benchmarks.bare --model DIR --texts FILE ...`` prints one JSON object. A process of its own, so that
threads, allocator and affinity are as in the program's.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.loading import load_engine
from consumer.delivery.batcher import Batcher, BatchPolicy


class _Row:
    received_at = 0.0

    def __init__(self, text: str, tokens: int) -> None:
        self.text = text
        self.tokens = tokens


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-comments", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    given = parser.parse_args()
    checkpoint = Checkpoint.open(given.model, preprocessing="seed")
    engine = load_engine(checkpoint, dtype=given.dtype, threads=given.threads)
    batcher: Batcher[_Row] = Batcher(BatchPolicy(given.max_comments, given.max_tokens, 0.0))
    for text in map(checkpoint.preprocess, json.loads(given.texts.read_text("utf-8"))):
        batcher.add(_Row(text, min(len(text) + 2, engine.max_tokens)))
    batches = []
    while (closed := batcher.close(0.0, idle=True)) is not None:
        batches.append(engine.tokenize([row.text for row in closed.rows]))
    engine.warm_up()
    texts = sum(len(batch) for batch in batches)
    skipped = len(batches) // 10  # as of the path: the first tenth warms up
    for batch in batches[:skipped]:
        engine.logits(batch)
    began = time.perf_counter()
    for batch in batches[skipped:]:
        engine.logits(batch)
    seconds = time.perf_counter() - began
    counted = texts - sum(len(batch) for batch in batches[:skipped])
    tokens = sum(batch.tokens for batch in batches[skipped:])
    print(json.dumps({"per_second": counted / seconds, "tokens_per_second": tokens / seconds, "batches": len(batches)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
