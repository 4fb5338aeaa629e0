"""Somebody else's topic, labeled by the real program with settings only."""

from __future__ import annotations

import json
from typing import Any

from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import all_committed, read_ledger
from tests.conformance.program import Program, until
from tests.events.test_shipped import SAMPLES, sample
from tests.support.brokers import Broker
from tests.support.traffic import Topics, produce, read_all

YOUTUBE = "youtube-live-chat"
COMMENTS = {
    "text message",
    "text message, part=snippet only",
    "super chat",
    "super chat without words",
    "member milestone",
}
DELETIONS = {"deleted by a moderator", "retracted by its author", "tombstone"}


def test_a_youtube_topic_is_labeled_and_every_record_has_one_output(broker: Broker, topics: Topics) -> None:
    samples: dict[str, dict[str, Any]] = json.loads((SAMPLES / f"{YOUTUBE}.json").read_text("utf-8"))
    edited, broken = sample(YOUTUBE, "text message"), sample(YOUTUBE, "text message")
    edited["snippet"]["textMessageDetails"]["messageText"] = "台灣加油！！"
    del broken["snippet"]["textMessageDetails"], broken["snippet"]["displayMessage"]
    values: list[bytes | None] = [json.dumps(event).encode() for event in (*samples.values(), edited, broken)]
    produce(broker.bootstrap, topics.input, values, key=b"chat-1", partition=2)
    produce(broker.bootstrap, topics.input, [None], key=b"LCC.ended", partition=2)
    settings = {"events__mapping": YOUTUBE, "events__cloudevents": "binary", "events__include_text": "true"}
    with Program(broker.bootstrap, topics, **settings) as program:
        until(lambda: all_committed(broker, topics), 60, "committed to the end", program)
        assert program.stop() == ExitCode.DRAINED

    names = [*samples, "edited", "broken"]
    ledger = read_ledger(broker, topics)
    by_name = {names[event["source"]["offset"]]: event for event in ledger.events}
    assert ledger.duplicates == 0
    assert len(ledger.answered) == len(names)
    assert {name for name, event in by_name.items() if event["status"] == "labeled"} == {*COMMENTS, "edited"}
    assert {name for name, event in by_name.items() if event.get("skip_reason") == "deleted"} == DELETIONS
    others = {name for name, event in by_name.items() if event.get("skip_reason") == "other_kind"}
    assert others == set(names) - COMMENTS - DELETIONS - {"edited", "broken"}

    first, again = by_name["text message"], by_name["edited"]
    assert first["comment_id"] == again["comment_id"] == samples["text message"]["id"]
    assert (first["text"], again["text"]) == ("台灣加油！🔥", "台灣加油！！")
    assert first["event_id"] != again["event_id"]
    assert by_name["deleted by a moderator"]["comment_id"] == samples["super chat"]["id"]

    (dead,) = read_all(broker.bootstrap, topics.dead_letters)
    headers = dict(dead.headers() or [])
    assert (dead.key(), dead.value()) == (b"chat-1", values[names.index("broken")])
    assert headers["dlq.error.type"] == b"missing_field"
    assert b"nor at snippet.displayMessage (no displayMessage in snippet)" in headers["dlq.error.message"]

    published = read_all(broker.bootstrap, topics.output)
    attributes = [dict(message.headers() or []) for message in published]
    assert {each["ce_source"] for each in attributes} == {b"/comment-consumer"}
    assert len({each["ce_id"] for each in attributes}) == len(published) == len(names)  # one of them the tombstone
    (deleted,) = [message for message in published if message.value() is None]
    assert deleted.key() == b"LCC.ended"
    assert dict(deleted.headers() or [])["ce_type"] == b"comment.deleted.v1"


def test_binary_cloudevents_are_labeled_by_their_headers(broker: Broker, topics: Topics) -> None:
    for number in range(3):
        headers: list[tuple[str, bytes | None]] = [("ce_specversion", b"1.0"), ("ce_type", b"t"), ("ce_source", b"/s")]
        if number:
            headers.append(("ce_id", f"event-{number}".encode()))
        produce(broker.bootstrap, topics.input, ['{"text": "好球"}'.encode()], partition=0, headers=headers)
    settings = {"events__mapping": "cloudevents-binary", "events__fields": '{"channel": "header:ce_source"}'}
    with Program(broker.bootstrap, topics, **settings) as program:
        until(lambda: all_committed(broker, topics), 60, "committed to the end", program)
        assert program.stop() == ExitCode.DRAINED
    ledger = read_ledger(broker, topics)
    found = {(event["comment_id"], event["channel"]) for event in ledger.events}
    assert found == {("event-1", "/s"), ("event-2", "/s")}
    assert ledger.duplicates == 0
    (dead,) = read_all(broker.bootstrap, topics.dead_letters)
    assert dict(dead.headers() or [])["dlq.error.message"] == (
        b"id: nothing at id, nor at header:ce_id (there is no such header)"
    )
