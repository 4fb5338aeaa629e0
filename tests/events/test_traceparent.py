from __future__ import annotations

import pytest

from consumer.delivery.records import Headers
from consumer.events.traceparent import read_traceparent
from tests.events.records import TRACEPARENT

VALID = TRACEPARENT.encode()


def test_a_valid_one_is_read_among_other_headers() -> None:
    assert read_traceparent((("a", b"x"), ("traceparent", VALID), ("b", None))) == TRACEPARENT


@pytest.mark.parametrize("headers", [None, (), (("a", VALID),), (("Traceparent", VALID),), (("traceparent", None),)])
def test_without_one_or_with_unreadable_headers_there_is_none(headers: Headers | None) -> None:
    assert read_traceparent(headers) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        VALID + b"\n",
        VALID + b"-" + b"0" * 1_000_000,
        VALID.upper(),
        VALID.replace(b"-", b"_"),
        b"\xff" * 55,
        "０0".encode() + VALID[2:],
        b"ff" + VALID[2:],
        b"00-" + b"0" * 32 + VALID[35:],
        VALID[:36] + b"0" * 16 + VALID[52:],
        b" " + VALID,
        b"\r\nSet-Cookie: a=b",
    ],
    ids=lambda value: repr(value[:60]),
)
def test_what_is_not_valid_is_not_handed_on(value: bytes) -> None:
    assert read_traceparent((("traceparent", value),)) is None


def test_the_last_of_several_counts_even_if_it_is_invalid() -> None:
    other = VALID[:-2] + b"00"
    assert read_traceparent((("traceparent", VALID), ("traceparent", other))) == other.decode()
    assert read_traceparent((("traceparent", VALID), ("traceparent", b"x"))) is None
