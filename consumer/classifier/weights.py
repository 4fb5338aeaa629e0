"""What a checkpoint's safetensors files hold, read from their headers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.tokenizer import read_json

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_FLOATS = {"F64", "F32", "F16", "BF16"}
_REFETCH = "fetch the checkpoint again"


class StoredTensor(NamedTuple):
    """A tensor's place and shape. ``key`` is its name in the file, which may be an old spelling."""

    file: Path
    key: str
    shape: tuple[int, ...]
    floating: bool


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights: one, or those that the index lists.

    Raises:
        CheckpointError: there are none, or one that the index lists is missing.
    """
    if (folder / _SINGLE).is_file():
        return (folder / _SINGLE,)
    if not (folder / _INDEX).is_file():
        pickles = sorted(file.name for pattern in ("*.bin", "*.pt", "*.ckpt") for file in folder.glob(pattern))
        if pickles:
            raise CheckpointError(
                pickles[0],
                "weights are in a pickle, which can run code when it is read, and there is no model.safetensors",
                "convert them where you trust the file: load the model with transformers, then "
                "save_pretrained(folder), which writes model.safetensors",
            )
        raise CheckpointError(_SINGLE, "is missing", f"{_REFETCH}, with its safetensors files")
    try:
        listed = read_json(folder / _INDEX).get("weight_map")
    except ValueError as error:
        raise CheckpointError(_INDEX, str(error), _REFETCH) from error
    if not (isinstance(listed, dict) and listed) or not all(isinstance(name, str) for name in listed.values()):
        raise CheckpointError(_INDEX, "holds no weight_map", _REFETCH)
    names = sorted(set(listed.values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointError(_INDEX, f"lists {name!r}, which is not in the folder", _REFETCH)
    return tuple(folder / name for name in names)


def stored_tensors(files: tuple[Path, ...]) -> dict[str, StoredTensor]:
    """Every tensor of these files, by its present-day name.

    Raises:
        CheckpointError: a file is cut short or is no safetensors file.
    """
    found: dict[str, StoredTensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as opened:
                for key in opened.keys():  # noqa: SIM118 - it is no mapping
                    part = opened.get_slice(key)
                    found[_present_name(key)] = StoredTensor(
                        file, key, tuple(part.get_shape()), part.get_dtype() in _FLOATS
                    )
        except (SafetensorError, OSError) as error:
            raise CheckpointError(file.name, "is damaged or no safetensors file", _REFETCH) from error
    return found


def _present_name(key: str) -> str:
    """Checkpoints converted from TensorFlow long ago have its names for the parts of a normalisation."""
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def check_tensors(stored: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Check that every expected tensor is there, in its shape. Others are left alone.

    Raises:
        CheckpointError: one is missing, has another shape, or holds no floating-point numbers.
    """
    for name, shape in expected.items():
        tensor = stored.get(name)
        if tensor is None:
            raise CheckpointError(
                where, f"tensor {name} is missing", "name a checkpoint of a fine-tuned sequence classifier"
            )
        if tensor.shape != shape:
            raise CheckpointError(
                tensor.file.name,
                f"tensor {name} has shape {list(tensor.shape)}, and config.json makes it {list(shape)}",
                "take config.json and weights from the same checkpoint",
            )
        if not tensor.floating:
            raise CheckpointError(
                tensor.file.name, f"tensor {name} is quantised", "name the checkpoint in fp32, fp16 or bf16"
            )


def bert_tensors(config: Mapping[str, Any], labels: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a BERT sequence classifier with this config."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    shapes: dict[str, tuple[int, ...]] = {}

    def dense(name: str, out: int, into: int) -> None:
        shapes[f"{name}.weight"] = (out, into)
        shapes[f"{name}.bias"] = (out,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (hidden,)

    for part, rows in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
        ("token_type", config["type_vocab_size"]),
    ):
        shapes[f"bert.embeddings.{part}_embeddings.weight"] = (int(rows), hidden)
    norm("bert.embeddings.LayerNorm")
    for i in range(int(config["num_hidden_layers"])):
        layer = f"bert.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            dense(f"{layer}.attention.self.{part}", hidden, hidden)
        dense(f"{layer}.attention.output.dense", hidden, hidden)
        norm(f"{layer}.attention.output.LayerNorm")
        dense(f"{layer}.intermediate.dense", inner, hidden)
        dense(f"{layer}.output.dense", hidden, inner)
        norm(f"{layer}.output.LayerNorm")
    dense("bert.pooler.dense", hidden, hidden)
    dense("classifier", labels, hidden)
    return shapes
