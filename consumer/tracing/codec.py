"""The codec, traced: a sampled comment's output names the span that processed it."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.delivery.ports import Codec
from consumer.delivery.records import Decoded, Destination, Failure, Message, Outcome, Record
from consumer.events.traceparent import HEADER
from consumer.tracing.batches import BatchTracer


class TracedCodec:
    """Implements :class:`~consumer.delivery.ports.Codec` by another one. Dead letters keep the headers they had."""

    def __init__(self, codec: Codec, tracer: BatchTracer) -> None:
        self._codec = codec
        self._tracer = tracer

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        """See :meth:`consumer.delivery.ports.Codec.decode`, as for all that follow."""
        return self._codec.decode(records)

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        messages = self._codec.encode(outcomes)
        outgoing = self._tracer.outgoing
        if outgoing:
            messages = [
                _named(message, traceparent)
                if message.destination is Destination.LABELED
                and (traceparent := outgoing.get((record.partition, record.offset))) is not None
                else message
                for (record, _), message in zip(outcomes, messages, strict=True)
            ]
        self._tracer.encoded()
        return messages

    def stub(self, record: Record, failure: Failure) -> Message:
        return self._codec.stub(record, failure)


def _named(message: Message, traceparent: bytes) -> Message:
    others = tuple((name, value) for name, value in message.headers if name != HEADER)
    return message._replace(headers=(*others, (HEADER, traceparent)))
