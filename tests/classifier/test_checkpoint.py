from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.engine import Activation
from tests.classifier.checkpoints import edit_json, make_bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(bert_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(bert_folder, tmp_path / "model"))


def open_(folder: Path, **settings: object) -> Checkpoint:
    return Checkpoint.open(str(folder), **settings)  # type: ignore[arg-type]


def change_weights(folder: Path, change) -> None:
    weights = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(weights)
    save_file(weights, folder / "model.safetensors")


def refusal(folder: Path, **settings: object) -> str:
    with pytest.raises(CheckpointError) as refused:
        open_(folder, **settings)
    message = str(refused.value)
    assert "\n" not in message
    assert str(folder) not in message
    return message


def test_a_sound_folder_says_what_it_holds(folder):
    found = open_(folder, revision="v7", label_names=["a", "b", "c", "d"], preprocessing="seed", max_tokens=64)
    assert (found.name, found.revision) == ("model", "v7")
    assert found.labels == ("a", "b", "c", "d")
    assert found.activation is Activation.SIGMOID
    assert (found.max_tokens, found.preprocessing, found.packed) == (64, "seed", True)
    assert found.preprocess("A b") == "ab"


def test_without_settings_the_config_decides(folder):
    edit_json(folder / "config.json", id2label={"2": "c", "0": "a", "1": "b", "3": "d"})
    found = open_(folder)
    assert found.labels == ("a", "b", "c", "d")
    assert (found.revision, found.max_tokens, found.preprocessing) == ("local", 512, "none")


@pytest.mark.parametrize(
    ("stated", "override", "labels", "activation"),
    [
        ("multi_label_classification", None, 4, Activation.SIGMOID),
        ("single_label_classification", None, 4, Activation.SOFTMAX),
        (None, None, 4, Activation.SOFTMAX),
        (None, None, 1, Activation.SIGMOID),
        ("single_label_classification", "multi_label_classification", 4, Activation.SIGMOID),
        ("regression", "multi_label_classification", 1, Activation.SIGMOID),
    ],
)
def test_scores_are_made_as_transformers_pipeline_makes_them(tmp_path, stated, override, labels, activation):
    make_bert(tmp_path, labels=labels, num_hidden_layers=1)
    edit_json(tmp_path / "config.json", problem_type=stated)
    assert open_(tmp_path, problem_type=override).activation is activation


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem_type": "regression"}, ["config.json", "'regression'", "model.problem_type"]),
        ({"problem_type": "sorting_hat"}, ["config.json", "'sorting_hat'"]),
        ({"id2label": {"0": "a", "2": "b"}}, ["config.json", "id2label"]),
        ({"id2label": ["a", "b"]}, ["config.json", "id2label"]),
        ({"id2label": {"0": "a", "1": "a", "2": "b", "3": "c"}}, ["config.json", "one name"]),
        ({"id2label": {"0": "a", "1": "b"}}, ["model.safetensors", "classifier.weight", "[4, 32]", "[2, 32]"]),
        ({"hidden_size": 48}, ["model.safetensors", "shape"]),
        ({"num_hidden_layers": 4}, ["model.safetensors", "bert.encoder.layer.3", "missing"]),
        ({"num_attention_heads": 5}, ["config.json", "num_attention_heads"]),
        ({"vocab_size": 9}, ["model.safetensors", "word_embeddings"]),
        ({"max_position_embeddings": 9999}, ["model.safetensors", "position_embeddings"]),
        ({"intermediate_size": "many"}, ["config.json", "positive whole number"]),
        ({"position_embedding_type": "relative_key"}, ["config.json", "relative"]),
    ],
    ids=str,
)
def test_a_config_that_contradicts_itself_or_the_weights_is_refused(folder, changes, words):
    edit_json(folder / "config.json", **changes)
    message = refusal(folder)
    assert [word for word in words if word not in message] == []


def test_a_missing_tensor_is_named(folder):
    change_weights(folder, lambda weights: weights.pop("bert.pooler.dense.bias"))
    assert "bert.pooler.dense.bias is missing" in refusal(folder)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder):
    change_weights(folder, lambda weights: weights.update({"bert.pooler.dense.weight": torch.zeros(32, 31)}))
    assert "bert.pooler.dense.weight has shape [32, 31], and config.json makes it [32, 32]" in refusal(folder)


def test_a_quantised_tensor_is_refused(folder):
    change_weights(
        folder, lambda weights: weights.update({"bert.pooler.dense.weight": torch.zeros(32, 32, dtype=torch.int8)})
    )
    assert "quantised" in refusal(folder)


def test_tensors_that_the_model_does_not_need_are_left_alone(folder):
    change_weights(folder, lambda weights: weights.update({"bert.embeddings.position_ids": torch.arange(512)}))
    assert open_(folder).packed


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_damaged_weights_are_refused(folder, keep):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert "model.safetensors: is damaged" in refusal(folder)


def test_a_folder_with_a_pickle_only_is_refused_with_advice(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = refusal(folder)
    assert message.startswith("pytorch_model.bin: ")
    assert "save_pretrained" in message


def test_sharded_weights_are_one_model(folder):
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    index = {}
    for part, chosen in enumerate((names[::2], names[1::2])):
        save_file({name: weights[name].clone() for name in chosen}, folder / f"model-{part}.safetensors")
        index |= dict.fromkeys(chosen, f"model-{part}.safetensors")
    (folder / "model.safetensors").unlink()
    edit_json(folder / "model.safetensors.index.json", weight_map=index)
    assert open_(folder).packed
    (folder / "model-1.safetensors").unlink()
    assert "model-1.safetensors" in refusal(folder)


def test_an_index_cannot_name_a_file_elsewhere(folder):
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    edit_json(folder / "model.safetensors.index.json", weight_map={"classifier.bias": "../outside.safetensors"})
    assert "index.json" in refusal(folder)


def test_an_index_that_lists_nothing_is_refused(folder):
    (folder / "model.safetensors").unlink()
    edit_json(folder / "model.safetensors.index.json", weight_map={})
    assert "index.json: holds no weight_map" in refusal(folder)


@pytest.mark.parametrize("missing", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    assert refusal(folder).startswith(f"{missing}: is missing")


def test_a_file_that_is_no_json_is_named_once(folder):
    (folder / "config.json").write_text("{")
    assert refusal(folder).startswith("config.json: is not readable JSON")


def test_more_layers_than_there_are_tensors_are_refused_at_once(folder):
    edit_json(folder / "config.json", num_hidden_layers=1_000_000_000)
    assert "num_hidden_layers is more than" in refusal(folder)


@pytest.mark.parametrize("epsilon", ["x", -1.0, 0, 2.0, float("nan"), True])
def test_an_epsilon_that_makes_no_sense_is_refused(folder, epsilon):
    edit_json(folder / "config.json", layer_norm_eps=epsilon)
    assert "layer_norm_eps" in refusal(folder)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "[" * 100_000, "\udcff"], ids=["empty", "list", "open", "deep", "bytes"]
)
def test_a_config_that_is_no_json_object_is_refused(folder, content):
    (folder / "config.json").write_text(content, "utf-8", "surrogateescape")
    assert refusal(folder).startswith("config.json")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"label_names": ["a"]}, "4 labels, and model.label_names gives 1"),
        ({"label_names": ["a", "b", "c", "c"]}, "one name"),
        ({"max_tokens": 513}, "takes 512 tokens, and model.max_tokens is 513"),
        ({"max_tokens": 2}, "no room"),
        ({"preprocessing": "gone"}, "model.preprocessing"),
        ({"problem_type": "regression"}, "model.problem_type"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(folder, settings, words):
    assert words in refusal(folder, **settings)


def test_the_tokenizers_own_limit_counts(folder):
    edit_json(folder / "tokenizer_config.json", model_max_length=128)
    assert open_(folder).max_tokens == 128
    edit_json(folder / "tokenizer_config.json", model_max_length=10**30)
    assert open_(folder).max_tokens == 512


def digest(folder: Path, dtype: str = "float32", **settings: object) -> str:
    return open_(folder, **settings).identity(dtype).digest


def test_the_digest_is_that_of_the_content_wherever_it_lies(folder, tmp_path):
    elsewhere = Path(shutil.copytree(folder, tmp_path / "other-name"))
    assert digest(folder) == digest(elsewhere)
    assert len(digest(folder)) == 64
    (elsewhere / "README.md").write_text("changes no logit")
    assert digest(folder) == digest(elsewhere, label_names=["a", "b", "c", "d"])


def test_the_digest_changes_with_everything_that_changes_logits(folder):
    digests = [
        digest(folder),
        digest(folder, "bfloat16"),
        digest(folder, max_tokens=511),
        digest(folder, preprocessing="seed"),
    ]
    change_weights(folder, lambda weights: weights["classifier.bias"].add_(1e-6))
    digests.append(digest(folder))
    (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text("utf-8").replace("加\n油", "油\n加"), "utf-8")
    digests.append(digest(folder))
    edit_json(folder / "config.json", layer_norm_eps=1e-6)
    digests.append(digest(folder))
    edit_json(folder / "tokenizer_config.json", do_lower_case=False)
    digests.append(digest(folder))
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:12]])
def test_a_hub_id_needs_a_commit(revision):
    with pytest.raises(CheckpointError, match=r"model\.revision.*40 hex"):
        Checkpoint.open("someone/some-model", revision)


@pytest.mark.parametrize("source", ["no/such/folder", "/no/such", "plain", "https://example.org/model", "../up"])
def test_a_source_that_is_neither_folder_nor_hub_id_is_refused(source):
    with pytest.raises(CheckpointError, match=r"model\.source"):
        Checkpoint.open(source, COMMIT)


@pytest.mark.parametrize("allow", [False, True])
def test_the_hub_is_asked_for_safetensors_only_and_for_downloads_only_when_allowed(folder, monkeypatch, allow):
    asked: dict[str, object] = {}

    def snapshot(source: str, **how: object) -> str:
        asked.update(how, source=source)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = Checkpoint.open("someone/some-model", COMMIT, allow_download=allow)
    assert (found.name, found.revision) == ("someone/some-model", COMMIT)
    assert (asked["source"], asked["revision"], asked["local_files_only"]) == ("someone/some-model", COMMIT, not allow)
    patterns = json.dumps(asked["allow_patterns"])
    assert "safetensors" in patterns
    assert not any(bad in patterns for bad in (".bin", ".pt", ".py", ".msgpack", ".h5"))


def test_a_revision_that_is_not_in_the_cache_is_refused_with_the_setting_that_allows_it(monkeypatch):
    def absent(source: str, **how: object) -> str:
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)
    with pytest.raises(CheckpointError, match=r"local cache; .*model\.allow_download"):
        Checkpoint.open("someone/some-model", COMMIT)
