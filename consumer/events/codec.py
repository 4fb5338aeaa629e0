"""The codec port of the delivery protocol: bytes to comments, outcomes to bytes."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.delivery.records import Decoded, Failure, Message, Outcome, Record
from consumer.events.dead_letters import DeadLetters
from consumer.events.decode import Decoder
from consumer.events.encode import Encoder
from consumer.moderation.judgement import CompiledPolicy


class EventCodec:
    """Implements :class:`~consumer.delivery.ports.Codec` by a decoder, an encoder, and the encoder's dead letters."""

    def __init__(self, decoder: Decoder, encoder: Encoder, dead_letters: DeadLetters) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._dead_letters = dead_letters

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        """See :meth:`Decoder.decode`."""
        return self._decoder.decode(records)

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        """See :meth:`Encoder.encode`."""
        return self._encoder.encode(outcomes)

    def use(self, policy: CompiledPolicy) -> None:
        """See :meth:`Encoder.use`."""
        self._encoder.use(policy)

    def stub(self, record: Record, failure: Failure) -> Message:
        """See :meth:`DeadLetters.stub`."""
        return self._dead_letters.stub(record, failure)
