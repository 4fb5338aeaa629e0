"""Kafka for one process, in memory: one partition, acknowledgements at once."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.ports import Acknowledgement, Delivery, RebalanceListener
from consumer.delivery.records import Destination, Message, Partition, Record
from consumer.delivery.row import Row
from consumer.delivery.spans import Span
from consumer.service.health import Health
from consumer.service.lifecycle import Ending
from consumer.service.metrics import Metrics
from consumer.settings import Settings

PARTITION = Partition("comments", 0)


class FakeKafka:
    """A connection, source and sink in one.

    Asks ``ending`` to end once everything given has been stored, or, with ``hasty``, once a message is published.
    """

    def __init__(
        self,
        values: Sequence[bytes],
        ending: Ending,
        delivery: Delivery = Delivery.ACKNOWLEDGED,
        hasty: bool = False,
    ) -> None:
        self._records = [
            Record(PARTITION, offset, 1_700_000_000_000, b"key", value) for offset, value in enumerate(values)
        ]
        self._ending = ending
        self._delivery = delivery
        self._hasty = hasty
        self._next = 0
        self._acks: list[Acknowledgement[Row]] = []
        self._listener: RebalanceListener | None = None
        self._paused = False
        self.backlog: dict[Partition, int] = {PARTITION: 0}
        self.messages: list[Message] = []
        self.committed = 0
        self.stored = 0
        self.closed = False

    def connect(self, settings: Settings, metrics: Metrics, health: Health, ending: Ending) -> FakeKafka:
        return self

    @property
    def source(self) -> FakeKafka:
        return self

    @property
    def sink(self) -> FakeKafka:
        return self

    def join(self, listener: RebalanceListener) -> None:
        self._listener = listener

    def refresh(self) -> None:
        pass

    def close(self, timeout: float) -> bool:
        self.committed = self.stored
        self.closed = True
        return True

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        assert self._listener is not None
        if self._next == 0:
            self._listener.assigned([PARTITION])
        taken = [] if self._paused else self._records[self._next : self._next + limit]
        self._next += len(taken)
        if self.stored == len(self._records):
            self._ending.asked = True
        return taken

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        self.stored = offset

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def publish(self, message: Message, receipt: Row) -> None:
        self.messages.append(message)
        self._ending.asked |= self._hasty
        self._acks.append(Acknowledgement(receipt, self._delivery, "told to"))

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[Row]]:
        acks, self._acks = self._acks, []
        return acks

    def sent_to(self, destination: Destination) -> list[Message]:
        return [message for message in self.messages if message.destination is destination]
