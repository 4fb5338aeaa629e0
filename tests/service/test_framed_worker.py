"""The whole program but for Kafka, with a schema registry: framed comments in, framed labels out."""

from __future__ import annotations

import json

import pytest

from consumer.delivery.records import Destination
from consumer.kafka import schema_registry
from consumer.service import assembly
from consumer.service.lifecycle import ExitCode
from consumer.service.worker import run_worker
from consumer.settings.loading import BadSettings
from schemas import LabeledEvent
from tests.kafka.test_schema_registry import answer, registry
from tests.service.fake_kafka import FakeKafka
from tests.service.test_worker import COMMENTS, Told, settings

FRAME = b"\0\0\0\0\x2a"


def test_framed_and_plain_comments_are_labeled_and_the_events_framed(capsys: pytest.CaptureFixture[str]):
    ending = Told()
    values = [b"\0\0\0\0\x07" + value if number % 2 else value for number, value in enumerate(COMMENTS)]
    kafka = FakeKafka([*values, b"\0"], ending)
    found = json.dumps({"subject": "labeled-comments-value", "id": 42, "version": 1, "schema": "{}"}).encode()
    with registry(200, found) as url:
        configured = settings(registry={"url": url})
        code = run_worker(configured, ending, kafka.connect)
    assert code == ExitCode.DRAINED
    events = [message.value or b"" for message in kafka.sent_to(Destination.LABELED)]
    assert {event[:5] for event in events} == {FRAME}
    identifiers = [LabeledEvent.model_validate_json(event[5:]).comment_id for event in events]
    assert identifiers == [f"c{number}" for number in range(60)]
    (letter,) = kafka.sent_to(Destination.DEAD_LETTER)
    assert letter.value == b"\0"
    assert dict(letter.headers)["dlq.error.type"] == b"invalid_framing"
    capsys.readouterr()


def test_a_registry_without_the_schema_ends_the_start_before_the_model_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema_registry, "RETRY_WAIT_MS", 1)
    monkeypatch.setattr(assembly, "load", lambda *_: pytest.fail("the model was loaded"))
    ending = Told()
    kafka = FakeKafka(COMMENTS, ending)
    with registry(404, answer(40401)) as url, pytest.raises(BadSettings, match=r"registry\.url: there is no subject"):
        run_worker(settings(registry={"url": url}), ending, kafka.connect)
    assert kafka.messages == []
    capsys.readouterr()
