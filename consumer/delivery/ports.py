"""What the delivery protocol needs from outside. The real adapters and the simulation implement these alike.

Every method is called from one thread, the one that drives the protocol, and returns within the given timeout.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from consumer.delivery.backlog import NO_BACKLOG, BacklogLimits
from consumer.delivery.records import Decoded, Failure, Message, ModelIdentity, Outcome, Partition, Record, Verdict
from consumer.delivery.spans import Division, Span

ReceiptT = TypeVar("ReceiptT")


class Clock(Protocol):
    """Monotonic seconds."""

    def __call__(self) -> float: ...


class RebalanceListener(Protocol):
    """Told of the assignment from inside :meth:`Source.receive`. Implemented by the protocol; never raises."""

    def assigned(self, partitions: Sequence[Partition]) -> None: ...

    def revoked(self, partitions: Sequence[Partition]) -> None: ...

    def lost(self, partitions: Sequence[Partition]) -> None: ...

    def divided(self, partition: Partition, division: Division) -> None:
        """An assigned partition has a backlog; told before anything of it is delivered."""

    def passed(self, partition: Partition, chunk: Span) -> None:
        """All there is in a chunk of the backlog was returned by earlier calls of :meth:`Source.receive`."""


class Source(Protocol):
    """The input topic, as a member of the consumer group sees it."""

    def receive(self, limit: int, timeout: float, backlog: BacklogLimits = NO_BACKLOG) -> Sequence[Record]:
        """Return at most ``limit`` records, waiting at most ``timeout`` seconds for the first one.

        Calls the rebalance listener when the assignment changes. While paused it returns nothing. ``backlog`` says how
        many of them may come from the backlogs of divided partitions.

        Raises:
            SourceFailed: the consumer is fenced, misconfigured, or may have lost records on the way.
        """
        ...

    def store(self, partition: Partition, offset: int, leader_epoch: int | None, above: tuple[Span, ...] = ()) -> None:
        """Note that ``offset`` is the next to read; it is committed soon after, and before the partition moves on.

        With it is noted, as far as there is room for it, what is done ``above``: the next owner does not read that.
        """
        ...

    def pause(self) -> None:
        """Stop delivering from every assigned partition, those assigned later included, until :meth:`resume`."""
        ...

    def resume(self) -> None: ...


class Delivery(enum.Enum):
    """What became of a published message."""

    ACKNOWLEDGED = "acknowledged"
    TOO_LARGE = "too_large"  # its topic takes no message of that size
    REJECTED = "rejected"  # the broker refuses this message, not the topic
    RETRY = "retry"  # not delivered, or not known to be; publish it again
    REFUSED = "refused"  # the topic refuses everything (authorization, deleted, fenced): stop


class Acknowledgement(NamedTuple, Generic[ReceiptT]):
    """The fate of one published message; ``detail`` says in words why it was not accepted."""

    receipt: ReceiptT
    delivery: Delivery
    detail: str = ""


class Sink(Protocol[ReceiptT]):
    """The output and dead-letter topics."""

    def publish(self, message: Message, receipt: ReceiptT) -> None:
        """Take a message for sending, in order. Never blocks and never drops; its fate comes with its receipt."""
        ...

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[ReceiptT]]:
        """Return what became known since the last call, waiting at most ``timeout`` seconds for the first."""
        ...


class Finished(NamedTuple):
    """A batch that came back: for each submitted text, in order, a verdict or why there is none."""

    ticket: int
    verdicts: Sequence[Verdict | Failure]


class Classifier(Protocol):
    """The model behind its queue of two: one batch running, one ready."""

    @property
    def identity(self) -> ModelIdentity:
        """The model that a batch submitted now is expected to meet."""
        ...

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        """Hand over distinct texts (possibly none). Never blocks: the protocol submits at most two batches."""
        ...

    def withdraw(self) -> Sequence[int]:
        """Take back the batches that have not been started; their tickets never finish."""
        ...

    def finished(self, timeout: float) -> Sequence[Finished]:
        """Return the batches that came back, waiting at most ``timeout`` seconds for the first.

        Raises:
            ModelBroken: the model fails on every input, or its device is gone; nothing may be dead-lettered.
        """
        ...


class Codec(Protocol):
    """Bytes to comments and outcomes to bytes."""

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        """Decode a poll at a time, each record by itself. Never raises: what is not a comment is a Failure."""
        ...

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        """Encode one message for each outcome, in order. Never raises."""
        ...

    def stub(self, record: Record, failure: Failure) -> Message:
        """A dead letter without the original value, for one that cannot be written whole."""
        ...
