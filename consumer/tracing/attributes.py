"""What spans say, in the words of OpenTelemetry's semantic conventions for messaging; ours begin with our name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from opentelemetry.trace import Span, Status, StatusCode

from consumer.delivery.records import Failure, Labeled, Skipped
from consumer.delivery.row import Row

Attributes: TypeAlias = dict[str, str | int | float | bool | Sequence[str]]


class Names(NamedTuple):
    """Who reads what and writes where."""

    input_topic: str
    output_topic: str
    group: str
    client: str

    def consuming(self, operation: str) -> Attributes:
        """Of an operation on the input topic: receive or process."""
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": self.input_topic,
            "messaging.consumer.group.name": self.group,
            "messaging.client.id": self.client,
        }

    def sending(self, messages: int) -> Attributes:
        """Of sending messages to the output topic."""
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": self.output_topic,
            "messaging.client.id": self.client,
            "messaging.batch.message_count": messages,
        }


def where(row: Row) -> Attributes:
    """A record's coordinates in its topic."""
    record = row.record
    return {
        "messaging.destination.partition.id": str(record.partition.number),
        "messaging.kafka.offset": record.offset,
    }


def describe_outcome(span: Span, row: Row) -> None:
    """Say what became of a record."""
    outcome = row.outcome
    if isinstance(outcome, Failure):
        span.set_attribute("comment_consumer.outcome", "dead_letter")
        span.set_attribute("comment_consumer.stage", outcome.stage.value)
        span.set_attribute("error.type", outcome.type)
        span.set_status(Status(StatusCode.ERROR))
    elif isinstance(outcome, Labeled):
        span.set_attribute("comment_consumer.outcome", "labeled")
    elif isinstance(outcome, Skipped):
        span.set_attribute("comment_consumer.outcome", "skipped")
    else:
        span.set_attribute("comment_consumer.outcome", "tombstone")
        span.set_attribute("messaging.kafka.message.tombstone", True)
