"""Where tables are printed."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

WIDTH: Final = 160  # of a table where there is no terminal


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command line end the process as for every other command: rich would exit with 1 and no word."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for tables that go elsewhere."""
    return _Console(highlight=False) if sys.stdout.isatty() else _Console(highlight=False, width=WIDTH)
