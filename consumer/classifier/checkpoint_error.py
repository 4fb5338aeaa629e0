"""Why a model cannot be used."""

from __future__ import annotations


class CheckpointError(Exception):
    """A checkpoint is incomplete, inconsistent or not supported.

    The message is one line: which file, what is wrong, what to do.
    """

    def __init__(self, file: str, problem: str, advice: str) -> None:
        super().__init__(f"{file}: {problem}; {advice}")
