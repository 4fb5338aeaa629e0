"""Train a small BERT from scratch on the CPU, to the same bits each time on one machine."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from consumer.training.scores import Scores, score

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

THREADS = 2
"""Part of the result: sums over threads are taken in an order that their number decides."""

_BATCHES_SORTED_TOGETHER = 40


class Encoded(NamedTuple):
    """Token ids of each text, [CLS] and [SEP] included, and its targets."""

    tokens: Sequence[Sequence[int]]
    targets: Sequence[Sequence[int]]


class Recipe(NamedTuple):
    """How to train. ``unknown_rate`` is the share of tokens hidden as [UNK], so that unseen characters mean little."""

    seed: int
    epochs: int
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup: float = 0.15
    unknown_rate: float = 0.02


def make_deterministic(seed: int) -> None:
    """Fix the number of threads, the algorithms and every source of chance of this process."""
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def fit(model: BertForSequenceClassification, data: Encoded, recipe: Recipe, unknown_id: int) -> None:
    """Train the model in place with AdamW under a one-cycle learning rate."""
    rng = random.Random(recipe.seed)
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    plain = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    steps = recipe.epochs * math.ceil(len(data.tokens) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _one_cycle(step / steps, recipe.warmup))
    model.train()
    for _ in range(recipe.epochs):
        for rows in _shuffled_batches(data.tokens, recipe.batch_size, rng):
            ids, mask = _padded([data.tokens[row] for row in rows])
            hidden = (torch.rand(ids.shape) < recipe.unknown_rate) & mask
            hidden[:, 0] = False
            logits = model(input_ids=ids.masked_fill(hidden, unknown_id), attention_mask=mask.long()).logits
            targets = torch.tensor([data.targets[row] for row in rows], dtype=torch.float32)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


def _one_cycle(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def _shuffled_batches(tokens: Sequence[Sequence[int]], size: int, rng: random.Random) -> Iterator[list[int]]:
    """Yield row numbers, shuffled, but with texts of like length together so that little is padded."""
    order = list(range(len(tokens)))
    rng.shuffle(order)
    pool = size * _BATCHES_SORTED_TOGETHER
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda row: len(tokens[row]))
        batches = [near[i : i + size] for i in range(0, len(near), size)]
        rng.shuffle(batches)
        yield from batches


def _padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and a boolean mask, both of shape (rows, longest). [PAD] is id 0."""
    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, torch.arange(longest) < torch.tensor([[len(row)] for row in rows])


@torch.inference_mode()
def evaluate(model: BertForSequenceClassification, data: Encoded, *, batch_size: int = 256) -> Scores:
    """Score the model at threshold .5 on every label."""
    order = sorted(range(len(data.tokens)), key=lambda row: len(data.tokens[row]))
    predicted = np.zeros((len(order), model.config.num_labels), dtype=np.bool_)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        ids, mask = _padded([data.tokens[row] for row in rows])
        predicted[rows] = (model(input_ids=ids, attention_mask=mask.long()).logits > 0).numpy()
    return score(predicted, np.asarray(data.targets, dtype=np.bool_).reshape(predicted.shape))
