"""The model card that lies beside trained weights."""

from __future__ import annotations

from pathlib import Path

from consumer.demo.comments import LABELS
from consumer.training.fitting import THREADS
from consumer.training.report import Report

_CARD = """\
# Demo model: volleyball live chat in four classes

A BERT of {parameters:,} parameters (2 layers, 128 wide) trained from scratch on {training:,} comments. It shows the
program at work; it is no moderation model.

* Labels, multi-label with sigmoid, threshold .5, in this order: {labels}
* Text as the model reads it: lower-case, `:shortcode:` and spaces deleted
* Training data: {source}
* Seed {seed}, {epochs} epochs, {threads} threads; the same machine gives the same bits. `training.json` has the rest.

| {held_out:,} held-out comments | accuracy (all four right) | F1 micro | F1 macro |
|---|---|---|---|
| all | {accuracy:.4f} | {micro:.4f} | {macro:.4f} |
| texts that are not in the training set | {unseen_accuracy:.4f} | {unseen_micro:.4f} | {unseen_macro:.4f} |

F1 by label: {by_label}

Made by `python -m consumer.training.demo_model --seed {seed} --epochs {epochs}`.
"""


def write_card(path: Path, report: Report) -> None:
    """Write the card as Markdown."""
    by_label = ", ".join(
        f"{label} {value:.4f}" for label, value in zip(LABELS, report.scores.f1_per_label, strict=True)
    )
    card = _CARD.format(
        parameters=report.parameters,
        training=report.training_count,
        held_out=report.held_out_count,
        labels=", ".join(LABELS),
        source=report.source,
        seed=report.recipe.seed,
        epochs=report.recipe.epochs,
        threads=THREADS,
        accuracy=report.scores.accuracy,
        micro=report.scores.f1_micro,
        macro=report.scores.f1_macro,
        unseen_accuracy=report.unseen.accuracy,
        unseen_micro=report.unseen.f1_micro,
        unseen_macro=report.unseen.f1_macro,
        by_label=by_label,
    )
    path.write_text(card, encoding="utf-8")
