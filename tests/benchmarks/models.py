"""The models that are measured: the demo's, and one of the seed's shape with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils.logging import disable_progress_bar

from tests.conformance.program import MODEL
from tests.support.data import find_data

VOCABULARY_SIZE = 21_128
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@contextmanager
def model_folder(name: str) -> Iterator[Path]:
    """The folder of ``demo`` or ``seed``."""
    if name == "demo":
        yield MODEL
        return
    with TemporaryDirectory(prefix="seed-shape-") as folder:
        write_seed_shape(Path(folder))
        yield Path(folder)


def write_seed_shape(folder: Path) -> None:
    """The sizes of the seed's published checkpoint; the real vocabulary where it is at hand."""
    data = find_data()
    if data is not None:
        shutil.copy(data / "bert-base-chinese" / "vocab.txt", folder / "vocab.txt")
    else:
        made = [chr(0x4E00 + number) for number in range(VOCABULARY_SIZE - len(SPECIAL))]
        (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *made]), "utf-8")
    with torch.device("meta"):
        model = BertForSequenceClassification(
            BertConfig(vocab_size=VOCABULARY_SIZE, num_labels=4, problem_type="multi_label_classification")
        )
    model.to_empty(device="cpu")
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    disable_progress_bar()
    model.save_pretrained(folder)
