"""What is done above an offset, written beside it; and that nobody else's text is taken for ours."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.delivery.records import Partition
from consumer.delivery.spans import Span, merged
from consumer.kafka.span_metadata import MAX_BYTES, MAX_SPANS, read_spans, write_spans

WHERE = Partition("comments", 3)
HUGE = 2**62

spans_above = st.lists(
    st.builds(lambda start, length: Span(start, start + length), st.integers(11, 10**12), st.integers(1, 10**6)),
    max_size=12,
).map(merged)


@given(spans_above)
def test_what_was_written_is_read(spans: tuple[Span, ...]) -> None:
    assert read_spans(WHERE, 10, write_spans(WHERE, 10, spans)) == spans


def test_nothing_above_is_the_empty_text() -> None:
    assert write_spans(WHERE, 10, ()) == ""
    assert read_spans(WHERE, 10, "") == read_spans(WHERE, 10, None) == ()


def test_what_does_not_fit_is_left_out_the_smallest_first_and_the_rest_is_read() -> None:
    spans = tuple(Span(100 * n, 100 * n + n) for n in range(1, 99))
    assert read_spans(WHERE, 10, write_spans(WHERE, 10, spans)) == spans[-MAX_SPANS:]


def test_the_text_is_bounded_however_far_apart_the_spans_are() -> None:
    step = HUGE // 100
    spans = tuple(Span(step * n, step * n + step // 2 + n) for n in range(1, 99))
    text = write_spans(WHERE, 10, spans)
    assert len(text.encode()) <= MAX_BYTES
    kept = read_spans(WHERE, 10, text)
    assert 30 < len(kept) < MAX_SPANS
    assert set(kept) <= set(spans)


def test_one_span_fits_wherever_it_is() -> None:
    span = Span(HUGE, HUGE + HUGE - 1)
    assert read_spans(WHERE, 0, write_spans(WHERE, 0, [span])) == (span,)


@given(st.text(max_size=80) | st.from_regex(r"cc1 [0-9a-f]{8} [0-9a-z+,]{0,40}"))
@example("cc1 00000000 1+1")
@example("cc1 00000000 ١+1")  # digits, but not ours
@example("x" * 5000)
@example("consumer-host-7 at 12:00")
def test_somebody_elses_text_says_nothing(text: str) -> None:
    assert read_spans(WHERE, 10, text) == ()


OURS = write_spans(WHERE, 10, (Span(20, 30), Span(40, 41)))


@pytest.mark.parametrize(
    ("partition", "offset"),
    [(WHERE, 9), (WHERE, 0), (Partition("comments", 4), 10), (Partition("other", 3), 10)],
    ids=["reset back", "reset to the start", "another partition", "another topic"],
)
def test_metadata_that_was_kept_with_another_offset_is_not_ours(partition: Partition, offset: int) -> None:
    """A tool that resets offsets so that comments are labeled again must not be defeated by old metadata."""
    assert read_spans(WHERE, 10, OURS)
    assert read_spans(partition, offset, OURS) == ()


@given(st.integers(0, len(OURS) - 1), st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyz+, "))
def test_a_changed_character_is_noticed(at: int, character: str) -> None:
    text = OURS[:at] + character + OURS[at + 1 :]
    assert read_spans(WHERE, 10, text) == (() if text != OURS else read_spans(WHERE, 10, OURS))
