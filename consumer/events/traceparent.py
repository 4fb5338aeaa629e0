"""The one header of the input that is handed on: W3C Trace Context's ``traceparent``."""

from __future__ import annotations

import re
from typing import Final

from consumer.delivery.records import Headers

HEADER: Final = "traceparent"
# The length is fixed, so an oversized value costs nothing. Version ff and all-zero ids are invalid by the standard.
_VALID: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def read_traceparent(headers: Headers | None) -> str | None:
    """The last header of that name if it is valid; ``None`` without one, and where the headers cannot be read."""
    if not headers:
        return None
    value = None
    for name, content in headers:
        if name == HEADER:
            value = content
    return value.decode("ascii") if value is not None and _VALID.fullmatch(value) else None
