"""What a client says about its brokers beside any message: kept for health, and logged."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

import structlog
from confluent_kafka import KafkaError

from consumer.kafka.errors import advise, is_fatal

log = structlog.get_logger()


class BrokerState:
    """The ``error_cb`` of one client. It runs inside ``poll()`` and never raises.

    The client tells when the last connection is gone, then goes on reporting every failed attempt, and says nothing
    when a broker is back: so ``down`` holds until something was heard that only a broker can have said.
    """

    def __init__(self, client: Literal["consumer", "producer"]) -> None:
        self._event = f"kafka {client}"
        self.down = False
        self.fatal: KafkaError | None = None

    def on_error(self, error: KafkaError) -> None:
        """Note an error event."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.down = True
        if is_fatal(error):
            self.fatal = error
        with suppress(Exception):  # a log that cannot be written must not look like a failed poll
            log.warning(self._event, error=error.name(), detail=advise(error))

    def heard(self) -> None:
        """A broker answered."""
        self.down = False
