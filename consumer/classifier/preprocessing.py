"""What is done to a comment's text before it is tokenised: named presets, plain functions. No torch, no I/O.

A preset belongs to the model: its name goes into the model's digest, and another one changes the logits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

Preprocessing: TypeAlias = Callable[[str], str]
"""Text in, text out. Idempotent, and never raises, lone surrogates included."""

_SHORTCODE = re.compile(":[^:]+:")


def unchanged(text: str) -> str:
    """Preset ``none``: the model reads the text as it came."""
    return text


def seed(text: str) -> str:
    """Preset ``seed``: lower-case, ``:shortcode:`` deleted, spaces deleted, as the seed's training texts were made.

    A shortcode is anything between two colons, so ``3:0 3:1`` becomes ``31``: the model has seen it that way. A space
    is U+0020 and nothing else: the training texts still hold ideographic and no-break spaces.
    """
    text = text.lower()
    if text.count(":") > 1:
        # Deleting one shortcode can bring the colons of another together (`::a:b:`), and a text that was prepared
        # must not change when it is prepared again. Each pass is linear, and halves what is left to delete.
        found = 1
        while found:
            text, found = _SHORTCODE.subn("", text)
    return text.replace(" ", "")


PRESETS: Mapping[str, Preprocessing] = MappingProxyType({"none": unchanged, "seed": seed})


def preset(name: str) -> Preprocessing:
    """The preset of this name.

    Raises:
        ValueError: there is none; the message names those that there are.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"no preprocessing is called {name!r}; there are: {', '.join(PRESETS)}") from None
