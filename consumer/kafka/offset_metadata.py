"""What stands beside a committed offset: of which topic it is, and what is done above it. Pure.

An offset means nothing in another topic, and a topic that was deleted and made anew has the name of the old one: the
brokers keep the group's offset, which then lies somewhere in the new log. So the topic's own id is kept with it.

The form: ``topic=ID``, then, after a space, what :mod:`consumer.kafka.span_metadata` writes; either may be missing.
"""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"topic=(\S{1,64})(?: (.*))?", re.DOTALL)


def write_metadata(topic_id: str | None, spans: str) -> str:
    """The metadata of an offset."""
    if topic_id is None:
        return spans
    return f"topic={topic_id} {spans}" if spans else f"topic={topic_id}"


def topic_of(metadata: str | None) -> str | None:
    """The id of the topic that the offset is of, if that is said."""
    found = _FORM.fullmatch(metadata or "")
    return found[1] if found else None


def spans_in(metadata: str | None) -> str | None:
    """The part that says what is done above the offset."""
    found = _FORM.fullmatch(metadata or "")
    return found[2] if found else metadata
