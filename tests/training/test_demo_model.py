import hashlib
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from consumer.demo.comments import LABELS
from consumer.training import examples
from consumer.training.demo_model import HELD_OUT_COMMENTS, encode, held_out_seed, main, train
from consumer.training.fitting import Encoded, Recipe, evaluate
from consumer.training.scores import score

SHIPPED = Path(str(files("consumer.demo").joinpath("model")))
STATED = json.loads((SHIPPED / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def trained(out, seed):
    recipe = Recipe(seed=seed, epochs=1)
    report = train(examples.generated(seed, 640), examples.generated(seed + 1, 100), recipe, "a test", out)
    return report, {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in out.iterdir()}


def test_the_same_seed_gives_the_same_bits_whatever_ran_before(tmp_path):
    _, first = trained(tmp_path / "first", 5)
    torch.rand(17)
    np.random.rand(3)
    _, second = trained(tmp_path / "second", 5)
    assert first == second
    assert set(first) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "training.json",
        "vocab.txt",
    }


def test_another_seed_gives_another_model(tmp_path):
    _, first = trained(tmp_path / "first", 5)
    _, second = trained(tmp_path / "second", 6)
    assert first["model.safetensors"] != second["model.safetensors"]


def test_training_learns(tmp_path):
    report = train(examples.generated(5, 4000), examples.generated(6, 500), Recipe(5, epochs=2), "a test", tmp_path)
    assert report.scores.f1_micro > 0.6


# ---- The model that ships --------------------------------------------------------------------------------------------


def shipped_model():
    model, loading = BertForSequenceClassification.from_pretrained(SHIPPED, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    return model.eval()


def test_the_shipped_model_has_the_four_labels_in_order_and_many_may_be_true():
    config = shipped_model().config
    assert [config.id2label[i] for i in range(4)] == list(LABELS)
    assert config.problem_type == "multi_label_classification"
    assert config.max_position_embeddings == 512


def test_the_shipped_weights_are_plain_fp32_and_take_a_few_megabytes_at_most():
    assert (SHIPPED / "model.safetensors").stat().st_size < 4_000_000
    assert {parameter.dtype for parameter in shipped_model().parameters()} == {torch.float32}


def test_the_comments_it_is_scored_on_are_those_it_was_scored_on_when_it_was_made():
    held_out = examples.generated(held_out_seed(STATED["seed"]), HELD_OUT_COMMENTS)
    assert examples.digest(held_out) == STATED["held_out"]["sha256"]


def test_the_shipped_model_scores_as_stated():
    held_out = examples.generated(held_out_seed(STATED["seed"]), HELD_OUT_COMMENTS)
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED)
    tokens = tokenizer([example.text for example in held_out], truncation=True)["input_ids"]
    scores = evaluate(shipped_model(), Encoded(tokens, [example.targets for example in held_out]))
    assert abs(scores.accuracy - STATED["scores"]["accuracy"]) < 0.002
    assert abs(scores.f1_micro - STATED["scores"]["f1_micro"]) < 0.002
    assert abs(scores.f1_macro - STATED["scores"]["f1_macro"]) < 0.002


def test_the_model_card_states_seed_and_score():
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert f"Seed {STATED['seed']}" in card
    for name in ("accuracy", "f1_micro", "f1_macro"):
        assert f"{STATED['scores'][name]:.4f}" in card


def test_training_and_transformers_cut_texts_into_the_same_tokens():
    texts = examples.generated(77, 2000)
    longest = examples.Example("加油" * 400 + "🔥🔥🔥ok123", (1, 0, 0, 0))
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED)
    theirs = tokenizer([example.text for example in [*texts, longest]], truncation=True, max_length=512)["input_ids"]
    assert encode(SHIPPED, [*texts, longest], 512).tokens == theirs


# ---- Command line ----------------------------------------------------------------------------------------------------


def test_real_comments_from_a_file_can_be_learned(tmp_path, capsys):
    rows = [
        {"text": example.text, **dict(zip(LABELS, example.targets, strict=True))}
        for example in examples.generated(3, 300)
    ]
    file = tmp_path / "comments.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    main(["--data", str(file), "--validation", str(file), "--epochs", "1", "--out", str(tmp_path / "out")])
    assert "held out: accuracy" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "training.json").read_text())["training"]["comments"] == 300


def test_data_needs_validation(capsys):
    with pytest.raises(SystemExit):
        main(["--data", "x.jsonl"])
    assert "--data and --validation go together" in capsys.readouterr().err


def test_scores_of_the_shipped_model_are_no_accident_of_the_all_zero_answer():
    true = np.array([example.targets for example in examples.generated(1, 500)], dtype=bool)
    assert score(np.zeros_like(true), true).accuracy == 0
