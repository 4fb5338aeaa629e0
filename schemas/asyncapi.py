"""The AsyncAPI 3.0 document of one deployment: its topics and all that travels on them, for people and generators.

It speaks from the program's side: it receives comments and sends labels and dead letters. Schemas are in AsyncAPI's own
dialect, a superset of JSON Schema draft-07.

The specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0, and its Kafka bindings, version 0.5.0.
"""

from __future__ import annotations

import json
from typing import Any, Final

from schemas.asyncapi_messages import BINDING_VERSION, messages_of, reference
from schemas.asyncapi_parts import components_of
from schemas.deployment import Deployment

ASYNCAPI_VERSION: Final = "3.0.0"
CONTRACT_VERSION: Final = "1.0.0"
"""Major: as in the events' ``schema_version``."""

_SCHEMES: Final = {
    "PLAIN": {"type": "plain", "description": "SASL/PLAIN"},
    "SCRAM-SHA-256": {"type": "scramSha256", "description": "SASL/SCRAM-SHA-256"},
    "SCRAM-SHA-512": {"type": "scramSha512", "description": "SASL/SCRAM-SHA-512"},
    "GSSAPI": {"type": "gssapi", "description": "SASL/GSSAPI (Kerberos)"},
    "OAUTHBEARER": {"type": "http", "scheme": "bearer", "description": "SASL/OAUTHBEARER"},
}
_CERTIFICATE: Final = {"type": "X509", "description": "A client certificate, in the TLS handshake"}

_ABOUT: Final = """\
Reads comments from one topic, labels each with a classifier, and publishes one event for each: labeled or skipped. A
record that is no comment, or breaks the model, becomes a dead letter.

**Delivery is at least once.** An event may come again, and then has the same `event_id` (and `run_id`): the topic,
partition and offset of its comment. The key is that of the comment's record; within a partition of the input, events
leave in the order of their comments. A record with a key and no value says that the comment was deleted.

**Versions.** Within a version fields are only added, and added ones may be absent: ignore what you do not know."""


def asyncapi(deployment: Deployment = Deployment()) -> dict[str, Any]:  # noqa: B008 - it is frozen
    """The document, as JSON would have it."""
    servers = _servers(deployment)
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "id": "urn:comment-consumer:asyncapi:1",
        "info": {
            "title": "comment-consumer",
            "version": CONTRACT_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": "moderation"}, {"name": "kafka"}],
        },
        "defaultContentType": "application/json",
        "servers": servers,
        "channels": _channels(deployment),
        "operations": _operations(deployment),
        "components": {
            "securitySchemes": _security_schemes(deployment),
            "messages": messages_of(deployment),
            "schemas": components_of(),
        },
    }


def render(deployment: Deployment = Deployment()) -> str:  # noqa: B008
    """The document as the text of its file."""
    return json.dumps(asyncapi(deployment), indent=2, ensure_ascii=False) + "\n"


def _servers(deployment: Deployment) -> dict[str, Any]:
    security = [reference("securitySchemes", name) for name in _security_schemes(deployment)]
    binding = {"bindingVersion": BINDING_VERSION}
    if deployment.registry is not None:
        binding = {"schemaRegistryUrl": deployment.registry, "schemaRegistryVendor": "confluent", **binding}
    server: dict[str, Any] = {
        "protocol": "kafka-secure" if deployment.tls else "kafka",
        "description": "A broker to start from; it names the others.",
        **({"security": security} if security else {}),
        "bindings": {"kafka": binding},
    }
    return {f"broker-{number}": {"host": host, **server} for number, host in enumerate(deployment.servers, 1)}


def _security_schemes(deployment: Deployment) -> dict[str, Any]:
    schemes: dict[str, Any] = {}
    if deployment.login is not None:
        other = {"type": "userPassword", "description": f"SASL/{deployment.login}"}
        schemes["sasl"] = _SCHEMES.get(deployment.login, other)
    if deployment.client_certificate:
        schemes["certificate"] = _CERTIFICATE
    return schemes


def _channels(deployment: Deployment) -> dict[str, Any]:
    kept = "is in it" if deployment.includes_text else "is left out by this deployment"
    return {
        "comments": _channel(
            deployment.input_topic,
            "Comments",
            "The input. Its partitions bound how many copies of the program can work. Comments that must stay in order "
            "need the same key.",
            "comment",
            "commentDeleted",
        ),
        "labeledComments": _channel(
            deployment.output_topic,
            "Labeled comments",
            f"One event for every valid comment. The comment's text {kept}.",
            "labeledComment",
            "labeledCommentDeleted",
        ),
        "deadLetters": _channel(
            deployment.dead_letter_topic,
            "Dead letters",
            "Records that could not be labeled, with the reason in their headers."
            + (" This deployment writes coordinates only." if deployment.coordinates_only else ""),
            *(() if deployment.coordinates_only else ("deadLetter",)),
            "deadLetterStub",
        ),
    }


def _channel(topic: str, title: str, description: str, *messages: str) -> dict[str, Any]:
    return {
        "address": topic,
        "title": title,
        "description": description,
        "messages": {name: reference("messages", name) for name in messages},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": BINDING_VERSION}},
    }


def _operations(deployment: Deployment) -> dict[str, Any]:
    client = {"type": "string", "const": deployment.client_id}
    group = {"type": "string", "const": deployment.group_id}
    producer = {"clientId": client, "bindingVersion": BINDING_VERSION}
    return {
        "receiveComments": _operation(
            "receive",
            "comments",
            "Reads every comment; its offset is committed only after its event, or its dead letter, is acknowledged.",
            {"groupId": group, **producer},
        ),
        "sendLabeledComments": _operation(
            "send", "labeledComments", "Publishes exactly one event for every valid comment, at least once.", producer
        ),
        "sendDeadLetters": _operation(
            "send", "deadLetters", "Publishes what is no comment, or breaks the model, at least once.", producer
        ),
    }


def _operation(action: str, channel: str, summary: str, binding: dict[str, Any]) -> dict[str, Any]:
    # Without a list of messages an operation has all of its channel's.
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "bindings": {"kafka": binding},
    }
