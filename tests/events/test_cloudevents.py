"""What is published as CloudEvents, read by the rules of the Kafka protocol binding (1.0, binary mode)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from consumer.delivery.records import Comment, Failure, Outcome, Skipped, Stage, Tombstone
from consumer.events.cloudevents import CloudEvents
from tests.events.records import TRACEPARENT, labeled, record
from tests.events.test_encode import DEAD_LETTERS, encode, encoder, event

SOURCE = "https://tvl.example/moderation"


def attributes(outcome: Outcome, source: Any = None, **changes: Any) -> dict[str, str]:
    """A message's attributes, as a receiver in binary mode finds them."""
    message = encode(outcome, encoder(cloudevents=CloudEvents(SOURCE), **changes), source)
    names = [name for name, _ in message.headers]
    assert len(set(names)) == len(names)
    found = {name: (value or b"").decode("utf-8") for name, value in message.headers}
    assert not found.get("content-type", "").lower().startswith("application/cloudevents")
    return {name.removeprefix("ce_"): value for name, value in found.items() if name.startswith("ce_")}


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (labeled(0, 0, 0), "comment.labeled.v1"),
        (Skipped(Comment("c1", ""), "empty"), "comment.skipped.v1"),
        (Tombstone(), "comment.deleted.v1"),
    ],
    ids=["labeled", "skipped", "tombstone"],
)
def test_all_required_attributes_are_there_and_the_time(outcome: Outcome, kind: str) -> None:
    found = attributes(outcome)
    assert found == {
        "specversion": "1.0",
        "id": "comments/3/41",
        "source": SOURCE,
        "type": kind,
        "time": "2026-01-31T12:00:00.250Z",
    }
    assert datetime.fromisoformat(found["time"]).tzinfo is not None


def test_the_value_the_key_and_the_other_headers_are_as_without() -> None:
    for outcome in (labeled(0, 1, 2, comment=Comment("c1", "x", traceparent=TRACEPARENT)), Tombstone()):
        plain, wrapped = encode(outcome), encode(outcome, encoder(cloudevents=CloudEvents(SOURCE)))
        assert (wrapped.key, wrapped.value, wrapped.destination) == (plain.key, plain.value, plain.destination)
        assert tuple(header for header in wrapped.headers if not header[0].startswith("ce_")) == plain.headers
    assert not any(name.startswith("ce_") for name, _ in encode(labeled(0, 0, 0)).headers)


def test_the_content_type_is_that_of_the_data_and_absent_without_any() -> None:
    subject = encoder(cloudevents=CloudEvents(SOURCE))
    assert dict(encode(labeled(0, 0, 0), subject).headers)["content-type"] == b"application/json"
    assert "content-type" not in dict(encode(Tombstone(), subject).headers)


def test_source_and_id_name_one_event_for_ever() -> None:
    ids = {attributes(labeled(0, 0, 0), record(partition=p, offset=o))["id"] for p in range(3) for o in range(3)}
    assert len(ids) == 9
    again = attributes(labeled(1, 2, 3), wall_clock=lambda: 0.0)
    assert again["id"] == attributes(labeled(0, 0, 0))["id"]
    assert attributes(labeled(0, 0, 0), run_id="r2")["id"] == "comments/3/41/r2"


def test_id_and_time_are_those_in_the_event() -> None:
    message = encode(labeled(0, 0, 0), encoder(cloudevents=CloudEvents(SOURCE)))
    found = attributes(labeled(0, 0, 0))
    assert (found["id"], found["time"]) == (event(message)["event_id"], event(message)["classified_at"])


def test_attribute_names_are_those_that_the_specification_allows() -> None:
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in attributes(labeled(0, 0, 0)))


def test_an_inputs_own_attributes_are_not_handed_on() -> None:
    source = record(headers=(("ce_id", b"theirs"), ("ce_subject", b"secret")))
    assert attributes(labeled(0, 0, 0), source)["id"] == "comments/3/41"
    assert "subject" not in attributes(labeled(0, 0, 0), source)


def test_a_dead_letter_is_no_cloudevent_of_ours_and_keeps_the_attributes_that_it_had() -> None:
    failure, source = Failure("x", "m", Stage.DECODE), record(b"bad", headers=(("ce_id", b"theirs"),))
    message = encode(failure, encoder(cloudevents=CloudEvents(SOURCE)), source)
    assert message == DEAD_LETTERS.write(source, failure)
    assert message.headers[0] == ("ce_id", b"theirs")
