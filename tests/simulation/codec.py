"""Bytes to comments and back: values are short words, and which outputs an input may have follows from its value."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.delivery.records import (
    Comment,
    Decoded,
    Destination,
    Failure,
    Labeled,
    Message,
    Outcome,
    Record,
    Skipped,
    Stage,
    ToClassify,
    Tombstone,
)

# Words in a message that make its topic refuse it for its size.
OVERSIZE = {Destination.LABELED: (b"huge", b"giant"), Destination.DEAD_LETTER: (b"giant",)}


def expected_outputs(record: Record) -> set[str]:
    """Which kinds of output an input may have."""
    if record.value is None:
        return {"tombstone"}
    value = record.value.decode()
    if value == "bad":
        return {"dead:decode"}
    if value == "empty":
        return {"skipped"}
    if "poison" in value or "nan" in value:
        return {"dead:model"}
    if "huge" in value or "giant" in value:
        return {"labeled", "dead:publish"}
    return {"labeled"}


class SimCodec:
    """Values are short words; see :meth:`tests.simulation.world.World.feed`."""

    def decode(self, records: Sequence[Record]) -> Sequence[Decoded]:
        return [self._decode(record) for record in records]

    def _decode(self, record: Record) -> Decoded:
        if record.value is None:
            return Tombstone()
        value = record.value.decode()
        if value == "bad":
            return Failure("Bad", "bad record", Stage.DECODE)
        comment = Comment(f"{record.partition.number}-{record.offset}", value)
        if value == "empty":
            return Skipped(comment, "empty")
        return ToClassify(comment, value[5:], len(value) - 5 + 2)

    def encode(self, outcomes: Sequence[tuple[Record, Outcome]]) -> Sequence[Message]:
        return [self._encode(record, outcome) for record, outcome in outcomes]

    def _encode(self, record: Record, outcome: Outcome) -> Message:
        if isinstance(outcome, Failure):
            value = f"dead:{outcome.stage.value}" + ("|giant" if b"giant" in (record.value or b"") else "")
            return Message(Destination.DEAD_LETTER, record.key, value.encode(), ())
        if isinstance(outcome, Tombstone):
            return Message(Destination.LABELED, record.key, None, ())
        if isinstance(outcome, Skipped):
            return Message(Destination.LABELED, record.key, b"skipped", ())
        assert isinstance(outcome, Labeled)
        verdict = outcome.verdict
        value = f"labeled|{verdict.model.revision}|{verdict.logits[0]}|"
        if any(word in (record.value or b"") for word in OVERSIZE[Destination.LABELED]):
            value += "huge"
        return Message(Destination.LABELED, record.key, value.encode(), ())

    def stub(self, record: Record, failure: Failure) -> Message:
        return Message(Destination.DEAD_LETTER, record.key, f"dead:{failure.stage.value}".encode(), ())
