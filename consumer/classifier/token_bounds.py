"""How many tokens a text can come to at the most, known before it is tokenised. No I/O.

What a batch may hold is counted in these, so they err upwards. Two special tokens are included.
"""

from __future__ import annotations

import re
from typing import Final

SPECIAL: Final = 2

_TAKEN_APART = re.compile("[\u0900-\u109f\u1b00-\u1b4f\uac00-\ud7a3\U00011000-\U0001d1ff]")
"""Blocks with characters that Unicode's canonical decomposition turns into two or three that BERT's keeps."""


def bert_tokens(text: str) -> int:
    """At most one token a character. BERT takes some characters apart first, a Hangul syllable into its letters."""
    bound = len(text) + SPECIAL
    return bound if text.isascii() else bound + 2 * len(_TAKEN_APART.findall(text))


def byte_tokens(text: str) -> int:
    """At most one token a byte in UTF-8, which is what byte-level vocabularies fall back to."""
    return len(text.encode("utf-8", "surrogatepass")) + SPECIAL
