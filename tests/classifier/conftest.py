from __future__ import annotations

from pathlib import Path

import pytest
import torch

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.loading import LoadedEngine, load_engine
from tests.classifier.checkpoints import make_bert


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT. Tests that change a folder make their own."""
    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def bert(bert_folder: Path) -> LoadedEngine:
    return load_engine(Checkpoint.open(str(bert_folder)), device="cpu", dtype="float32", threads=2)
