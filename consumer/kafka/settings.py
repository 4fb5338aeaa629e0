"""What the Kafka room needs to know, as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from consumer.kafka.grants import UNKNOWN_PRINCIPAL, Grantee

GroupProtocol = Literal["classic", "consumer"]


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Where a group without committed offsets begins: ``earliest``, ``latest``, or a time in ms since the epoch."""

    kind: Literal["earliest", "latest", "timestamp"] = "earliest"
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the cluster. ``options`` are librdkafka's own, checked against the deny list in ``config``."""

    bootstrap_servers: str
    client_id: str = "comment-consumer"
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    local_only: bool = False
    """Plain text goes to brokers on this host and to no others, also not to those that a broker names."""

    @property
    def grantee(self) -> Grantee:
        """Who logs in there, as ACLs name it."""
        user = self.security.get("sasl.username")
        return Grantee(self.bootstrap_servers, f"User:{user}" if user else UNKNOWN_PRINCIPAL)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """How a partition that is far behind is caught up with, the newest first.

    It is divided when the record at its committed offset is older than ``behind`` seconds (0: whatever its age) and
    more than ``chunk`` offsets are to be read; these are then read in chunks of that many.
    """

    behind: float = 60.0
    chunk: int = 2000


@dataclass(frozen=True, slots=True)
class Membership:
    """Which group reads which topic, and how. Without ``catch_up`` the oldest comes first, always."""

    group_id: str
    topic: str
    protocol: GroupProtocol = "classic"
    instance_id: str | None = None
    start: StartPosition = StartPosition()
    out_of_range: Literal["stop", "earliest", "latest"] = "stop"
    catch_up: CatchUp | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where messages go."""

    labeled: str
    dead_letters: str
