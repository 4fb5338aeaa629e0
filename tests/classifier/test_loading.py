from __future__ import annotations

import shutil
import sys
import tomllib
from importlib import resources
from pathlib import Path
from subprocess import run

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.engine import Activation, Engine
from consumer.classifier.loading import LoadedEngine, load_engine
from consumer.classifier.packing import PackedBatch
from tests.classifier.checkpoints import VOCABULARY, edit_json, make_bert
from tests.support.data import data_folder


def test_the_engine_is_what_the_runner_needs(bert):
    engine: Engine[PackedBatch] = bert
    assert engine.identity.digest
    assert engine.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    assert engine.activation is Activation.SIGMOID
    assert engine.max_tokens == 512
    engine.release_memory()


def test_a_vocabulary_larger_than_the_embedding_is_refused(bert_folder, tmp_path):
    folder = Path(shutil.copytree(bert_folder, tmp_path / "model"))
    (folder / "vocab.txt").write_text("\n".join([*VOCABULARY, "extra"]), "utf-8")
    with pytest.raises(CheckpointError, match="vocab_size is"):
        load_engine(Checkpoint.open(str(folder)), device="cpu", dtype="float32", threads=2)


@pytest.mark.parametrize("missing", ["[UNK]", "[CLS]", "[SEP]"])
def test_a_vocabulary_without_a_special_token_is_refused(bert_folder, tmp_path, missing):
    folder = Path(shutil.copytree(bert_folder, tmp_path / "model"))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY).replace(missing, "gone"), "utf-8")
    (folder / "tokenizer.json").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="lacks"):
        load_engine(Checkpoint.open(str(folder)), device="cpu", dtype="float32", threads=2)


def test_an_architecture_that_nobody_knows_is_refused(bert_folder, tmp_path):
    folder = Path(shutil.copytree(bert_folder, tmp_path / "model"))
    edit_json(folder / "config.json", model_type="unheard-of", architectures=["UnheardOf"])
    with pytest.raises(CheckpointError, match="transformers cannot"):
        load_engine(Checkpoint.open(str(folder)), device="cpu", dtype="float32", threads=2)


def test_weights_of_another_architecture_are_refused(bert_folder, tmp_path):
    folder = Path(shutil.copytree(bert_folder, tmp_path / "model"))
    edit_json(folder / "config.json", model_type="distilbert", architectures=["DistilBertForSequenceClassification"])
    edit_json(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    with pytest.raises(CheckpointError, match="is missing"):
        load_engine(Checkpoint.open(str(folder)), device="cpu", dtype="float32", threads=2)


def test_a_bert_needs_no_transformers(bert_folder):
    code = (
        "import sys; from consumer.classifier.checkpoint import Checkpoint; "
        "from consumer.classifier.loading import load_engine; "
        f"load_engine(Checkpoint.open({str(bert_folder)!r}), device='cpu', dtype='float32', threads=1).warm_up(); "
        "assert 'transformers' not in sys.modules"
    )
    run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_weights_file_may_go_once_the_model_is_loaded(bert_folder, tmp_path):
    folder = Path(shutil.copytree(bert_folder, tmp_path / "model"))
    engine = load_engine(Checkpoint.open(str(folder)), device="cpu", dtype="float32", threads=2)
    before = engine.logits(engine.tokenize(["加油"]))
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(16)  # a page of a file that was still mapped would now kill the process
    assert engine.logits(engine.tokenize(["加油"])) == before


@pytest.fixture(scope="module")
def seed_shape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the seed's published one: its sizes, its vocabulary's size, random weights, fp32."""
    folder = tmp_path_factory.mktemp("seed")
    try:
        shutil.copy(data_folder() / "bert-base-chinese" / "vocab.txt", folder / "vocab.txt")
    except pytest.skip.Exception:
        made = [chr(0x4E00 + i) for i in range(21128 - 5)]
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *made]), "utf-8")
    with torch.device("meta"):
        model = BertForSequenceClassification(
            BertConfig(vocab_size=21128, num_labels=4, problem_type="multi_label_classification")
        )
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    model.save_pretrained(folder)
    return folder


def seed_preset() -> dict[str, dict[str, object]]:
    file = resources.files("consumer.classifier") / "presets" / "tvl-general-layer.toml"
    return tomllib.loads(file.read_text("utf-8"))


def test_the_seeds_settings_name_its_labels_in_logit_order_and_its_preprocessing():
    preset = seed_preset()
    assert preset["model"]["label_names"] == ["Cheer", "Game", "Broadcast", "Chat"]
    assert preset["model"]["preprocessing"] == "seed"
    assert preset["model"]["max_tokens"] == 512
    assert preset["policy"]["default_threshold"] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_of_the_seeds_shape_runs_with_the_seeds_settings(seed_shape, dtype):
    model = seed_preset()["model"]
    checkpoint = Checkpoint.open(
        str(seed_shape),
        label_names=model["label_names"],  # type: ignore[arg-type]
        preprocessing=str(model["preprocessing"]),
        max_tokens=int(str(model["max_tokens"])),
    )
    assert sum(torch.Size(tensor.shape).numel() for tensor in checkpoint.tensors.values()) == 102_270_724
    engine: LoadedEngine = load_engine(checkpoint, device="cpu", dtype=dtype, threads=2)
    assert engine.labels == ("Cheer", "Game", "Broadcast", "Chat")
    assert engine.activation is Activation.SIGMOID
    batch = engine.tokenize([checkpoint.preprocess(text) for text in ("加油！ GO GO", ":smile:主播", "好" * 600)])
    assert list(batch.truncated) == [False, False, True]
    logits = engine.logits(batch)
    assert [len(row) for row in logits] == [4, 4, 4]
    assert all(abs(value) < 100 for row in logits for value in row)


def test_a_small_bert_can_be_made_without_every_part(tmp_path):
    """One layer has no layer before the last one."""
    folder = make_bert(tmp_path, num_hidden_layers=1)
    engine = load_engine(Checkpoint.open(str(folder)), device="cpu", dtype="bfloat16", threads=2)
    engine.warm_up()
