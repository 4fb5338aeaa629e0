"""How the Python interpreter is set for a process that passes many small objects along for ever."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""Objects made and not freed before the collector looks at the young ones.

Python's own 700 are reached several times a batch by the rows in flight, none of which is garbage, and each full
collection goes through the model's and the libraries' objects. Nothing on the way of a comment makes a cycle: what it
needs is freed by its reference count at once.
"""


def settle() -> None:
    """Call once everything that lives as long as the process is made: the collector leaves it alone from then on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
