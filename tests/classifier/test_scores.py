"""What the engine answers, held against transformers' fp32 forward of each text alone."""

from __future__ import annotations

from importlib import resources
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from consumer.classifier import encoder
from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.dense import PlainDense
from consumer.classifier.loading import LoadedEngine, load_engine
from consumer.classifier.padded import PaddedModel
from consumer.classifier.preprocessing import seed
from consumer.classifier.tokenizer import bert_tokenizer
from consumer.demo.comments import comments
from tests.classifier.checkpoints import (
    VOCABULARY,
    WORDS,
    bert_ids,
    edit_json,
    make_bert,
    reference_logits,
    write_vocabulary,
)
from tests.support.data import validation_texts

EXACT = 1e-5
HOSTILE = [
    "",
    " \t\n",
    "\x00\x01\u200b\ufeff",
    "\ud83d lone \udc00",
    "🇹🇼👨\u200d👩\u200d👧\u200d👦😀",
    "مرحبا \u202e加油\u202c שלום",
    "Z̸̡̢͎̲a̵̛͓l̶͖̈g̴̻̕o̷̙͌",
    "[CLS][SEP][PAD][MASK]",
    "加" * 1_000_000,
    "a" * 1_000_000,
]


def text_of(tokens: int) -> str:
    """A text of so many tokens with [CLS] and [SEP]."""
    return "".join(WORDS[(place * place + tokens) % len(WORDS)] for place in range(tokens - 2))


def scores(engine: LoadedEngine, texts: list[str]) -> torch.Tensor:
    return torch.tensor(engine.logits(engine.tokenize(texts))).sigmoid()


def load(folder: Path, dtype: str = "float32") -> LoadedEngine:
    return load_engine(Checkpoint.open(str(folder)), device="cpu", dtype=dtype, threads=2)


def make_distilbert(folder: Path) -> Path:
    torch.manual_seed(3)
    config = DistilBertConfig(
        vocab_size=len(VOCABULARY), dim=32, hidden_dim=64, n_layers=2, n_heads=4, initializer_range=0.3, num_labels=3
    )
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    write_vocabulary(folder)
    edit_json(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    edit_json(folder / "config.json", problem_type="multi_label_classification")
    return folder


def make_roberta(folder: Path) -> Path:
    """Counts positions from the padding id on, so that padding with another id changes its answers."""
    torch.manual_seed(4)
    config = RobertaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        initializer_range=0.3,
        num_labels=2,
        problem_type="multi_label_classification",
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    write_vocabulary(folder)
    backend = bert_tokenizer(folder)
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]").save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return folder


@pytest.fixture(scope="module", params=["bert", "distilbert", "roberta"])
def architecture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return {"bert": make_bert, "distilbert": make_distilbert, "roberta": make_roberta}[request.param](folder)


def test_scores_are_those_of_transformers_over_every_length_in_one_batch(architecture, tmp_path):
    write_vocabulary(tmp_path)  # the same words for all three
    texts = [text_of(tokens) for tokens in Random(1).sample(range(2, 513), 511)]
    engine = load(architecture)
    batch = engine.tokenize(texts)
    assert sorted(batch.lengths.tolist()) == list(range(2, 513))
    expected = reference_logits(architecture, bert_ids(tmp_path, texts)).sigmoid()
    assert expected.std(0).min() > 0.02  # else the comparison would say nothing
    assert (torch.tensor(engine.logits(batch)).sigmoid() - expected).abs().max() < EXACT


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(2, 20) | st.integers(2, 512), min_size=1, max_size=24))
def test_scores_of_mixed_batches_are_those_of_transformers(bert, bert_folder, lengths):
    texts = [text_of(tokens) for tokens in lengths]
    expected = reference_logits(bert_folder, bert_ids(bert_folder, texts)).sigmoid()
    assert (scores(bert, texts) - expected).abs().max() < EXACT


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"])
def test_every_activation_function_is_that_of_transformers(tmp_path, hidden_act):
    make_bert(tmp_path, hidden_act=hidden_act)
    texts = [text_of(tokens) for tokens in (2, 5, 5, 40)]
    expected = reference_logits(tmp_path, bert_ids(tmp_path, texts)).sigmoid()
    assert (scores(load(tmp_path), texts) - expected).abs().max() < EXACT


def test_scores_are_the_same_without_onednn(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "dense_for", lambda device, dtype: PlainDense)
    make_bert(tmp_path, num_hidden_layers=1)
    texts = [text_of(tokens) for tokens in (2, 9, 140, 512)]
    expected = reference_logits(tmp_path, bert_ids(tmp_path, texts)).sigmoid()
    assert (scores(load(tmp_path), texts) - expected).abs().max() < EXACT


def test_old_names_of_normalisation_weights_are_read(tmp_path):
    from safetensors.torch import load_file, save_file

    make_bert(tmp_path)
    texts = [text_of(tokens) for tokens in (3, 30)]
    expected = reference_logits(tmp_path, bert_ids(tmp_path, texts)).sigmoid()
    weights = load_file(tmp_path / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in weights.items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[name] = tensor.clone()
    save_file(renamed, tmp_path / "model.safetensors")
    assert (scores(load(tmp_path), texts) - expected).abs().max() < EXACT


@pytest.mark.parametrize("source", ["generated comments", "real comments"])
def test_bfloat16_scores_of_a_trained_model_are_within_a_hundredth(source):
    folder = Path(str(resources.files("consumer.demo") / "model"))
    texts = (
        [comment.text for comment in islice(comments(5), 4000)]
        if source == "generated comments"
        else validation_texts()
    )
    texts = [seed(text) for text in texts]
    full, half = (scores(load(folder, dtype), texts) for dtype in ("float32", "bfloat16"))
    assert (full > 0.9).any()  # it is trained: it is sure of some
    assert (full < 0.1).any()
    assert ((full - half).abs() < 0.01).float().mean() >= 0.999


def test_an_architecture_that_the_packed_forward_does_not_know_is_padded(tmp_path):
    engine = load(make_distilbert(tmp_path))
    assert isinstance(engine._forward, PaddedModel)


def test_dense_layers_meet_few_sizes_however_batches_vary(tmp_path, monkeypatch):
    """oneDNN keeps code for every size that it meets."""
    met: set[int] = set()

    class Recording(PlainDense):
        def __call__(self, x):
            met.add(len(x))
            return super().__call__(x)

    monkeypatch.setattr(encoder, "dense_for", lambda device, dtype: Recording)
    engine = load(make_bert(tmp_path))
    for rows in range(1, 60):
        engine.logits(engine.tokenize([text_of(2 + rows % 7)] * rows))
    assert met <= {encoder.padded_size(size) for size in range(1, 2049)}


@given(st.integers(1, 100_000))
def test_a_padded_size_is_one_of_eight_for_each_doubling(size):
    padded = encoder.padded_size(size)
    assert size <= padded < size * 9 / 8 + 8
    assert encoder.padded_size(padded) == padded
    assert len({encoder.padded_size(other) for other in range(1025, 2049)}) == 8


def test_selected_rows_get_the_logits_they_had(bert):
    texts = [text_of(tokens) for tokens in (30, 2, 512, 7, 7, 100)]
    batch = bert.tokenize(texts)
    whole = torch.tensor(bert.logits(batch))
    for rows in ([0], [5, 1], [4, 3, 2], list(range(6))):
        assert torch.allclose(torch.tensor(bert.logits(batch.select(rows))), whole[rows], atol=1e-5)


def test_no_rows_have_no_logits(bert):
    assert list(bert.logits(bert.tokenize([]))) == []
    assert list(bert.logits(bert.tokenize(["加油"]).select([]))) == []


def test_a_batch_of_many_tokens_answers_like_its_texts_alone(bert):
    texts = [text_of(tokens) for tokens in (512,) * 12 + (2,) * 3]
    together = torch.tensor(bert.logits(bert.tokenize(texts)))
    assert torch.allclose(together[0], torch.tensor(bert.logits(bert.tokenize(texts[:1])))[0], atol=1e-5)
    assert torch.allclose(together[12:], torch.tensor(bert.logits(bert.tokenize(texts[-1:]))), atol=1e-5)


def test_a_text_over_the_limit_is_cut_and_marked(bert):
    batch = bert.tokenize([text_of(512), text_of(513), text_of(5000)])
    assert list(batch.truncated) == [False, True, True]
    logits = bert.logits(batch)
    assert logits[1] != logits[0]
    assert torch.tensor(bert.logits(bert.tokenize(["加" * 511])))[0].tolist() == pytest.approx(
        bert.logits(bert.tokenize(["加" * 9999]))[0], abs=1e-5
    )


def test_hostile_texts_get_finite_logits(bert):
    for text, row in zip(HOSTILE, bert.logits(bert.tokenize(HOSTILE)), strict=True):
        assert all(-1e3 < value < 1e3 for value in row), ascii(text[:20])


def test_a_weight_that_is_not_a_number_shows_in_the_logits_and_fails_the_warm_up(tmp_path):
    from safetensors.torch import load_file, save_file

    make_bert(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["classifier.bias"][2] = float("nan")
    save_file(weights, tmp_path / "model.safetensors")
    engine = load(tmp_path)
    [row] = engine.logits(engine.tokenize(["加"]))
    assert [value != value for value in row] == [False, False, True, False]
    with pytest.raises(Exception, match="NaN"):
        engine.warm_up()


def test_warm_up_passes_on_a_sound_model(bert):
    bert.warm_up()
