"""What is noted with a run's offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.spans import Span
from consumer.replay.window import Note, fingerprint
from tests.events.records import unhurried


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_a_note_is_read_as_it_was_written_and_is_small(start: int, length: int) -> None:
    note = Note(Span(start, min(start + length, 2**63 - 1)), fingerprint(a=1))
    assert Note.read(note.written()) == note
    assert len(note.written()) < 200


@unhurried
@given(st.none() | st.text())
def test_anything_else_is_no_note(metadata: str | None) -> None:
    assert Note.read(metadata) is None


@pytest.mark.parametrize(
    "metadata",
    [
        '{"v":2,"start":0,"end":1,"of":"x"}',
        '{"v":1,"start":2,"end":1,"of":"x"}',
        '{"v":1,"start":-1,"end":1,"of":"x"}',
        '{"v":1,"start":"0","end":1,"of":"x"}',
        '{"v":1,"start":0,"end":1}',
        "[]",
        "1",
    ],
)
def test_a_note_that_makes_no_sense_is_none(metadata: str) -> None:
    assert Note.read(metadata) is None


def test_a_fingerprint_changes_with_each_part_and_not_with_their_order() -> None:
    assert fingerprint(a=1, b=None) == fingerprint(b=None, a=1)
    assert len({fingerprint(a=1, b=None), fingerprint(a=2, b=None), fingerprint(a=1, b=2), fingerprint(a=1)}) == 4
