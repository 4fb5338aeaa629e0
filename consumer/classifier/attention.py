"""Attention over a packed row: every text looks at itself only, and nothing is padded or masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention

from consumer.classifier.packing import PackedBatch, Run

_FLASH_CAPABILITY = (8, 0)  # FlashAttention wants this generation of NVIDIA devices
_FLASH_HEAD_STEP = 8  # and a head width that this divides
_SHORT = 128  # up to this length, plain matrix products are faster on a CPU (two to three times at 10 tokens)


class Attention(Protocol):
    """Attention within each text of one packed batch.

    The row of tokens, and that of queries, may be longer than the batch's texts: what stands behind them comes out as
    some finite number.
    """

    def every_token(self, qkv: Tensor) -> Tensor:
        """Context of every token. ``qkv`` is [tokens, 3, heads, width]; the result [tokens, heads * width]."""
        ...

    def first_tokens(self, query: Tensor, kv: Tensor) -> Tensor:
        """Context of each text's first token.

        ``query`` is [rows, heads, width], ``kv`` [tokens, 2, heads, width]; the result [rows, heads * width].
        """
        ...


class RunAttention:
    """Ordinary attention, one call for each run of equal lengths: no padding and no mask."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    def every_token(self, qkv: Tensor) -> Tensor:
        tokens, _, heads, width = qkv.shape
        context = qkv.new_zeros(tokens, heads, width)
        for token, _, rows, length in self._runs:
            end = token + rows * length
            by_head = qkv[token:end].view(rows, length, 3, heads, width).permute(2, 0, 3, 1, 4)
            context[token:end].view(rows, length, heads, width).copy_(_attend(*by_head.unbind(0)).transpose(1, 2))
        return context.view(tokens, heads * width)

    def first_tokens(self, query: Tensor, kv: Tensor) -> Tensor:
        _, _, heads, width = kv.shape
        context = torch.zeros_like(query)
        for token, row, rows, length in self._runs:
            by_head = kv[token : token + rows * length].view(rows, length, 2, heads, width).permute(2, 0, 3, 1, 4)
            asking = query[row : row + rows].unsqueeze(2)
            context[row : row + rows] = _attend(asking, *by_head.unbind(0)).squeeze(2)
        return context.view(-1, heads * width)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention over [rows, heads, length, width]; the query's length may be another one."""
    rows, heads, length, width = key.shape
    if length > _SHORT or key.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value)
    # The fused kernel goes through rows and heads one by one, which for short texts costs more than it saves. All of
    # this is in fp32: scores in bf16 would be the largest error of all and no faster, and oneDNN, which multiplies
    # bf16, would keep code for every shape that it meets, of which there are as many as runs.
    batch = rows * heads
    asking = query.reshape(batch, -1, width).float()
    scores = torch.baddbmm(
        asking.new_empty(()),  # not read, as beta is 0
        asking,
        key.reshape(batch, length, width).float().transpose(1, 2),
        beta=0,
        alpha=width**-0.5,
    )
    context = torch.bmm(scores.softmax(-1), value.reshape(batch, length, width).float())
    return context.view(rows, heads, -1, width)


class VarlenAttention:
    """FlashAttention over the whole packed row at once, for CUDA in fp16 or bf16."""

    def __init__(self, starts: Tensor, longest: int) -> None:
        """``starts`` are int32 on the device: where each text begins, and where the last one ends."""
        self._starts = starts
        self._each = torch.arange(len(starts), dtype=torch.int32, device=starts.device)
        self._longest = longest

    def every_token(self, qkv: Tensor) -> Tensor:
        query, key, value = qkv.unbind(1)
        context = varlen_attn(query, key, value, self._starts, self._starts, self._longest, self._longest)
        assert isinstance(context, Tensor)
        return context.reshape(len(qkv), -1)

    def first_tokens(self, query: Tensor, kv: Tensor) -> Tensor:
        key, value = kv.unbind(1)
        context = varlen_attn(query, key, value, self._each, self._starts, 1, self._longest)
        assert isinstance(context, Tensor)
        return context.reshape(len(query), -1)


def has_varlen(device: torch.device, dtype: torch.dtype, head_width: int) -> bool:
    """Whether :class:`VarlenAttention` runs there."""
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and head_width % _FLASH_HEAD_STEP == 0
        and torch.cuda.get_device_capability(device) >= _FLASH_CAPABILITY
    )


def attention_for(batch: PackedBatch, device: torch.device, *, varlen: bool) -> Attention:
    """The attention of one batch."""
    if not varlen:
        return RunAttention(batch.runs)
    starts = torch.from_numpy(batch.starts).to(device, torch.int32, non_blocking=True)
    return VarlenAttention(starts, int(batch.lengths[-1]))
