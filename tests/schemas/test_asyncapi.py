"""The AsyncAPI document: valid by the official schema, whole, and true to what the program writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from consumer.delivery.records import Failure, Headers, Message, Record, Stage
from consumer.events.dead_letters import DeadLetters
from schemas import CommentEvent, DeadLetterHeaders, DeadLetterStub, LabeledEvent
from schemas.asyncapi import asyncapi
from schemas.asyncapi_parts import components_of
from schemas.deployment import Deployment
from tests.events.records import TRACEPARENT, record

OFFICIAL = Path(__file__).parent / "asyncapi" / "3.0.0.schema.json"
EVERYTHING = Deployment(
    input_topic="in.v1",
    output_topic="out",
    dead_letter_topic="dead",
    group_id="team-a",
    client_id="pod",
    servers=("b1:9093", "[::1]:9093"),
    tls=True,
    login="SCRAM-SHA-512",
    client_certificate=True,
    fields={"text": ("snippet.displayMessage", "text"), "lang": ()},
    includes_text=True,
    cloudevents=True,
    registry="https://registry:8081",
)
DEPLOYMENTS = [Deployment(), EVERYTHING, Deployment(coordinates_only=True), Deployment(login="KERBEROS-TO-COME")]
MODELS = {"comment": CommentEvent, "labeledComment": LabeledEvent, "deadLetterStub": DeadLetterStub}


@cache
def official() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(OFFICIAL.read_text("utf-8")))


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    part: Any = document
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def accepts(document: dict[str, Any], schema: dict[str, Any], value: object) -> bool:
    # The schema's references lead into the document: it has to stand in it.
    whole = {**document, "here": schema, "$ref": "#/here"}
    return jsonschema.Draft7Validator(whole).is_valid(value)


class TestDocument:
    @pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=range(len(DEPLOYMENTS)))
    def test_it_is_valid_by_the_official_schema(self, deployment: Deployment) -> None:
        errors = [
            f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in official().iter_errors(asyncapi(deployment))
        ]
        assert errors == []

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda d: d["servers"]["broker-1"].pop("protocol"),
            lambda d: d["operations"]["receiveComments"].update(action="subscribe"),
            lambda d: d["components"]["messages"]["comment"]["bindings"]["kafka"].update(schemaIdLocation="nowhere"),
            lambda d: d["components"]["messages"]["labeledComment"]["correlationId"].update(location="event_id"),
            lambda d: d.update(topics={}),
        ],
    )
    def test_the_official_schema_would_notice(self, spoil: Any) -> None:
        document = asyncapi()
        spoil(document)
        assert not official().is_valid(document)

    @pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=range(len(DEPLOYMENTS)))
    def test_every_reference_leads_somewhere_and_every_component_is_used(self, deployment: Deployment) -> None:
        document = asyncapi(deployment)
        found = set(references(document))
        for each in found:
            assert resolve(document, each) is not None
        kinds = ["messages", "securitySchemes"] + (
            [] if deployment.fields or deployment.coordinates_only else ["schemas"]
        )
        for kind in kinds:
            assert {f"#/components/{kind}/{name}" for name in document["components"][kind]} <= found

    def test_it_names_the_deployments_topics_group_servers_and_login(self) -> None:
        document = asyncapi(EVERYTHING)
        channels = document["channels"]
        assert [channels[name]["address"] for name in ("comments", "labeledComments", "deadLetters")] == [
            "in.v1",
            "out",
            "dead",
        ]
        assert [(s["host"], s["protocol"]) for s in document["servers"].values()] == [
            ("b1:9093", "kafka-secure"),
            ("[::1]:9093", "kafka-secure"),
        ]
        assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {
            "scramSha512",
            "X509",
        }
        (binding,) = document["operations"]["receiveComments"]["bindings"].values()
        assert (binding["groupId"]["const"], binding["clientId"]["const"]) == ("team-a", "pod")

    def test_each_operation_goes_the_way_the_program_does(self) -> None:
        assert {o["channel"]["$ref"]: o["action"] for o in asyncapi()["operations"].values()} == {
            "#/channels/comments": "receive",
            "#/channels/labeledComments": "send",
            "#/channels/deadLetters": "send",
        }

    def test_a_registry_is_named_with_the_framing_only_where_there_is_one(self) -> None:
        framed, plain = asyncapi(EVERYTHING), asyncapi()
        assert framed["servers"]["broker-1"]["bindings"]["kafka"]["schemaRegistryUrl"] == "https://registry:8081"
        binding = framed["components"]["messages"]["labeledComment"]["bindings"]["kafka"]
        assert (binding["schemaIdLocation"], binding["schemaIdPayloadEncoding"]) == ("payload", "confluent")
        assert "schemaId" not in json.dumps(plain)
        assert "schemaRegistry" not in json.dumps(plain)

    def test_somebody_elses_json_is_not_called_a_comment_event(self) -> None:
        message = asyncapi(EVERYTHING)["components"]["messages"]["comment"]
        assert "CommentEvent" not in json.dumps(message["payload"])
        assert "snippet.displayMessage" in message["payload"]["description"]
        assert "examples" not in message


class TestExamples:
    @pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=range(len(DEPLOYMENTS)))
    def test_every_example_is_what_its_message_says(self, deployment: Deployment) -> None:
        document = asyncapi(deployment)
        seen = 0
        for name, message in document["components"]["messages"].items():
            for example in message.get("examples", ()):
                assert accepts(document, message["payload"], example["payload"])
                assert accepts(document, message["headers"], example["headers"])
                MODELS[name].model_validate(example["payload"])
                seen += 1
        assert seen >= 3


class TestDeadLetters:
    """What the program really writes is exactly one of the two messages."""

    FAILURE = Failure("invalid_json", "the value is not JSON", Stage.DECODE)
    WRITER = DeadLetters(model_revision="r1", app_version="1", max_message_bytes=2000)
    RECORDS = (
        record(b"\xff", headers=(("traceparent", TRACEPARENT.encode()), ("x", b"\x00"))),
        record(b"not JSON", timestamp_ms=None),
        record(b"not JSON", headers=None),
        record(b"x" * 3000),
        record(b"x" * 3000, key=b"k" * 2000, headers=None),
        record(None, key=None),
    )

    @pytest.mark.parametrize("given", RECORDS, ids=range(len(RECORDS)))
    def test_each_is_one_of_the_two_by_its_headers(self, given: Record) -> None:
        for written in (self.WRITER.write(given, self.FAILURE), self.WRITER.stub(given, self.FAILURE)):
            assert self.matching(written) == ["deadLetterStub" if self.is_stub(written) else "deadLetter"]

    def is_stub(self, message: Message) -> bool:
        return "value" in DeadLetterHeaders.parse(message.headers).left_out

    def matching(self, message: Message) -> list[str]:
        document = asyncapi()
        headers = self.text(message.headers)
        found = []
        for reference in document["channels"]["deadLetters"]["messages"].values():
            described = resolve(document, reference["$ref"])
            stub = reference["$ref"].endswith("Stub")
            payload = json.loads(message.value or b"null") if stub and self.is_stub(message) else object()
            if accepts(document, described["headers"], headers) and accepts(document, described["payload"], payload):
                found.append(reference["$ref"].rpartition("/")[2])
        return found

    def text(self, headers: Headers) -> dict[str, str]:
        return {name: (value or b"").decode("utf-8", "replace") for name, value in headers}

    @pytest.mark.parametrize("wrong", ["", "x", "01x", "1.5", "+1"])
    def test_a_header_that_says_an_integer_is_its_digits(self, wrong: str) -> None:
        headers = components_of()["DeadLetterHeaders"]
        right = self.text(self.WRITER.write(self.RECORDS[0], self.FAILURE).headers)
        assert jsonschema.Draft7Validator(headers).is_valid(right)
        assert not jsonschema.Draft7Validator(headers).is_valid({**right, "dlq.source.offset": wrong})
