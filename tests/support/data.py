"""Real comments, where they are at hand: the folder named by TVL_DATA, else ``../shared/data`` beside the checkout."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

TO_HAVE_IT = "set TVL_DATA to the folder that holds tvl/validation.jsonl"


def find_data() -> Path | None:
    """The folder, if there is one."""
    named = os.environ.get("TVL_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if (folder / "tvl" / "validation.jsonl").exists() else None


def data_folder() -> Path:
    """The folder, or skip the test saying why."""
    folder = find_data()
    if folder is None:
        pytest.skip(f"real comments are not here; {TO_HAVE_IT}")
    return folder


def texts_of(folder: Path, name: str = "validation") -> list[str]:
    """The comments of ``tvl/NAME.jsonl`` in their order, as they were prepared for the seed."""
    with (folder / "tvl" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def validation_texts(limit: int | None = None) -> list[str]:
    """The validation comments, or skip."""
    return texts_of(data_folder())[:limit]
