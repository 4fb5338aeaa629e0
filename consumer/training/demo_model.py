"""Train the demo's model: ``python -m consumer.training.demo_model --out DIR``.

Without ``--data`` it learns from comments that the project generates, and the result is the model that ships in
``consumer/demo/model``. With ``--data FILE --validation FILE`` it learns from real comments instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer

from consumer.demo.comments import LABELS
from consumer.training import examples
from consumer.training.card import write_card
from consumer.training.examples import Example
from consumer.training.fitting import THREADS, Encoded, Recipe, evaluate, fit, make_deterministic
from consumer.training.report import Report
from consumer.training.vocabulary import build_vocabulary

SEED = 2026
EPOCHS = 4
TRAINING_COMMENTS = 60_000
HELD_OUT_COMMENTS = 20_000
MAX_TOKENS = 512
TRAINING_MAX_TOKENS = 64
"""Longer texts are cut in training, as the seed model's were; positions beyond stay close to their random start."""


def held_out_seed(seed: int) -> int:
    """The seed of the generated comments that a model trained with ``seed`` is scored on."""
    return seed + 1


def train(training: Sequence[Example], held_out: Sequence[Example], recipe: Recipe, source: str, out: Path) -> Report:
    """Train a model and write its folder: config, vocabulary, weights, ``training.json`` and ``README.md``.

    Args:
        training: what to learn from; the vocabulary comes from here, too.
        held_out: what to report scores on.
        recipe: seed and settings.
        source: where the comments come from, for the model card.
        out: the folder to write; it is made when it is not there.
    """
    make_deterministic(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = build_vocabulary(example.text for example in training)
    _write_tokenizer(out, vocabulary)
    model = transformers.BertForSequenceClassification(_config(len(vocabulary)))
    fit(model, encode(out, training, TRAINING_MAX_TOKENS), recipe, vocabulary.index("[UNK]"))
    known = {example.text for example in training}
    unseen = [example for example in held_out if example.text not in known]
    report = Report(
        recipe=recipe,
        source=source,
        training_digest=examples.digest(training),
        held_out_digest=examples.digest(held_out),
        training_count=len(training),
        held_out_count=len(held_out),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        scores=evaluate(model, encode(out, held_out, MAX_TOKENS)),
        unseen=evaluate(model, encode(out, unseen, MAX_TOKENS)),
    )
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(out)
    weights = out / "model.safetensors"
    save_file(model.state_dict(), weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    _write_json(out / "training.json", _described(report))
    write_card(out / "README.md", report)
    return report


def encode(folder: Path, data: Sequence[Example], max_tokens: int) -> Encoded:
    """Tokenise with the vocabulary in ``folder``, cutting what is longer than ``max_tokens``."""
    tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    tokenizer.enable_truncation(max_tokens)
    encodings = tokenizer.encode_batch([example.text for example in data])
    return Encoded([encoding.ids for encoding in encodings], [example.targets for example in data])


def _config(vocabulary_size: int) -> transformers.BertConfig:
    return transformers.BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=MAX_TOKENS,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        problem_type="multi_label_classification",
        initializer_range=0.05,
    )


def _write_tokenizer(out: Path, vocabulary: Sequence[str]) -> None:
    (out / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": MAX_TOKENS,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    _write_json(out / "tokenizer_config.json", settings)


def _described(report: Report) -> dict[str, object]:
    return {
        "seed": report.recipe.seed,
        "recipe": report.recipe._asdict(),
        "threads": THREADS,
        "source": report.source,
        "training": {"comments": report.training_count, "sha256": report.training_digest},
        "held_out": {"comments": report.held_out_count, "sha256": report.held_out_digest},
        "parameters": report.parameters,
        "scores": report.scores._asdict(),
        "scores_on_unseen_texts": report.unseen._asdict(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "machine": platform.machine(),
        },
    }


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says and print the scores."""
    parser = argparse.ArgumentParser(prog="python -m consumer.training.demo_model", description=__doc__)
    parser.add_argument("--data", type=Path, help="JSON lines of real comments: text and a 0 or 1 under each label")
    parser.add_argument("--validation", type=Path, help="as --data, to score on; needed with --data")
    parser.add_argument("--out", type=Path, default=Path("demo-model"), help="folder to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="decides every bit (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the data (default: %(default)s)")
    options = parser.parse_args(arguments)
    if (options.data is None) != (options.validation is None):
        parser.error("--data and --validation go together")
    if options.data is None:
        training = examples.generated(options.seed, TRAINING_COMMENTS)
        held_out = examples.generated(held_out_seed(options.seed), HELD_OUT_COMMENTS)
        source = "comments generated by consumer.demo.comments"
    else:
        training, held_out = examples.read(options.data), examples.read(options.validation)
        source = "a file of real comments"
    started = time.monotonic()
    report = train(training, held_out, Recipe(options.seed, options.epochs), source, options.out)
    digest = hashlib.sha256((options.out / "model.safetensors").read_bytes()).hexdigest()
    print(f"trained in {time.monotonic() - started:.0f} s: {report.parameters:,} parameters in {options.out}")
    print(f"model.safetensors sha256 {digest}")
    for name, scores in (("held out", report.scores), ("of these unseen", report.unseen)):
        print(f"{name}: accuracy {scores.accuracy:.4f}, F1 micro {scores.f1_micro:.4f}, macro {scores.f1_macro:.4f}")


if __name__ == "__main__":
    main()
