"""Checkpoint folders with random weights, and what transformers' own fp32 forward says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification, BertTokenizer

WORDS = "加油好球裁判主播看戲中華隊一二三四五六七八九十台電發攻擊防守"
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *"abcdefghijklmnopqrstuvwxyz0123456789!?,.:;()😀",
    *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"),
    *dict.fromkeys(WORDS),
]


def write_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")


def make_bert(folder: Path, *, labels: int = 4, **changes: object) -> Path:
    """A small BERT with 512 positions whose scores differ from text to text."""
    torch.manual_seed(7)
    settings: dict[str, object] = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": 0.3,
        "num_labels": labels,
        "problem_type": "multi_label_classification",
    }
    model = BertForSequenceClassification(BertConfig(**{**settings, **changes}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)  # so that a forgotten one shows
    model.save_pretrained(folder)
    write_vocabulary(folder)
    return folder


def edit_json(file: Path, **changes: object) -> None:
    """Change keys of a JSON file; ``None`` takes a key out."""
    content = {**(json.loads(file.read_text("utf-8")) if file.exists() else {}), **changes}
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), "utf-8")


def reference_logits(folder: Path, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """transformers' forward in fp32, each text alone: no padding that could matter."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return torch.cat([model(input_ids=torch.tensor([row])).logits for row in rows])


def bert_ids(folder: Path, texts: Sequence[str], max_tokens: int = 512) -> list[list[int]]:
    """What transformers' BertTokenizer gives for each text."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    return [tokenizer(text, truncation=True, max_length=max_tokens)["input_ids"] for text in texts]
