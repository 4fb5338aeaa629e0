"""What the libraries of this room log comes out as the program's own logs do."""

from __future__ import annotations

import logging


def adopt(library: str) -> None:
    """Take away the handler that ``library`` brought along when it was imported.

    It writes plain text to standard error, between JSON lines, and keeps the messages from the root logger, which has
    the program's own handler.
    """
    logger = logging.getLogger(library)
    logger.handlers.clear()
    logger.propagate = True
