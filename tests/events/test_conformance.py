"""Lines of events, judged by the very schemas that are published."""

from __future__ import annotations

import json

import jsonschema
import orjson
import pytest

from consumer.events.conformance import complaints
from schemas.export import MODELS, render
from tests.schemas.test_draft07 import VALUES, changed, places
from tests.schemas.test_released_versions import SAMPLES, model_of

SECRET = "5ecret"
# Rules that the schema cannot say, and one that the model cannot: true is no 1 to a schema.
BEYOND = {("schema_version",), ("classified_at",), ("labels",), ("model",), ("skip_reason",)}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.parent.name}/{sample.stem}")
def test_every_released_event_is_good(sample) -> None:
    assert complaints(model_of(sample), sample.read_bytes()) == []


@pytest.mark.parametrize("name", ["comment", "labeled", "dead-letter-stub"])
def test_a_line_is_good_exactly_if_its_schema_says_so(name: str) -> None:
    schema = jsonschema.Draft202012Validator(json.loads(render(name)))
    judged = {True: 0, False: 0}
    for sample in SAMPLES:
        if model_of(sample) is not MODELS[name]:
            continue
        event = json.loads(sample.read_text("utf-8"))
        for place in places(event):
            for value in () if place in BEYOND else VALUES:
                spoiled = changed(event, place, value)
                good = schema.is_valid(spoiled)
                assert (complaints(MODELS[name], orjson.dumps(spoiled)) == []) is good, (place, value)
                judged[good] += 1
    assert min(judged.values()) > 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "not JSON"),
        (b'{"id": "%s"' % SECRET.encode(), "not JSON in UTF-8, at character"),
        (b'{"id": "\xff"}', "not JSON"),
        (b'{"id": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not an object"),
        (b"null", "not an object"),
    ],
    ids=range(7),
)
def test_what_is_no_json_object_is_said_to_be_none(line: bytes, said: str) -> None:
    (complaint,) = complaints(MODELS["comment"], line)
    assert said in complaint
    assert SECRET not in complaint


def test_a_complaint_names_the_field_and_quotes_nothing() -> None:
    event = {"id": [SECRET], "text": {SECRET: 1}, "metadata": [SECRET], SECRET: 1, "published_at": 1.5}
    found = complaints(MODELS["comment"], orjson.dumps(event))
    assert {complaint.split(":")[0].split(".")[0] for complaint in found} == {"id", "text", "metadata", "published_at"}
    assert not any(SECRET in complaint for complaint in found)


def test_a_field_inside_a_list_is_named_with_its_place() -> None:
    event = json.loads(next(each for each in SAMPLES if each.stem == "labeled-full").read_text("utf-8"))
    event["labels"] = [event["labels"][0], {**event["labels"][0], "score": 1.5}]
    (complaint,) = complaints(MODELS["labeled"], orjson.dumps(event))
    assert complaint.startswith("labels.1.score: ")


def test_headers_are_judged_as_text() -> None:
    sample = next(each for each in SAMPLES if each.stem == "dead-letter-headers-whole")
    headers = json.loads(sample.read_text("utf-8"))
    assert complaints(MODELS["dead-letter-headers"], orjson.dumps({**headers, "dlq.attempt": "12"})) == []
    (complaint,) = complaints(MODELS["dead-letter-headers"], orjson.dumps({**headers, "dlq.attempt": SECRET}))
    assert complaint.startswith("dlq.attempt: ")
    assert SECRET not in complaint
