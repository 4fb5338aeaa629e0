"""What an AsyncAPI document says of one deployment: names of topics, servers, how to log in. No secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Deployment:
    """The defaults are those of the program's settings; a test holds the two equal.

    Attributes:
        servers: brokers to start from, ``HOST:PORT``.
        tls: whether they speak TLS.
        login: the SASL mechanism's name, such as ``SCRAM-SHA-512``; ``None`` without SASL.
        client_certificate: whether clients show a certificate (mTLS).
        fields: for each field of a comment the places where somebody else's JSON may have it, the first that leads to
            something counts, and none is nowhere; empty if the input is a CommentEvent.
        includes_text: whether labeled events hold the comment's text.
        cloudevents: whether what is published has the headers of CloudEvents 1.0.
        coordinates_only: whether every dead letter is a stub.
        registry: the Confluent Schema Registry's address; labeled events are then framed with their schema's id.
    """

    input_topic: str = "comments"
    output_topic: str = "labeled-comments"
    dead_letter_topic: str = "comments-dead-letters"
    group_id: str = "comment-consumer"
    client_id: str = "comment-consumer"
    servers: tuple[str, ...] = ("localhost:9092",)
    tls: bool = False
    login: str | None = None
    client_certificate: bool = False
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    includes_text: bool = False
    cloudevents: bool = False
    coordinates_only: bool = False
    registry: str | None = None
