"""What needs no model. No I/O."""

from __future__ import annotations

import unicodedata
from typing import Final

EMPTY: Final = "empty"
TOO_OLD: Final = "too_old"

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
"""Unicode categories of what leaves nothing on the page. Unassigned ones are not among them: newer emoji are that."""


def skip_reason(text: str) -> str | None:
    """Why this preprocessed text is not worth a forward pass, or ``None`` when it is.

    A text of nothing but zero-width and control characters is as empty as one of spaces: there is nothing to read.
    """
    plain = text.strip()
    if plain and plain[0].isprintable():
        return None
    return None if any(unicodedata.category(char) not in _UNSEEN for char in plain) else EMPTY
