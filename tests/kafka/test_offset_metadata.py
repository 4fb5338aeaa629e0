"""What stands beside a committed offset."""

from __future__ import annotations

import pytest
from confluent_kafka import Uuid
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.records import Partition
from consumer.delivery.spans import Span
from consumer.kafka.offset_metadata import spans_in, topic_of, write_metadata
from consumer.kafka.span_metadata import MAX_BYTES, read_spans, write_spans

WHERE = Partition("comments", 3)
ID = "bGJDz3xIQ1S7Uo-E0iFFbA"
SPANS = write_spans(WHERE, 10, (Span(20, 30),))


@pytest.mark.parametrize("spans", ["", SPANS])
@pytest.mark.parametrize("topic_id", [ID, "6LQWuZG2ROOU3/e/PLyjuQ", "a+b/c==", str(Uuid(-1, -1)), str(Uuid(2**62, 7))])
def test_the_topic_and_the_spans_are_read_back(topic_id: str, spans: str) -> None:
    """Ids are base64 as the client writes it, with all of its signs."""
    written = write_metadata(topic_id, spans)
    assert topic_of(written) == topic_id
    assert read_spans(WHERE, 10, spans_in(written)) == read_spans(WHERE, 10, spans)


def test_without_a_known_topic_it_is_what_it_was() -> None:
    assert write_metadata(None, SPANS) == SPANS
    assert topic_of(SPANS) is None
    assert spans_in(SPANS) == SPANS


@pytest.mark.parametrize("metadata", [None, "", "topic=", "topic=a b=", "somebody else's", "TOPIC=x"])
def test_what_is_not_ours_says_nothing_of_spans(metadata: str | None) -> None:
    assert read_spans(WHERE, 10, spans_in(metadata)) == ()


@given(st.text(max_size=60))
def test_any_text_at_all_is_read(metadata: str) -> None:
    topic_of(metadata)
    read_spans(WHERE, 10, spans_in(metadata))


def test_both_together_fit_what_brokers_take() -> None:
    assert len(write_metadata("x" * 32, "y" * MAX_BYTES)) < 4096
