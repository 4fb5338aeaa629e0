"""What needs no model. No I/O."""

from __future__ import annotations

EMPTY = "empty"
TOO_OLD = "too_old"


def skip_reason(text: str) -> str | None:
    """Why this preprocessed text is not worth a forward pass, or ``None`` when it is."""
    return None if text.strip() else EMPTY
