"""The labeled topic as CloudEvents: attributes in headers, as the Kafka protocol binding 1.0 has them in binary mode.

The value stays what it is, so readers that know nothing of CloudEvents notice nothing.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from consumer.delivery.records import Headers
from schemas.labeled import SCHEMA_VERSION

SPEC_VERSION: Final = "1.0"
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {status: f"comment.{status}.v{SCHEMA_VERSION}" for status in ("labeled", "skipped", "deleted")}
)
"""``ce_type`` by what became of the comment; ``deleted`` is a tombstone."""


class CloudEvents:
    """Writes the headers.

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

    def headers(self, status: str, event_id: str, time: str, run_id: str | None = None) -> Headers:
        """The ``ce_`` headers of one event.

        Args:
            status: labeled, skipped or deleted.
            event_id: The event's own; a repeated event has the same again.
            time: When the event was made, RFC 3339.
            run_id: Names a deliberate relabelling, which makes another event of it.
        """
        unique = event_id if run_id is None else f"{event_id}/{run_id}"
        return (
            *self._constant[status],
            ("ce_id", unique.encode("utf-8", "replace")),
            ("ce_time", time.encode()),
        )
