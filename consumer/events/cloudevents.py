"""The labeled topic as CloudEvents: attributes in headers, as the Kafka protocol binding 1.0 has them in binary mode.

The value stays what it is, so readers that know nothing of CloudEvents notice nothing.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from consumer.delivery.records import Destination, Headers, Labeled, Message, Outcome, Record
from schemas.labeled import SCHEMA_VERSION

SPEC_VERSION: Final = "1.0"
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {status: f"comment.{status}.v{SCHEMA_VERSION}" for status in ("labeled", "skipped", "deleted")}
)
"""``ce_type`` by what became of the comment; ``deleted`` is a tombstone."""


class CloudEvents:
    """Makes CloudEvents of messages. ``ce_id`` is the event's own id: a repeated event has the same again.

    Args:
        source: ``ce_source``, a URI reference. With the id it names an event among all the events in the world, so
            two Kafka clusters that have topics of the same name need two sources.
    """

    def __init__(self, source: str) -> None:
        version = ("ce_specversion", SPEC_VERSION.encode())
        place = ("ce_source", source.encode())
        self._constant: Mapping[str, Headers] = {
            status: (version, place, ("ce_type", name.encode())) for status, name in TYPES.items()
        }

    def attached(
        self,
        messages: Sequence[Message],
        outcomes: Sequence[tuple[Record, Outcome]],
        time: str,
        run_id: str | None = None,
    ) -> list[Message]:
        """These messages with the attributes of each in its headers; dead letters stay as they are.

        Args:
            messages: What is published, one for each outcome.
            outcomes: Of which records, and what became of them.
            time: When the events were made, RFC 3339.
            run_id: Names a deliberate relabelling, which makes other events of them.
        """
        moment = ("ce_time", time.encode())
        again = "" if run_id is None else f"/{run_id}"
        found = []
        for message, (record, outcome) in zip(messages, outcomes, strict=True):
            destination, key, value, headers = message
            if destination is Destination.LABELED:
                status = "deleted" if value is None else "labeled" if isinstance(outcome, Labeled) else "skipped"
                (topic, partition), offset = record.partition, record.offset
                name = ("ce_id", f"{topic}/{partition}/{offset}{again}".encode("utf-8", "replace"))
                message = Message(destination, key, value, (*headers, *self._constant[status], name, moment))
            found.append(message)
        return found
