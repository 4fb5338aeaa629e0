"""From a checked checkpoint to a running engine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.devices import available_threads, choose_device, choose_dtype, dtype_name
from consumer.classifier.encoder import BertShape, PackedBert
from consumer.classifier.engine import Activation, FailureKind
from consumer.classifier.failures import classify_error
from consumer.classifier.packing import PackedBatch
from consumer.classifier.tokenizer import BatchTokenizer, bert_tokenizer, read_json
from consumer.classifier.weights import StoredTensor
from consumer.delivery.records import ModelIdentity

_BERT_TOKENIZERS = frozenset({"BertTokenizer", "BertTokenizerFast"})
_PROBES = ("", "a b", "好" * 10, "好" * 20, "x y " * 2048)  # empty, short, usual, long, and one that is cut


class Forward(Protocol):
    """A model: logits of a packed batch in packed order, fp32, [rows, labels]."""

    def __call__(self, batch: PackedBatch) -> Tensor: ...


class LoadedEngine:
    """An :class:`~consumer.classifier.engine.Engine` over PyTorch."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        forward: Forward,
        tokenizer: BatchTokenizer,
        device: torch.device,
        dtype: torch.dtype,
        tokens_at_once: int,
    ) -> None:
        """``tokens_at_once`` bounds the activations' memory: a longer batch is computed in pieces of that many."""
        self._forward = forward
        self._tokenizer = tokenizer
        self._device = device
        self._tokens_at_once = tokens_at_once
        self._identity = checkpoint.identity(dtype_name(dtype))
        self._labels = checkpoint.labels
        self._activation = checkpoint.activation

    @property
    def identity(self) -> ModelIdentity:
        return self._identity

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def activation(self) -> Activation:
        return self._activation

    @property
    def max_tokens(self) -> int:
        return self._tokenizer.max_tokens

    def tokenize(self, texts: Sequence[str]) -> PackedBatch:
        """Tokenise preprocessed texts, whatever they hold; safe beside a running :meth:`logits`."""
        return self._tokenizer.encode(texts)

    def logits(self, batch: PackedBatch) -> Sequence[tuple[float, ...]]:
        """The logits of every row, in the caller's order."""
        if not len(batch):
            return []
        packed = torch.cat([self._forward(piece) for piece in batch.slices(self._tokens_at_once)])
        rows: list[tuple[float, ...]] = [()] * len(batch)
        for row, values in zip(batch.order.tolist(), packed.tolist(), strict=True):
            rows[row] = tuple(values)
        return rows

    def classify_error(self, error: BaseException) -> FailureKind:
        return classify_error(error)

    def release_memory(self) -> None:
        """Give cached device memory back; the CPU's allocator keeps none."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def warm_up(self) -> None:
        """Run texts of the shortest, usual and longest lengths: each but the longest alone, then all together.

        Raises:
            CheckpointError: a logit is not finite.
            Exception: whatever the framework raises.
        """
        batch = self.tokenize(_PROBES)
        alone = [batch.select([row]) for row in range(len(_PROBES) - 1)]
        for row in [row for probes in (*alone, batch) for row in self.logits(probes)]:
            if not all(-float("inf") < value < float("inf") for value in row):
                name = self._identity.name
                raise CheckpointError(name, "the model answers a probe with NaN or infinity", "try model.dtype=float32")


def load_engine(
    checkpoint: Checkpoint, *, device: str = "auto", dtype: str = "auto", threads: int | None = None
) -> LoadedEngine:
    """Load the weights and the tokenizer. Sets the number of PyTorch's threads for the whole process.

    Args:
        checkpoint: what to load.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        threads: of the CPU; ``None`` takes what the container's quota allows.

    Raises:
        CheckpointError: a file does not hold what it should.
        ValueError: no such device or dtype here.
    """
    torch_device = choose_device(device)
    torch_dtype = choose_dtype(dtype, torch_device)
    count = available_threads() if threads is None else threads
    torch.set_num_threads(count)
    # The tokenizers library would otherwise start a thread for each core of the host, beside the model's own.
    os.environ.setdefault("RAYON_NUM_THREADS", str(count))
    tokenizer = _load_tokenizer(checkpoint)
    forward = (_load_packed if checkpoint.packed else _load_padded)(checkpoint, torch_device, torch_dtype)
    at_once = _TOKENS_AT_ONCE[torch_device.type]
    return LoadedEngine(checkpoint, forward, tokenizer, torch_device, torch_dtype, at_once)


# On a CPU the activations of this many tokens stay in the caches, which is as fast as more and needs less memory.
_TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 65536}


def _load_tokenizer(checkpoint: Checkpoint) -> BatchTokenizer:
    try:
        if checkpoint.packed and _tokenizer_class(checkpoint.folder) in _BERT_TOKENIZERS:
            tokenizer = bert_tokenizer(checkpoint.folder)
        else:
            from consumer.classifier.padded import load_tokenizer  # noqa: PLC0415 - see _load_padded

            tokenizer = load_tokenizer(checkpoint.folder)
        _check_vocabulary(tokenizer, checkpoint.config)
        return BatchTokenizer(tokenizer, checkpoint.max_tokens)
    except ValueError as error:
        raise CheckpointError("the tokenizer", str(error), "fetch the checkpoint again") from error


def _load_packed(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Forward:
    shape = BertShape(**{field: checkpoint.config[field] for field in BertShape.__dataclass_fields__})
    with ExitStack() as files:
        return PackedBert(shape, _Reader(checkpoint.tensors, files).read, device, dtype)


def _load_padded(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Forward:
    # transformers takes seconds and a hundred megabytes to import, and a BERT needs none of it.
    from consumer.classifier.padded import PaddedModel  # noqa: PLC0415

    return PaddedModel(checkpoint, device, dtype)


class _Reader:
    """Reads tensors out of memory-mapped safetensors files, which stay open until the stack closes."""

    def __init__(self, tensors: Mapping[str, StoredTensor], stack: ExitStack) -> None:
        self._tensors = tensors
        self._stack = stack
        self._open: dict[Path, Any] = {}

    def read(self, name: str) -> Tensor:
        stored = self._tensors[name]
        if stored.file not in self._open:
            self._open[stored.file] = self._stack.enter_context(safe_open(stored.file, framework="pt"))
        tensor = self._open[stored.file].get_tensor(stored.key)
        assert isinstance(tensor, Tensor)
        return tensor


def _tokenizer_class(folder: Path) -> str:
    file = folder / "tokenizer_config.json"
    settings = read_json(file) if file.exists() else {}
    return str(settings.get("tokenizer_class") or "BertTokenizer")


def _check_vocabulary(tokenizer: Tokenizer, config: Mapping[str, Any]) -> None:
    """A token id beyond the embedding would crash the device, so it must not come about."""
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    size = config.get("vocab_size")
    if isinstance(size, int) and highest >= size:
        raise CheckpointError(
            "config.json",
            f"vocab_size is {size}, and the tokenizer gives ids up to {highest}",
            "take the vocabulary and config.json from the same checkpoint",
        )
