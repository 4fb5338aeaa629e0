"""The model's two threads and the queues between them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.runner import Runner, Tally
from consumer.delivery.errors import ModelBroken
from consumer.delivery.ports import Finished
from consumer.delivery.records import Failure, Verdict
from consumer.service.assembly import warm_up
from consumer.service.model_pipeline import ModelPipeline
from consumer.settings.loading import BadSettings
from tests.service.fake_engine import FakeEngine


class Notes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def tokenized(self, ticket: int, rows: int, tokens: int, seconds: float) -> None:
        self.calls.append(("tokenized", ticket, rows, tokens))

    def started(self, ticket: int) -> None:
        self.calls.append(("started", ticket))

    def ran(self, ticket: int, rows: int, tokens: int, seconds: float, tally: Tally) -> None:
        self.calls.append(("ran", ticket, rows, tokens, tally.forwards))


@contextmanager
def started(engine: FakeEngine, notes: Notes | None = None) -> Iterator[ModelPipeline]:
    pipeline = ModelPipeline(engine, Runner(engine, lambda seconds: None), notes or Notes())
    pipeline.start()
    try:
        yield pipeline
    finally:
        engine.tokenizer_gate.set()
        engine.model_gate.set()
        pipeline.close(10)


def collect(pipeline: ModelPipeline, batches: int) -> list[Finished]:
    results: list[Finished] = []
    end = time.monotonic() + 10
    while len(results) < batches and time.monotonic() < end:
        results += pipeline.finished(0.1)
    return results


def kinds(verdicts: Sequence[Verdict | Failure]) -> list[object]:
    return [v.logits[0] if isinstance(v, Verdict) else v.type for v in verdicts]


def test_each_text_gets_its_verdict_and_batches_come_back_in_order():
    with started(FakeEngine()) as pipeline:
        pipeline.submit(1, ["a", "bbb"])
        pipeline.submit(2, ["cc"])
        results = collect(pipeline, 2)
    assert [(r.ticket, kinds(r.verdicts)) for r in results] == [(1, [1.0, 3.0]), (2, [2.0])]


def test_a_batch_without_texts_keeps_its_place_in_the_line_and_never_meets_the_model():
    engine = FakeEngine()
    with started(engine) as pipeline:
        engine.model_gate.clear()
        pipeline.submit(1, ["a"])
        pipeline.submit(2, [])
        assert engine.running.acquire(timeout=10)
        assert pipeline.finished(0.05) == []
        engine.model_gate.set()
        assert [(r.ticket, len(r.verdicts)) for r in collect(pipeline, 2)] == [(1, 1), (2, 0)]


def test_the_next_batch_is_tokenised_while_one_runs():
    engine = FakeEngine()
    with started(engine) as pipeline:
        engine.model_gate.clear()
        pipeline.submit(1, ["a"])
        assert engine.running.acquire(timeout=10)
        assert engine.tokenizing.acquire(timeout=10)
        pipeline.submit(2, ["b"])
        assert engine.tokenizing.acquire(timeout=10)


def test_a_batch_that_is_ready_but_not_started_can_be_taken_back():
    engine = FakeEngine()
    with started(engine) as pipeline:
        engine.model_gate.clear()
        pipeline.submit(1, ["a"])
        assert engine.running.acquire(timeout=10)
        assert engine.tokenizing.acquire(timeout=10)
        pipeline.submit(2, ["b"])
        assert engine.tokenizing.acquire(timeout=10)
        taken: list[int] = []
        end = time.monotonic() + 10
        while not taken and time.monotonic() < end:
            taken += pipeline.withdraw()
        assert taken == [2]
        engine.model_gate.set()
        assert [r.ticket for r in collect(pipeline, 1)] == [1]
        assert pipeline.finished(0.05) == []


def test_a_batch_that_waits_for_the_tokeniser_can_be_taken_back_and_the_one_in_its_hands_finishes():
    engine = FakeEngine()
    with started(engine) as pipeline:
        engine.tokenizer_gate.clear()
        pipeline.submit(1, ["a"])
        assert engine.tokenizing.acquire(timeout=10)
        pipeline.submit(2, ["b"])
        assert pipeline.withdraw() == [2]
        engine.tokenizer_gate.set()
        assert [r.ticket for r in collect(pipeline, 1)] == [1]


def test_tokenising_and_running_have_a_thread_each_and_warm_up_runs_where_the_model_runs():
    engine = FakeEngine()
    with started(engine) as pipeline:
        pipeline.submit(1, ["a"])
        collect(pipeline, 1)
    assert engine.threads == {"warm_up": "model", "tokenize": "tokeniser", "logits": "model"}


def test_a_model_that_fails_its_probe_does_not_start():
    engine = FakeEngine(warm_up_error=RuntimeError("no"))
    pipeline = ModelPipeline(engine, Runner(engine, lambda seconds: None), Notes())
    with pytest.raises(ModelBroken, match="RuntimeError"):
        pipeline.start()


def test_a_model_whose_answers_show_that_its_files_are_wrong_says_so_in_its_own_words():
    engine = FakeEngine(warm_up_error=CheckpointError("model", "answers with NaN", "try float32"))
    pipeline = ModelPipeline(engine, Runner(engine, lambda seconds: None), Notes())
    with pytest.raises(BadSettings, match=r"model\.source: .*answers with NaN.*try float32"):
        warm_up(pipeline)


def test_a_text_that_breaks_the_tokeniser_fails_alone():
    with started(FakeEngine(unreadable=frozenset({"bad"}))) as pipeline:
        pipeline.submit(1, ["a", "bad", "ccc", "bad"])
        (result,) = collect(pipeline, 1)
    assert kinds(result.verdicts) == [1.0, "UnicodeError", 3.0, "UnicodeError"]


def test_a_tokeniser_that_reads_nothing_is_broken():
    with started(FakeEngine(unreadable=frozenset({"b", "c"}))) as pipeline:
        pipeline.submit(1, ["b", "c"])
        with pytest.raises(ModelBroken, match="tokeniser"):
            collect(pipeline, 1)


def test_a_broken_model_is_told_to_the_poll_thread_again_and_again_after_what_came_before_it():
    engine = FakeEngine(poison=frozenset({"x", "y"}))
    with started(engine) as pipeline:
        engine.warm_up_error = RuntimeError("no more")
        pipeline.submit(1, ["a"])
        pipeline.submit(2, ["x", "y"])
        assert [r.ticket for r in collect(pipeline, 1)] == [1]
        for _ in range(2):
            with pytest.raises(ModelBroken):
                collect(pipeline, 1)


def test_a_bug_in_a_thread_surfaces_as_a_broken_model():
    class Faulty(Notes):
        def started(self, ticket: int) -> None:
            raise KeyError("bug")

    with started(FakeEngine(), Faulty()) as pipeline:
        pipeline.submit(1, ["a"])
        with pytest.raises(ModelBroken, match="KeyError"):
            collect(pipeline, 1)


def test_the_watcher_hears_of_each_batch():
    notes = Notes()
    with started(FakeEngine(), notes) as pipeline:
        pipeline.submit(5, ["a", "bb"])
        collect(pipeline, 1)
    assert notes.calls == [("tokenized", 5, 2, 7), ("started", 5), ("ran", 5, 2, 7, 1)]


def test_closing_ends_the_threads_even_after_the_model_broke():
    engine = FakeEngine(poison=frozenset({"x", "y"}))
    pipeline = ModelPipeline(engine, Runner(engine, lambda seconds: None), Notes())
    pipeline.start()
    engine.warm_up_error = RuntimeError("no more")
    pipeline.submit(1, ["x", "y"])
    pipeline.submit(2, ["x", "y"])
    with pytest.raises(ModelBroken):
        collect(pipeline, 1)
    assert pipeline.close(10)


def test_closing_does_not_wait_longer_than_asked():
    engine = FakeEngine()
    with started(engine) as pipeline:
        engine.model_gate.clear()
        pipeline.submit(1, ["a"])
        assert engine.running.acquire(timeout=10)
        assert not pipeline.close(0.01)
