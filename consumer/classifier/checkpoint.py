"""A checkpoint, found and checked before any of it is used. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from consumer.classifier import hub, preprocessing
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.engine import Activation
from consumer.classifier.preprocessing import Preprocessing
from consumer.classifier.tokenizer import read_json
from consumer.classifier.weights import StoredTensor, bert_tensors, check_tensors, stored_tensors, weight_files
from consumer.delivery.records import ModelIdentity

__all__ = ["Checkpoint", "CheckpointError"]

_CONFIG = "config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")
_TOKENIZER_FILES = (*_VOCABULARIES, _TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "merges.txt")
_REFETCH = "fetch the checkpoint again"
_ENDLESS = 1_000_000  # tokenizers without a limit state some enormous one
_BERT_DEFAULTS: Mapping[str, Any] = MappingProxyType(  # what config.json means by leaving a key out
    {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
    }
)
_PACKED_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint.

    Attributes:
        folder: where its files are.
        name: the source as it was named (a folder by its last part).
        revision: the hub's commit, or what the settings call a local folder.
        config: config.json, with BERT's defaults filled in for a BERT.
        labels: label names in logit order.
        max_tokens: the model's limit, or the lower one of the settings; special tokens included.
        preprocessing: the preset's name.
        tensors: where each weight is stored.
        packed: whether the padding-free BERT forward runs it; others go through transformers.
    """

    folder: Path
    name: str
    revision: str
    config: Mapping[str, Any]
    labels: tuple[str, ...]
    activation: Activation
    max_tokens: int
    preprocessing: str
    tensors: Mapping[str, StoredTensor]
    packed: bool
    _files_digest: str

    @classmethod
    def open(
        cls,
        source: str,
        revision: str | None = None,
        *,
        label_names: Sequence[str] | None = None,
        preprocessing: str | None = None,
        max_tokens: int | None = None,
        problem_type: str | None = None,
        allow_download: bool = False,
    ) -> Checkpoint:
        """Find a checkpoint and check its files against each other.

        Args:
            source: a folder, or a hub id (then ``revision`` is required).
            revision: the hub revision; for a folder only a name for it.
            label_names: names in logit order instead of config.json's.
            preprocessing: a preset's name; ``None`` is ``none``.
            max_tokens: a lower limit than the model's own.
            problem_type: instead of config.json's, see :func:`_activation`.
            allow_download: whether the hub may be asked for what the local cache lacks.

        Raises:
            CheckpointError: anything is missing, damaged, contradictory or not supported.
        """
        preset = "none" if preprocessing is None else preprocessing
        try:
            _preset(preset)
        except ValueError as error:
            raise CheckpointError("model.preprocessing", str(error), "choose one of them") from error
        folder, found_revision = hub.locate(source, revision, allow_download=allow_download)
        config = _read(folder, _CONFIG)
        is_bert = config.get("model_type") == "bert"
        if is_bert:
            config = {**_BERT_DEFAULTS, **config}
        if not any((folder / name).is_file() for name in _VOCABULARIES) and not any(folder.glob("*.model")):
            raise CheckpointError("vocab.txt", "is missing, and so is tokenizer.json", _REFETCH)
        labels = _labels(config, label_names)
        activation = _activation(config, problem_type, len(labels))
        files = weight_files(folder)
        tensors = stored_tensors(files)
        packed = is_bert and _check_bert(config, tensors, len(labels), files[0].name)
        return cls(
            folder=folder,
            name=folder.resolve().name if Path(source).is_dir() else source,
            revision=found_revision,
            config=MappingProxyType(config),
            labels=labels,
            activation=activation,
            max_tokens=_limit(folder, config, max_tokens),
            preprocessing=preset,
            tensors=MappingProxyType(tensors),
            packed=packed,
            _files_digest=_digest_files(folder, files),
        )

    @property
    def preprocess(self) -> Preprocessing:
        """What the text goes through before the tokenizer."""
        return _preset(self.preprocessing)

    def identity(self, dtype: str) -> ModelIdentity:
        """Which model this is when it runs in ``dtype``: its digest covers all that changes its logits."""
        parts = (self._files_digest, f"preprocessing {self.preprocessing}", f"max_tokens {self.max_tokens}", dtype)
        whole = hashlib.sha256("\n".join(parts).encode())
        return ModelIdentity(self.name, self.revision, whole.hexdigest())


def _preset(name: str) -> Preprocessing:
    return preprocessing.preset(name)


def _read(folder: Path, name: str) -> dict[str, Any]:
    advice = "name a checkpoint's folder, or fetch it again"
    if not (folder / name).exists():
        raise CheckpointError(name, "is missing", advice)
    try:
        return read_json(folder / name)
    except ValueError as error:
        raise CheckpointError(name, str(error).removeprefix(f"{name} "), advice) from error


def _labels(config: Mapping[str, Any], names: Sequence[str] | None) -> tuple[str, ...]:
    """Label names in logit order: the settings', else config.json's ``id2label``."""
    id2label = config.get("id2label")
    if id2label is None:
        id2label = {i: f"LABEL_{i}" for i in range(int(config.get("num_labels", 2)))}
    try:
        by_id = {int(number): str(name) for number, name in id2label.items()}
    except (AttributeError, ValueError, TypeError) as error:
        raise CheckpointError(_CONFIG, "id2label is no table of numbers to names", "correct it") from error
    if not by_id or sorted(by_id) != list(range(len(by_id))):
        raise CheckpointError(_CONFIG, "id2label does not number its labels 0, 1, 2, ...", "correct it")
    if names is not None and len(names) != len(by_id):
        raise CheckpointError(
            _CONFIG,
            f"the model has {len(by_id)} labels, and model.label_names gives {len(names)}",
            "name each label once, in the order of the model's outputs",
        )
    labels = tuple(by_id[i] for i in range(len(by_id))) if names is None else tuple(names)
    if len(set(labels)) != len(labels) or not all(labels):
        raise CheckpointError(
            _CONFIG, "two labels have one name, or one has none", "set model.label_names to distinct names"
        )
    return labels


def _activation(config: Mapping[str, Any], override: str | None, labels: int) -> Activation:
    """How logits become scores, by ``problem_type``.

    Where neither the settings nor config.json state it, the rule is that of transformers' text-classification
    pipeline, so that both give the same scores: one label is independent, several exclude each other. (transformers
    writes problem_type into the config as soon as it trains with several labels at once, so a config without one is
    nearly always a single-label model.)
    """
    problem = override if override is not None else config.get("problem_type")
    where = "model.problem_type" if override is not None else _CONFIG
    if problem == "multi_label_classification" or (problem is None and labels == 1):
        return Activation.SIGMOID
    if problem == "single_label_classification" or problem is None:
        if labels == 1:
            raise CheckpointError(
                where, "one label alone cannot exclude others", "set model.problem_type to multi_label_classification"
            )
        return Activation.SOFTMAX
    raise CheckpointError(
        where,
        f"problem_type {problem!r} is not supported",
        "set model.problem_type to multi_label_classification or single_label_classification",
    )


def _limit(folder: Path, config: Mapping[str, Any], wanted: int | None) -> int:
    """The longest input in tokens: what positions, tokenizer and settings allow."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id", 1)) + 1
    limits = [positions] if isinstance(positions, int) else []
    if (folder / _TOKENIZER_CONFIG).is_file():
        stated = _read(folder, _TOKENIZER_CONFIG).get("model_max_length")
        if isinstance(stated, int) and 0 < stated < _ENDLESS:
            limits.append(stated)
    if not limits and wanted is None:
        raise CheckpointError(_CONFIG, "states no longest input", "set model.max_tokens")
    if wanted is not None and limits and wanted > min(limits):
        raise CheckpointError(
            _CONFIG, f"the model takes {min(limits)} tokens, and model.max_tokens is {wanted}", "lower it"
        )
    limit = wanted if wanted is not None else min(limits)
    if limit < 3:  # [CLS], one token, [SEP]
        raise CheckpointError("model.max_tokens", f"{limit} leaves no room for a text", "raise it")
    return limit


_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm"})
"""Architectures that count positions from the padding token's id plus one, and so take that many tokens less."""


def _check_bert(config: Mapping[str, Any], tensors: Mapping[str, StoredTensor], labels: int, weights: str) -> bool:
    """Check a BERT's sizes; whether the packed forward knows all of its parts."""
    sizes = [config[key] for key in _BERT_DEFAULTS if key not in ("layer_norm_eps", "hidden_act")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise CheckpointError(_CONFIG, "a size is not a positive whole number", _REFETCH)
    if config["hidden_size"] % config["num_attention_heads"]:
        raise CheckpointError(_CONFIG, "hidden_size is no multiple of num_attention_heads", _REFETCH)
    if config["num_hidden_layers"] > len(tensors):  # before a table is made that has an entry for each layer
        raise CheckpointError(_CONFIG, f"num_hidden_layers is more than {weights} has tensors", _REFETCH)
    epsilon = config["layer_norm_eps"]
    if type(epsilon) not in (int, float) or not 0 < epsilon < 1:
        raise CheckpointError(_CONFIG, "layer_norm_eps is no small positive number", _REFETCH)
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise CheckpointError(_CONFIG, "relative position embeddings are not supported", "name another checkpoint")
    check_tensors(tensors, bert_tensors(config, labels), weights)
    plain = not (config.get("is_decoder") or config.get("add_cross_attention"))
    return plain and config["hidden_act"] in _PACKED_ACTIVATIONS


def _digest_files(folder: Path, weights: tuple[Path, ...]) -> str:
    """SHA-256 over the names, and the SHA-256, of the files that make the logits."""
    files = {folder / _CONFIG, *weights, *folder.glob("*.model")}
    files |= {folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()}
    whole = hashlib.sha256()
    for file in sorted(files):
        try:
            with file.open("rb") as opened:
                one = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(file.name, f"cannot be read ({type(error).__name__})", "check its rights") from error
        whole.update(f"{file.name} {one}\n".encode())
    return whole.hexdigest()
