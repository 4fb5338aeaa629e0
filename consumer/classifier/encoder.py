"""BERT for sequence classification over a packed row of tokens, written out over the checkpoint's weights.

Every dense layer runs on the whole row; only attention knows where texts begin. The last layer is computed for each
text's [CLS] alone, which is all that the head reads: exact, and most of a layer less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from consumer.classifier.attention import Attention, attention_for, has_varlen
from consumer.classifier.dense import ACTIVATIONS, Activation, Dense, PlainDense, dense_for
from consumer.classifier.packing import Ids, PackedBatch

Weights = Callable[[str], Tensor]
"""Gives a tensor of the checkpoint by its name, on the CPU."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """The sizes of a BERT, as its config.json names them."""

    num_hidden_layers: int
    num_attention_heads: int
    hidden_size: int
    layer_norm_eps: float
    hidden_act: str


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation over the last dimension; PyTorch keeps its sums in fp32 whatever the input's dtype."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class AfterAttention:
    """What a layer does with each token by itself."""

    out: Dense
    attention_norm: Norm
    up: Dense
    activation: Activation
    down: Dense
    norm: Norm

    def __call__(self, x: Tensor, context: Tensor) -> Tensor:
        x = self.attention_norm(self.out.added(context, x))
        return self.norm(self.down.added(self.up.activated(x, self.activation), x))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer for every token. ``qkv`` gives query, key and value side by side."""

    qkv: Dense
    after: AfterAttention
    heads: int

    def __call__(self, x: Tensor, attention: Attention) -> Tensor:
        """[tokens, hidden] to [tokens, hidden]."""
        return self.after(x, attention.every_token(self.qkv(x).view(len(x), 3, self.heads, -1)))


@dataclass(frozen=True, slots=True)
class LastLayer:
    """A layer for each text's first token: key and value of all tokens, everything else of that one."""

    query: Dense
    kv: Dense
    after: AfterAttention
    heads: int

    def __call__(self, x: Tensor, first: Tensor, attention: Attention) -> Tensor:
        """[tokens, hidden] to [rows, hidden] in fp32; ``first`` is each text's first token."""
        asking = x[first]
        query = self.query(asking).view(len(first), self.heads, -1)
        context = attention.first_tokens(query, self.kv(x).view(len(x), 2, self.heads, -1))
        return self.after(asking.float(), context.float())


class PackedBert:
    """The whole classifier: packed token ids in, logits out."""

    def __init__(self, shape: BertShape, weights: Weights, device: torch.device, dtype: torch.dtype) -> None:
        """Take the weights over one tensor at a time, so that no second copy of them is ever alive.

        ``dtype`` is that of the dense layers over all tokens. What costs little stays fp32 and keeps the scores close:
        embeddings, normalisations, and what is computed for one token a text.
        """
        self._device = device
        self._dtype = dtype
        self._varlen = has_varlen(device, dtype, shape.hidden_size // shape.num_attention_heads)
        full = torch.float32

        def take(name: str, dtype: torch.dtype = full) -> Tensor:
            # A copy in any case: the checkpoint's file is only mapped, and may be replaced while we run.
            return weights(name).to(device, dtype, copy=True)

        def dense(*names: str, dtype: torch.dtype = dtype) -> Dense:
            """The layers of these names side by side."""
            weight, bias = (torch.cat([take(f"{name}.{part}", dtype) for name in names]) for part in ("weight", "bias"))
            return dense_for(device, dtype)(weight, bias)

        def norm(name: str, inputs: torch.dtype) -> Norm:
            # On CUDA its parameters must have the input's dtype; on a CPU they may always be fp32.
            kept = full if device.type == "cpu" else inputs
            return Norm(take(f"{name}.weight", kept), take(f"{name}.bias", kept), shape.layer_norm_eps)

        def after(layer: str, dtype: torch.dtype) -> AfterAttention:
            return AfterAttention(
                out=dense(f"{layer}.attention.output.dense", dtype=dtype),
                attention_norm=norm(f"{layer}.attention.output.LayerNorm", dtype),
                up=dense(f"{layer}.intermediate.dense", dtype=dtype),
                activation=ACTIVATIONS[shape.hidden_act],
                down=dense(f"{layer}.output.dense", dtype=dtype),
                norm=norm(f"{layer}.output.LayerNorm", dtype),
            )

        embeddings = "bert.embeddings"
        self._words = take(f"{embeddings}.word_embeddings.weight")
        # Every token has type 0, so its embedding is part of the position's.
        self._positions = take(f"{embeddings}.position_embeddings.weight").add_(
            take(f"{embeddings}.token_type_embeddings.weight")[0]
        )
        self._norm = norm(f"{embeddings}.LayerNorm", full)
        names = [f"bert.encoder.layer.{i}" for i in range(shape.num_hidden_layers)]
        heads = shape.num_attention_heads
        self._layers = []
        for name in names[:-1]:
            parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
            self._layers.append(Layer(dense(*parts), after(name, dtype), heads))
        last = f"{names[-1]}.attention.self"
        query, kv = dense(f"{last}.query"), dense(f"{last}.key", f"{last}.value")
        self._last = LastLayer(query, kv, after(names[-1], full), heads)
        self._pooler = PlainDense(take("bert.pooler.dense.weight"), take("bert.pooler.dense.bias"))
        self._classifier = PlainDense(take("classifier.weight"), take("classifier.bias"))

    @torch.inference_mode()
    def __call__(self, batch: PackedBatch) -> Tensor:
        """Logits of a batch that is not empty, in packed order: fp32, [rows, labels], on the model's device."""
        ids, positions, first = (
            torch.from_numpy(self._padded(array)).to(self._device, non_blocking=True)
            for array in (batch.ids, batch.positions, batch.starts[:-1])
        )
        attention = attention_for(batch, self._device, varlen=self._varlen)
        x = functional.embedding(ids, self._words).add_(functional.embedding(positions, self._positions))
        x = self._norm(x).to(self._dtype)
        for layer in self._layers:
            x = layer(x, attention)
        x = self._last(x, first, attention)
        return self._classifier(torch.tanh(self._pooler(x)))[: len(batch)]

    def _padded(self, array: Ids) -> Ids:
        """On a CPU, with zeros behind it up to one of a few sizes.

        oneDNN makes code for every new number of rows and keeps it. A new number with each batch would cost time and,
        as that code then stands between buffers of ever other sizes, memory without end.
        """
        if self._device.type != "cpu":
            return array
        padded = np.zeros(padded_size(len(array)), dtype=array.dtype)
        padded[: len(array)] = array
        return padded


def padded_size(size: int) -> int:
    """The next of the sizes 8, 16, ... 64, and from there on eight for each doubling: at most an eighth more."""
    step = max(8, 1 << max(0, (size - 1).bit_length() - 4))
    return -(-size // step) * step
