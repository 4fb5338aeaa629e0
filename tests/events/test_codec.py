from __future__ import annotations

from consumer.classifier.engine import Activation
from consumer.classifier.preprocessing import preset
from consumer.delivery.ports import Codec
from consumer.delivery.records import Destination, Failure, Labeled, Outcome, Stage, ToClassify, Verdict
from consumer.events.codec import EventCodec
from consumer.events.dead_letters import DeadLetters
from consumer.events.decode import Decoder
from consumer.events.encode import Encoder
from consumer.moderation.policy import Policy
from schemas import DeadLetterStub, LabeledEvent
from tests.events.records import LABELS, MODEL, comment_record, record


def codec() -> Codec:
    dead_letters = DeadLetters(model_revision=MODEL.revision, app_version="0")
    decoder = Decoder(preprocess=preset("none"), max_tokens=8, max_bytes=1000, max_chars=20)
    encoder = Encoder(
        activation=Activation.SIGMOID,
        policy=Policy(name="default").compiled(LABELS),
        dead_letters=dead_letters,
        wall_clock=lambda: 0.0,
        is_cut=decoder.cuts,
    )
    return EventCodec(decoder, encoder, dead_letters)


def test_records_go_in_and_one_message_each_comes_out() -> None:
    subject = codec()
    records = [
        comment_record({"id": "1", "text": "hi"}),
        record(b"not JSON"),
        comment_record({"id": "2", "text": "x" * 21}),
        record(None),
        comment_record({"id": "3", "text": ""}),
    ]
    outcomes: list[Outcome] = [
        Labeled(decoded.comment, Verdict((1.0, 0.0, -1.0), False, MODEL), 1.0)
        if isinstance(decoded, ToClassify)
        else decoded
        for decoded in subject.decode(records)
    ]
    messages = subject.encode(list(zip(records, outcomes, strict=True)))
    kinds = [message.destination for message in messages]
    assert kinds == [Destination.LABELED, Destination.DEAD_LETTER, *[Destination.LABELED] * 3]
    events = [LabeledEvent.model_validate_json(messages[n].value or b"") for n in (0, 2, 4)]
    assert [(e.comment_id, e.status, e.truncated) for e in events] == [
        ("1", "labeled", False),
        ("2", "labeled", True),
        ("3", "skipped", False),
    ]
    assert messages[3].value is None


def test_a_stub_stands_for_a_record_that_cannot_be_written() -> None:
    message = codec().stub(record(b"12345"), Failure("too_large", "m", Stage.PUBLISH))
    assert DeadLetterStub.model_validate_json(message.value or b"").value_size == 5
