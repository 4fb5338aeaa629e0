"""The partitions that are ours now, and whether each is read, paused, or waits to be told where to begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from consumer.delivery.errors import SourceFailed
from consumer.delivery.records import Partition


class Ownership:
    """Keeps one consumer's partitions in the state that they should have.

    ``pause`` survives a revoke and the next assignment, so the wanted state is set anew after each.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._owned: dict[Partition, TopicPartition] = {}
        self.waiting: set[Partition] = set()  # assigned, and not told yet where to begin
        self.paused = False

    def __contains__(self, partition: object) -> bool:
        return partition in self._owned

    @property
    def partitions(self) -> Sequence[Partition]:
        """What is owned."""
        return tuple(self._owned)

    @property
    def positions(self) -> Sequence[TopicPartition]:
        """Where reading of each partition is, as far as the client knows."""
        return self._consumer.position(list(self._owned.values())) if self._owned else ()

    def gain(self, partitions: Iterable[Partition]) -> None:
        """Note an assignment; the client reads on from the committed offsets."""
        for partition in partitions:
            self._owned[partition] = TopicPartition(partition.topic, partition.number)

    def gain_waiting(self, partitions: Sequence[Partition]) -> None:
        """Note an assignment that waits for :meth:`begin`.

        The client would begin at the committed offset before anybody could say otherwise. So it is told to begin at
        the end; what it brings until :meth:`begin` is to be thrown away, and is read then.
        """
        self._consumer.incremental_assign([TopicPartition(p.topic, p.number, OFFSET_END) for p in partitions])
        self.gain(partitions)
        self.waiting.update(partitions)

    def settle(self, partitions: Iterable[Partition]) -> None:
        """Set the pause state of what was assigned, as far as it is still here."""
        here = [partition for partition in partitions if partition in self._owned]
        still = [self._owned[p] for p in here if self.paused or p in self.waiting]
        read = [self._owned[p] for p in here if not self.paused and p not in self.waiting]
        if still:
            self._consumer.pause(still)
        if read:
            self._consumer.resume(read)

    def begin(self, partition: Partition, offset: int) -> None:
        """Read a partition from this offset on.

        Raises:
            SourceFailed: the client refuses.
        """
        # Not seek(): after an error the client keeps no fetch state to move. A new assignment of the one partition
        # makes it, and both protocols that we use take assignments piecewise.
        try:
            self._consumer.incremental_unassign([TopicPartition(partition.topic, partition.number)])
            self._consumer.incremental_assign([TopicPartition(partition.topic, partition.number, offset)])
            self.waiting.discard(partition)
            self.settle([partition])
        except KafkaException as error:
            raise SourceFailed(
                f"{partition.topic}/{partition.number} cannot be read from offset {offset}; restart the process"
            ) from error

    def give_up(self) -> Sequence[Partition]:
        """Read no partition any more; the client commits what is stored of them. Returns which they were."""
        given_up = self.partitions
        self.forget(given_up)
        with suppress(KafkaException):
            self._consumer.incremental_unassign([TopicPartition(p.topic, p.number) for p in given_up])
        return given_up

    def forget(self, partitions: Iterable[Partition]) -> None:
        """These are not ours any more."""
        for partition in partitions:
            self._owned.pop(partition, None)
            self.waiting.discard(partition)

    def pause(self) -> None:
        """Let nothing be delivered, nor of what is assigned later."""
        self.paused = True
        self.settle(self._owned)

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self.settle(self._owned)
