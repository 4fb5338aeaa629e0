"""``comment-consumer classify`` on the demo model, in a process that a test can kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "consumer" / "demo" / "model"
SETTINGS = ("--model.source", str(MODEL), "--model.preprocessing", "seed", "--model.threads", "1")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "consumer", "classify", *map(str, arguments), *SETTINGS]


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")} | variables


def classify(*arguments: object, given: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments),
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env=environment(**variables),
    )


class Done(NamedTuple):
    """As of :class:`subprocess.CompletedProcess`."""

    returncode: int
    stdout: bytes
    stderr: bytes


class SmallBatches:
    """Settings that make many small batches, so that there is much to be interrupted."""

    flags = ("--batch.max-comments", "8", "--cache.max-entries", "50")
