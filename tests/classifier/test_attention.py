from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from consumer.classifier import attention
from consumer.classifier.packing import PackedBatch
from tests.classifier.test_packing import pack

HEADS, WIDTH = 3, 8


@pytest.fixture
def batch() -> PackedBatch:
    return pack([[1] * length for length in (5, 1, 5, 130, 2, 5, 129, 130, 1)])


def expected(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention as the formula has it; [length, heads, width] each."""
    weights = torch.einsum("qhd,khd->hqk", query, key).div(WIDTH**0.5).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value).flatten(1)


def texts(batch: PackedBatch) -> list[slice]:
    return [slice(*ends) for ends in pairwise(batch.starts.tolist())]


def varlen_reference(query, key, value, starts_q, starts_k, longest_q, longest_k):
    assert starts_q.dtype is starts_k.dtype is torch.int32
    assert (longest_q, longest_k) == (int(starts_q.diff().max()), int(starts_k.diff().max()))
    assert (int(starts_q[-1]), int(starts_k[-1])) == (len(query), len(key))
    rows = [
        expected(query[q:q_end], key[k:k_end], value[k:k_end])
        for (q, q_end), (k, k_end) in zip(pairwise(starts_q.tolist()), pairwise(starts_k.tolist()), strict=True)
    ]
    return torch.cat(rows).view(len(query), HEADS, WIDTH)


@pytest.mark.parametrize("varlen", [False, True])
def test_every_token_sees_its_own_text_and_nothing_else(batch, varlen, monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", varlen_reference)
    qkv = torch.randn(batch.tokens, 3, HEADS, WIDTH)
    context = attention.attention_for(batch, torch.device("cpu"), varlen=varlen).every_token(qkv)
    for text in texts(batch):
        assert torch.allclose(context[text], expected(*qkv[text].unbind(1)), atol=1e-5)


@pytest.mark.parametrize("varlen", [False, True])
def test_a_first_token_sees_its_whole_text(batch, varlen, monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", varlen_reference)
    query, kv = torch.randn(len(batch), HEADS, WIDTH), torch.randn(batch.tokens, 2, HEADS, WIDTH)
    context = attention.attention_for(batch, torch.device("cpu"), varlen=varlen).first_tokens(query, kv)
    for row, text in enumerate(texts(batch)):
        assert torch.allclose(context[row : row + 1], expected(query[row : row + 1], *kv[text].unbind(1)), atol=1e-5)


@pytest.mark.parametrize(
    ("device", "dtype", "width", "capability", "has"),
    [
        ("cuda", torch.bfloat16, 64, (9, 0), True),
        ("cuda", torch.float16, 64, (8, 0), True),
        ("cuda", torch.float32, 64, (9, 0), False),
        ("cuda", torch.float16, 64, (7, 5), False),
        ("cuda", torch.bfloat16, 20, (9, 0), False),
        ("cpu", torch.bfloat16, 64, (9, 0), False),
    ],
)
def test_flash_attention_is_for_newer_cuda_devices_in_half(monkeypatch, device, dtype, width, capability, has):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert attention.has_varlen(torch.device(device), dtype, width) is has


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_flash_attention_gives_what_the_formula_gives(batch):
    qkv = torch.randn(batch.tokens, 3, HEADS, WIDTH, device="cuda", dtype=torch.bfloat16)
    context = attention.attention_for(batch, qkv.device, varlen=True).every_token(qkv)
    for text in texts(batch):
        assert torch.allclose(context[text].float(), expected(*qkv[text].float().unbind(1)), atol=0.03)
