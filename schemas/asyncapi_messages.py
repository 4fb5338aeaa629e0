"""The messages of the AsyncAPI document: payload, headers, key, identity, and an example of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from schemas import dead_letter
from schemas.asyncapi_parts import schema_reference
from schemas.deployment import Deployment
from schemas.draft07 import Schema

BINDING_VERSION: Final = "0.5.0"

TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_TRACE: Final[Schema] = {
    "type": "string",
    "pattern": "^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$",
    "description": "W3C Trace Context. Of the comment's headers this one alone is handed on, if it is valid.",
}
_CONTENT_TYPE: Final[Schema] = {"type": "string", "const": "application/json"}
_NO_VALUE: Final[Schema] = {"type": "null", "description": "The record has a key and no value."}
_WITHOUT_VALUE: Final[Schema] = {"type": "string", "pattern": "(^|,)value(,|$)"}
"""What ``dlq.left_out`` says where the value is a stub."""

_COMMENT: Final = {
    "id": "yt-1042",
    "text": "加油加油 🔥🔥",
    "channel": "tvl",
    "author": "fan88",
    "published_at": "2026-11-23T12:00:00Z",
}


def reference(kind: str, name: str) -> dict[str, str]:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def messages_of(deployment: Deployment) -> dict[str, Any]:
    """Every message of this deployment, by name."""
    messages = {
        "comment": _comment(deployment),
        "commentDeleted": _deleted("Comment deleted", "The producer says that the comment with this key is gone."),
        "labeledComment": _labeled(deployment),
        "labeledCommentDeleted": _deleted(
            "Labeled comment deleted", "A deletion, handed on as it came.", _cloud_headers(deployment)
        ),
        "deadLetter": _dead_letter(),
        "deadLetterStub": _dead_letter_stub(deployment),
    }
    if deployment.coordinates_only:
        del messages["deadLetter"]
    return messages


def _key(description: str, *, required: bool = False) -> dict[str, Any]:
    kind: Any = "string" if required else ["string", "null"]
    key = {"type": kind, "description": description}
    return {"kafka": {"key": key, "bindingVersion": BINDING_VERSION}}


def _comment(deployment: Deployment) -> dict[str, Any]:
    mapped = deployment.fields
    payload: Schema = {"$ref": schema_reference("CommentEvent")}
    if mapped:
        places = "; ".join(f"{field}: {_either(paths)}" for field, paths in mapped.items())
        payload = {
            "type": "object",
            "description": f"The producer's own JSON. The fields of a comment are read from these places: {places}.",
        }
    return {
        "name": "comment",
        "title": "Comment",
        "summary": "One comment of a live stream: a JSON object in UTF-8.",
        "description": "It may be framed for a Confluent Schema Registry: a magic byte and a schema's id before the "
        "JSON.",
        "headers": {"type": "object", "properties": {"traceparent": _TRACE}},
        "payload": payload,
        "bindings": _key("Any bytes; handed on as they are. Comments of one key stay in order."),
        **({} if mapped else {"examples": [_example("comment", _COMMENT, traceparent=TRACEPARENT)]}),
    }


def _either(paths: Sequence[str]) -> str:
    return ", else ".join(f"`{path}`" for path in paths) or "nowhere"


def _example_headers(deployment: Deployment, status: str) -> dict[str, str]:
    plain = {"content-type": "application/json"}
    if not deployment.cloudevents:
        return plain
    return plain | {
        "ce_specversion": "1.0",
        "ce_id": f"{deployment.input_topic}/0/41",
        "ce_source": "/comment-consumer",
        "ce_type": f"comment.{status}.v1",
        "ce_time": "2026-11-23T12:00:01.000Z",
    }


def _cloud_headers(deployment: Deployment) -> dict[str, Any]:
    """The attributes of CloudEvents in binary mode, where they are published."""
    if not deployment.cloudevents:
        return {}
    return {
        "ce_specversion": {"type": "string", "const": "1.0", "description": "Version of CloudEvents."},
        "ce_id": {"type": "string", "description": "The event's own id; a repeated event has the same again."},
        "ce_source": {"type": "string", "description": "Where it comes from, a URI reference."},
        "ce_type": {"type": "string", "description": "comment.labeled.v1, comment.skipped.v1 or comment.deleted.v1."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it was made."},
    }


def _deleted(title: str, summary: str, more_headers: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    return {
        "name": title.lower().replace(" ", "-"),
        "title": title,
        "summary": summary,
        "description": "A tombstone: on a compacted topic it removes what stands under its key.",
        "headers": {"type": "object", "properties": {"traceparent": _TRACE, **more_headers}},
        "payload": _NO_VALUE,
        "bindings": _key("The key under which the comment was written.", required=True),
    }


def _labeled(deployment: Deployment) -> dict[str, Any]:
    framed = deployment.registry is not None
    bindings = _key("The key of the comment's record.")
    if framed:
        bindings["kafka"] |= {
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "schemaLookupStrategy": "TopicNameStrategy",
        }
    how = "A magic byte of zero and the schema's id (four bytes, big-endian), then a" if framed else "A"
    return {
        "name": "labeled-comment",
        "title": "Labeled comment",
        "summary": "The labels of one comment, with their lineage.",
        "description": f"{how} JSON object in UTF-8. With `status` `skipped` there was nothing for the model to read.",
        "correlationId": {
            "location": "$message.payload#/event_id",
            "description": "The event's identity: a repeated event has the same event_id, and the same run_id if there "
            "is one. comment_id is the comment's own.",
        },
        "headers": {
            "type": "object",
            "required": ["content-type", *_cloud_headers(deployment)],
            "properties": {"content-type": _CONTENT_TYPE, "traceparent": _TRACE, **_cloud_headers(deployment)},
        },
        "payload": {"$ref": schema_reference("LabeledEvent")},
        "bindings": bindings,
        "examples": [
            _example("labeled", _labeled_event(deployment), **_example_headers(deployment, "labeled")),
            _example("skipped", _skipped_event(deployment), **_example_headers(deployment, "skipped")),
        ],
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "dead-letter",
        "title": "Dead letter",
        "summary": "The record as it was, byte for byte, with headers that say what happened.",
        "description": "The record's own headers come first. `dlq.source.topic`, `dlq.source.partition` and "
        "`dlq.source.offset` are its identity: a repeated dead letter has the same.",
        "contentType": "application/octet-stream",
        "headers": {
            "allOf": [
                {"$ref": schema_reference("DeadLetterHeaders")},
                {"properties": {dead_letter.LEFT_OUT_HEADER: {"not": _WITHOUT_VALUE}}},
            ]
        },
        "payload": {"description": "The record's value, whatever it is."},
        "bindings": _key("The record's own key."),
    }


def _dead_letter_stub(deployment: Deployment) -> dict[str, Any]:
    partition, offset = 3, 1042
    stub = {
        "schema_version": 1,
        "source": _source(deployment, partition, offset),
        "key_size": 5,
        "value_size": 310_114,
        "left_out": ["value"],
        **({} if deployment.coordinates_only else {"value_sha256": "9b" * 32}),
    }
    headers = {
        dead_letter.VERSION_HEADER: "1",
        dead_letter.ERROR_TYPE_HEADER: "too_large",
        dead_letter.ERROR_MESSAGE_HEADER: "the value has 310114 bytes, more than 262144",
        dead_letter.STAGE_HEADER: "decode",
        dead_letter.ATTEMPT_HEADER: "1",
        dead_letter.SOURCE_TOPIC_HEADER: deployment.input_topic,
        dead_letter.SOURCE_PARTITION_HEADER: str(partition),
        dead_letter.SOURCE_OFFSET_HEADER: str(offset),
        dead_letter.SOURCE_TIMESTAMP_HEADER: "1795436119525",
        dead_letter.MODEL_REVISION_HEADER: "local",
        dead_letter.APP_VERSION_HEADER: "0.1.0",
        dead_letter.LEFT_OUT_HEADER: "value",
    }
    return {
        "name": "dead-letter-stub",
        "title": "Dead letter, stub",
        "summary": "In the place of a record that could not, or may not, be written whole.",
        "headers": {
            "allOf": [
                {"$ref": schema_reference("DeadLetterHeaders")},
                {
                    "required": [dead_letter.LEFT_OUT_HEADER],
                    "properties": {dead_letter.LEFT_OUT_HEADER: _WITHOUT_VALUE},
                },
            ]
        },
        "payload": {"$ref": schema_reference("DeadLetterStub")},
        "bindings": _key("The record's own key, if it is short and may be kept."),
        "examples": [_example("too-large", stub, **headers)],
    }


# ---- Examples --------------------------------------------------------------------------------------------------------


def _example(name: str, payload: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {"name": name, "headers": headers, "payload": payload}


def _source(deployment: Deployment, partition: int, offset: int) -> dict[str, Any]:
    return {
        "topic": deployment.input_topic,
        "partition": partition,
        "offset": offset,
        "timestamp": 1_795_436_119_525,
    }


def _lineage(deployment: Deployment, offset: int, status: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "event_id": f"{deployment.input_topic}/3/{offset}",
        "comment_id": f"yt-{offset}",
        "status": status,
    }


def _labeled_event(deployment: Deployment) -> dict[str, Any]:
    scores = {"Cheer": 0.999337, "Game": 0.008109, "Broadcast": 0.000614, "Chat": 0.000746}
    return {
        **_lineage(deployment, 1042, "labeled"),
        "labels": [
            {"label": label, "score": score, "threshold": 0.5, "flagged": score >= 0.5}
            for label, score in scores.items()
        ],
        "action": "allow",
        "reasons": [],
        "policy": {"name": "default", "digest": "7b" * 32},
        "model": {"name": "model", "revision": "local", "digest": "91" * 32},
        "source": _source(deployment, 3, 1042),
        "truncated": False,
        "classified_at": "2026-11-23T12:15:23.317Z",
        "latency_ms": 2.672,
        "channel": "tvl",
        "author": "fan88",
        **({"text": _COMMENT["text"]} if deployment.includes_text else {}),
    }


def _skipped_event(deployment: Deployment) -> dict[str, Any]:
    return {
        **_lineage(deployment, 1043, "skipped"),
        "skip_reason": "empty",
        "labels": [],
        "action": "allow",
        "reasons": [],
        "policy": {"name": "default", "digest": "7b" * 32},
        "model": None,
        "source": _source(deployment, 3, 1043),
        "truncated": False,
        "classified_at": "2026-11-23T12:15:23.317Z",
        "latency_ms": None,
        **({"text": " "} if deployment.includes_text else {}),
    }
