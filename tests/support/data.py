"""Real comments, where they are at hand: the folder named by TVL_DATA, else ``../shared/data`` beside the checkout."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def data_folder() -> Path:
    """The folder, or skip the test saying why."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("TVL_DATA", beside))
    if not (folder / "tvl" / "validation.jsonl").exists():
        pytest.skip("needs real comments: TVL_DATA names no folder with tvl/validation.jsonl")
    return folder


def validation_texts() -> list[str]:
    lines = (data_folder() / "tvl" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]
