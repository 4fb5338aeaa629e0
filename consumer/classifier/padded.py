"""Architectures without a packed forward: transformers' own, over padded batches of similar lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.library_logs import adopt
from consumer.classifier.packing import PackedBatch

_ROWS = 32
_LIBRARY = "transformers"
_ADVICE = "name a checkpoint of a fine-tuned sequence classifier, of an architecture that transformers knows"


def load_tokenizer(folder: Path) -> Tokenizer:
    """The checkpoint's tokenizer as transformers makes it.

    Raises:
        CheckpointError: transformers cannot make it, or not as a fast one.
    """
    adopt(_LIBRARY)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the library raises, the files are to blame
        problem = f"transformers cannot make its tokenizer ({type(error).__name__})"
        raise CheckpointError("tokenizer_config.json", problem, _ADVICE) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise CheckpointError("tokenizer_config.json", "its tokenizer has no fast form", "add a tokenizer.json")
    return backend


class PaddedModel:
    """Any transformers sequence classifier: packed token ids in, logits out, padded inside."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        """Load the weights onto ``device``, to compute in ``dtype``.

        Raises:
            CheckpointError: the weights do not fit config.json, or transformers does not know the architecture.
        """
        model, report = _load(checkpoint, dtype)
        absent = sorted(report.get("missing_keys", ())) + sorted(str(key) for key in report.get("mismatched_keys", ()))
        if absent:
            raise CheckpointError(
                next(iter(checkpoint.tensors.values())).file.name,
                f"tensor {absent[0]} is missing or has another shape than config.json makes it",
                _ADVICE,
            )
        self._model = model.to(device).eval()
        # Some architectures find positions by this id; where the config knows none, any will do.
        self._padding = int(getattr(model.config, "pad_token_id", None) or 0)
        self._device = device

    @torch.inference_mode()
    def __call__(self, batch: PackedBatch) -> Tensor:
        """Logits of a batch that is not empty, in packed order: fp32, [rows, labels], on the model's device."""
        logits = []
        for first in range(0, len(batch), _ROWS):
            last = min(first + _ROWS, len(batch))
            lengths = batch.lengths[first:last]
            mask = np.arange(lengths[-1]) < lengths[:, None]
            ids = np.full(mask.shape, self._padding, dtype=np.int64)
            ids[mask] = batch.ids[batch.starts[first] : batch.starts[last]]
            output = self._model(
                input_ids=torch.from_numpy(ids).to(self._device),
                attention_mask=torch.from_numpy(mask.astype(np.int64)).to(self._device),
            )
            logits.append(output.logits.float())
        return torch.cat(logits)


def _load(checkpoint: Checkpoint, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    adopt(_LIBRARY)
    try:
        loaded = AutoModelForSequenceClassification.from_pretrained(
            checkpoint.folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the library raises, the files are to blame
        problem = f"transformers cannot load it ({type(error).__name__})"
        raise CheckpointError("config.json", problem, _ADVICE) from error
    return cast("tuple[Any, dict[str, Any]]", loaded)
