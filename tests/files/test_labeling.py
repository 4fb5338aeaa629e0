"""Batches, repeats, the journal and the file that is taken up again, with a model that answers when it is told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.ports import Finished
from consumer.delivery.records import Comment, Failure, ModelIdentity, Skipped, Stage, ToClassify, Verdict
from consumer.files.journal import CannotResume, Journal, JournaledClassifier
from consumer.files.labeler import FileRow, Labeler
from consumer.files.outputs import TakenUpFile

MODEL = ModelIdentity("fake", "1", "00")
STAMP = {"input": "a", "model": [1, 2]}


class FakeModel:
    """Answers by a text's length; ``hold`` keeps what was submitted back until it is let go."""

    identity = MODEL

    def __init__(self) -> None:
        self.batches: list[tuple[str, ...]] = []
        self.hold = False
        self._out: deque[tuple[int, Sequence[str]]] = deque()

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        self.batches.append(tuple(texts))
        self._out.append((ticket, texts))

    def withdraw(self) -> Sequence[int]:
        return ()

    def finished(self, timeout: float) -> Sequence[Finished]:
        if self.hold or not self._out:
            return []
        ticket, texts = self._out.popleft()
        return [Finished(ticket, [self._answer(text) for text in texts])]

    def _answer(self, text: str) -> Verdict | Failure:
        if text == "poison":
            return Failure("ValueError", "the model fails on this text", Stage.MODEL)
        return Verdict((float(len(text)) / 3,), False, MODEL)


def decoded(text: str) -> ToClassify | Skipped:
    comment = Comment("id", text)
    return ToClassify(comment, text, len(text) + 2) if text else Skipped(comment, "empty")


def label(labeler: Labeler, texts: Sequence[str], pace: Sequence[bool] = ()) -> list[FileRow]:
    """Label texts; ``pace`` says after which of them the model's answers are looked for."""
    rows: list[FileRow] = []
    paces = iter(pace)
    for number, text in enumerate(texts, start=1):
        labeler.add(number, decoded(text), 0.0)
        if next(paces, False):
            labeler.feed(0.0, ended=False)
            rows += labeler.finished(0.0)
    while not labeler.empty:
        labeler.feed(0.0, ended=True)
        rows += labeler.finished(0.0)
    return rows


def from_file(max_rows: int = 3, max_tokens: int = 30) -> BatchPolicy:
    return BatchPolicy(max_rows, max_tokens, float("inf"), idle_dispatch=False)


TEXTS = st.lists(st.text("ab", max_size=4) | st.just("poison"), max_size=60)


class TestLabeler:
    @given(TEXTS, st.lists(st.booleans(), max_size=60), st.integers(0, 5))
    def test_rows_come_back_in_order_and_batches_do_not_depend_on_the_pace(
        self, texts: list[str], pace: list[bool], cache: int
    ):
        calm, hurried = FakeModel(), FakeModel()
        rows = label(Labeler(calm, from_file(), cache), texts)
        again = label(Labeler(hurried, from_file(), cache), texts, pace)
        assert [row.number for row in rows] == [row.number for row in again] == list(range(1, len(texts) + 1))
        assert [row.verdict for row in rows] == [row.verdict for row in again]
        assert calm.batches == hurried.batches
        for text, row in zip(texts, rows, strict=True):
            if not text:
                assert row.verdict is None
            elif text == "poison":
                assert isinstance(row.verdict, Failure)
            else:
                assert row.verdict == Verdict((len(text) / 3,), False, MODEL)

    @given(st.lists(st.text("ab", min_size=1, max_size=4), max_size=60))
    def test_an_equal_text_runs_once(self, texts: list[str]):
        model = FakeModel()
        labeler = Labeler(model, from_file(), 1000)
        label(labeler, texts)
        ran = [text for batch in model.batches for text in batch]
        assert sorted(ran) == sorted(set(texts))
        assert labeler.work.texts + labeler.work.repeats == len(texts)

    def test_an_idle_model_waits_for_nobody_on_a_live_input(self):
        model = FakeModel()
        labeler = Labeler(model, BatchPolicy(100, 1000, 60.0), 10)
        labeler.add(1, decoded("one"), 0.0)
        labeler.feed(0.0, ended=False)
        labeler.add(2, decoded("two"), 0.0)
        labeler.feed(0.0, ended=False)
        assert model.batches == [("one",)]
        labeler.feed(60.0, ended=False)
        assert model.batches == [("one",), ("two",)]


class TestJournal:
    @given(texts=TEXTS, batches=st.integers(0, 10), torn=st.binary(max_size=10))
    def test_a_run_that_goes_on_asks_the_model_only_for_the_rest(
        self, tmp_path_factory: pytest.TempPathFactory, texts: list[str], batches: int, torn: bytes
    ):
        path = tmp_path_factory.mktemp("journal") / "out.progress"
        whole = FakeModel()
        first = Journal(path, STAMP)
        expected = label(Labeler(JournaledClassifier(whole, first), from_file(), 5), texts)
        first.close()
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: 1 + batches]) + torn.replace(b"\n", b""))
        rest = FakeModel()
        second = Journal(path, STAMP)
        assert second.left == min(batches, len(lines) - 1)
        rows = label(Labeler(JournaledClassifier(rest, second), from_file(), 5), texts)
        second.close()
        assert [row.verdict for row in rows] == [row.verdict for row in expected]
        assert rest.batches == whole.batches[batches:]
        assert path.read_bytes() == b"".join(lines)

    def test_a_line_that_lacks_only_its_end_is_torn(self, tmp_path: Path):
        path = tmp_path / "p"
        first = Journal(path, STAMP)
        label(Labeler(JournaledClassifier(FakeModel(), first), from_file(), 5), ["a", "bb", "ccc", "d"])
        first.close()
        whole = path.read_bytes()
        path.write_bytes(whole.removesuffix(b"\n"))
        second = Journal(path, STAMP)
        assert second.left == whole.count(b"\n") - 2
        label(Labeler(JournaledClassifier(FakeModel(), second), from_file(), 5), ["a", "bb", "ccc", "d"])
        second.close()
        assert path.read_bytes() == whole

    def test_another_stamp_is_refused_by_name(self, tmp_path: Path):
        Journal(tmp_path / "p", STAMP).close()
        with pytest.raises(CannotResume, match="another model\\. "):
            Journal(tmp_path / "p", {**STAMP, "model": [1, 3]})

    def test_a_journal_of_other_texts_is_refused(self, tmp_path: Path):
        journal = Journal(tmp_path / "p", STAMP)
        label(Labeler(JournaledClassifier(FakeModel(), journal), from_file(), 5), ["a"])
        journal.close()
        journal = Journal(tmp_path / "p", STAMP)
        with pytest.raises(CannotResume, match="does not fit"):
            label(Labeler(JournaledClassifier(FakeModel(), journal), from_file(), 5), ["b"])
        journal.close()

    def test_two_runs_cannot_have_the_same_output(self, tmp_path: Path):
        first = Journal(tmp_path / "out.jsonl.progress", STAMP)
        with pytest.raises(CannotResume, match=r"at work on out\.jsonl"):
            Journal(tmp_path / "out.jsonl.progress", STAMP)
        first.close()

    def test_a_finished_run_leaves_nothing(self, tmp_path: Path):
        journal = Journal(tmp_path / "p", STAMP)
        journal.finish()
        journal.close()
        assert list(tmp_path.iterdir()) == []


@given(there=st.binary(max_size=40), pieces=st.lists(st.binary(max_size=10), max_size=8))
def test_a_file_that_is_taken_up_ends_as_if_written_in_one_go(
    tmp_path_factory: pytest.TempPathFactory, there: bytes, pieces: list[bytes]
):
    whole = b"".join(pieces)
    for before in (there, whole[: len(whole) // 2], whole[: len(whole) // 2] + there, whole + there):
        path = tmp_path_factory.mktemp("out") / "out"
        path.write_bytes(before)
        output = TakenUpFile(path)
        for piece in pieces:
            output.write(piece)
        output.finish()
        output.close()
        assert path.read_bytes() == whole
