"""Whatever a producer writes: every record gives exactly one result, and nothing of it appears in an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.classifier.preprocessing import preset
from consumer.delivery.records import Comment, Failure, Record, Skipped, ToClassify
from consumer.events.dead_letters import DeadLetters
from consumer.events.decode import Decoder
from consumer.events.shipped import load_mapping, mapping_names
from schemas.dead_letter import RESERVED
from tests.events.records import record, unhurried
from tests.events.test_decode import json_values
from tests.events.test_shipped import SAMPLES

SECRET = "5ecret-payl0ad"
S = SECRET.encode()
GOOD = record(b'{"id":"good","text":"fine"}')
DECODER = Decoder(preprocess=preset("seed"), max_tokens=512, max_bytes=262_144)
UNLIMITED = Decoder(preprocess=preset("seed"), max_tokens=512, max_bytes=10**9)
DEAD_LETTERS = DeadLetters(model_revision="r1", app_version="1")


def among_good_ones(hostile: Record, decoder: Decoder = DECODER) -> Any:
    """Decode between two good records, which must come out as if it were not there."""
    before, decoded, after = decoder.decode([GOOD, hostile, GOOD])
    assert before == after == ToClassify(Comment("good", "fine"), "fine", 6)
    return decoded


def assert_tells_nothing(hostile: Record, failure: Failure) -> None:
    assert SECRET not in repr(failure)
    message = DEAD_LETTERS.write(hostile, failure)
    ours = [(name, value) for name, value in message.headers if name in RESERVED]
    assert S not in repr(ours).encode()


FAILING = {
    "empty bytes": b"",
    "spaces": b"   ",
    "invalid UTF-8": b'{"id":"1","text":"' + S + b'\xff\xfe"}',
    "a cut multi-byte character": '{"id":"1","text":"加'.encode()[:-1] + b'"}',
    "an encoded surrogate": b'{"id":"1","text":"' + S + b'\xed\xa0\x80"}',
    "an overlong encoding": b'{"id":"1","text":"\xc0\xaf"}',
    "a lone surrogate escape": b'{"id":"1","text":"' + S + b'\\ud800"}',
    "a lone low surrogate escape": b'{"id":"1","text":"\\udc00' + S + b'"}',
    "a raw NUL": b'{"id":"1","text":"' + S + b'\x00"}',
    "UTF-16": ('{"id":"1","text":"' + SECRET + '"}').encode("utf-16"),
    "100k deep arrays": b"[" * 100_000,
    "100k deep arrays, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects inside a comment": b'{"id":"1","text":"x","a":' + b'{"a":' * 40_000 + b"1" + b"}" * 40_001,
    "NaN": b'{"id":"1","text":"' + S + b'","score":NaN}',
    "Infinity": b'{"id":"1","text":"x","score":-Infinity}',
    "a 5000-digit id": b'{"id":' + b"9" * 5000 + b',"text":"x"}',
    "an exponent id": b'{"id":1e400,"text":"x"}',
    "an id beyond 64 bits": b'{"id":18446744073709551616,"text":"x"}',
    "two objects": b'{"id":"1","text":"' + S + b'"},{"id":"2","text":"x"}',
    "two lines": b'{"id":"1","text":"' + S + b'"}\n{"id":"2","text":"x"}',
    "an array of comments": b'[{"id":"1","text":"' + S + b'"}]',
    "a string": b'"' + S + b'"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "bare text": S,
    "an unclosed string": b'{"id":"1","text":"' + S,
    "a trailing comma": b'{"id":"1","text":"' + S + b'",}',
    "text in an object": b'{"id":"1","text":{"' + S + b'":1}}',
    "text in an array": b'{"id":"1","text":["' + S + b'"]}',
    "an object as id": b'{"id":{"' + S + b'":1},"text":"x"}',
    "wrong everything": b'{"id":["'
    + S
    + b'"],"text":true,"channel":{"'
    + S
    + b'":1},"lang":1,"metadata":"'
    + S
    + b'"}',
    "a float channel": b'{"id":"1","text":"x","channel":1.5}',
    "a duplicate key, the last one wrong": b'{"id":"1","text":"' + S + b'","text":null}',
    "1 MB of text": b'{"id":"1","text":"' + S * 80_000 + b'"}',
}


@pytest.mark.parametrize("value", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("decoder", [DECODER, UNLIMITED], ids=["limited", "unlimited"])
def test_what_is_no_comment_is_a_failure_that_tells_nothing_of_it(value: bytes, decoder: Decoder) -> None:
    hostile = record(value, key=S, headers=((SECRET, S),))
    decoded = among_good_ones(hostile, decoder)
    if len(value) > 1_000_000 and decoder is UNLIMITED:
        assert isinstance(decoded, ToClassify)
        return
    assert isinstance(decoded, Failure)
    assert_tells_nothing(hostile, decoded)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"id":"1","text":"a\\u0000b"}', "a\x00b"),
        (b'{"id":"1","text":"first","text":"last"}', "last"),
        (b'{"id":"1","text":"\\ud83d\\ude00"}', "😀"),
        ('{"id":"1","text":"\u202e\u200b\ufeff"}'.encode(), "\u202e\u200b\ufeff"),
        (b' \n{"id":"1","text":"x"}\r\n', "x"),
        (b'{"id":"1","text":"x","__proto__":{},"model_config":1,"self":2}', "x"),
        (b'{"id":"1","text":"x","":0,"big":' + b"9" * 300 + b"}", "x"),
    ],
    ids=range(7),
)
def test_what_is_odd_but_a_comment_is_read(value: bytes, text: str) -> None:
    assert among_good_ones(record(value)).comment.text == text


def test_a_text_of_a_megabyte_is_looked_at_only_in_part() -> None:
    decoded = among_good_ones(record(orjson.dumps({"id": "1", "text": ": " * 500_000 + "x"})), UNLIMITED)
    assert isinstance(decoded, Skipped | ToClassify)
    assert len(decoded.comment.text) == 1_000_001


@pytest.mark.parametrize(
    "headers",
    [
        None,
        ((SECRET, S * 100_000),),
        (("traceparent", S * 100_000),),
        (("", b""), ("", None), ("\x00", b"\x00"), ("a\r\nb", b"\r\n"), ("名" * 999, b"\xff")),
        tuple((f"h{n}", S) for n in range(10_000)),
        (("dlq.attempt", S), ("dlq.error.message", S), ("dlq.left_out", None)),
    ],
    ids=["unreadable", "huge", "huge traceparent", "weird names", "many", "posing as ours"],
)
def test_headers_change_nothing(headers: Any) -> None:
    value = b'{"id":"good","text":"fine"}'
    assert among_good_ones(record(value, headers=headers)) == among_good_ones(record(value))
    hostile = record(b"x", headers=headers)
    assert_tells_nothing(hostile, among_good_ones(hostile))


@unhurried
@given(st.binary(max_size=200))
def test_any_bytes_give_one_result(value: bytes) -> None:
    assert isinstance(among_good_ones(record(value)), ToClassify | Skipped | Failure)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A comment's JSON with the secret in it, then cut, doubled, overwritten or filled up somewhere."""
    event: dict[str, Any] = draw(
        st.dictionaries(st.sampled_from(["id", "text", "channel", "metadata", SECRET]), json_values)
    )
    event["text"] = draw(st.sampled_from([SECRET, [SECRET], {SECRET: SECRET}]))
    value = bytearray(orjson.dumps(event))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(len(value), start + 10)))
        value[start:end] = draw(st.binary(max_size=5) | st.sampled_from([b'"', b"{", b"}", b"\\", b"\\ud800", S]))
    return bytes(value)


@settings(unhurried, max_examples=300)
@given(mutated())
def test_a_damaged_comment_gives_one_result_that_tells_nothing_of_it(value: bytes) -> None:
    hostile = record(value)
    decoded = among_good_ones(hostile)
    assert isinstance(decoded, ToClassify | Skipped | Failure)
    if isinstance(decoded, Failure):
        assert_tells_nothing(hostile, decoded)


class TestForeignJson:
    """The same under every shipped mapping: records of its source, broken somewhere."""

    WORDS = ("snippet", "type", "event", "payload", "message", "data", "text", "id", "subscription", "__deleted")

    @staticmethod
    def decoder(mapping: str) -> Decoder:
        return Decoder(preprocess=preset("seed"), max_tokens=512, max_bytes=262_144, mapping=load_mapping(mapping))

    @settings(unhurried, max_examples=300)
    @given(st.data())
    def test_whatever_stands_in_place_of_a_part_gives_one_result_that_tells_nothing_of_it(self, data: st.DataObject):
        name = data.draw(st.sampled_from(mapping_names()))
        file = SAMPLES / f"{name}.json"
        samples = list(orjson.loads(file.read_bytes()).values()) if file.exists() else [{"id": "1", "text": SECRET}]
        event = data.draw(st.sampled_from(samples))
        places = list(_places(event))
        for _ in range(data.draw(st.integers(1, 3))):
            above, step = data.draw(st.sampled_from(places))
            odd = st.sampled_from([SECRET, [SECRET], {SECRET: 1}, [], {}, None, True, 1.5, 2**63, ""]) | json_values
            above[step] = data.draw(odd)
        headers = data.draw(
            st.sampled_from([None, (), (("ce_id", S),), (("ce_id", S + b"\xff"),), (("ce_id", None), (SECRET, S))])
        )
        hostile = record(orjson.dumps(event), headers=headers)
        (decoded,) = self.decoder(name).decode([hostile])
        assert isinstance(decoded, ToClassify | Skipped | Failure)
        if isinstance(decoded, Failure):
            assert decoded.type in ("missing_field", "invalid_field")
            assert_tells_nothing(hostile, decoded)

    @unhurried
    @given(st.sampled_from(mapping_names()), st.dictionaries(st.sampled_from(WORDS), json_values))
    def test_any_object_gives_one_result(self, name: str, event: dict[str, Any]):
        (decoded,) = self.decoder(name).decode([record(orjson.dumps(event))])
        assert isinstance(decoded, ToClassify | Skipped | Failure)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as what it stands in and its name or number there."""
    for step in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, step
        yield from _places(value[step])
