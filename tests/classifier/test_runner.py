"""Whatever happens to a batch: who is to blame is found in few forward passes, and nobody is blamed wrongly."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.classifier.engine import Activation, FailureKind
from consumer.classifier.runner import FEW_TEXTS, TRANSIENT_ATTEMPTS, Runner
from consumer.delivery.errors import ModelBroken
from consumer.delivery.records import Failure, ModelIdentity, Stage, Verdict


class Poison(Exception):
    pass


class OutOfMemory(Exception):
    pass


class Hiccup(Exception):
    pass


class DeviceLost(Exception):
    pass


KINDS = {
    OutOfMemory: FailureKind.OUT_OF_MEMORY,
    Hiccup: FailureKind.TRANSIENT,
    DeviceLost: FailureKind.DEVICE_LOST,
    Poison: FailureKind.INPUT,
}


@dataclass(frozen=True)
class Batch:
    """Texts by their number; each costs as many tokens as ``sizes`` says."""

    names: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, *sizes: int) -> Batch:
        return cls(tuple(range(len(sizes))), sizes)

    @property
    def truncated(self) -> Sequence[bool]:
        return [name % 7 == 3 for name in self.names]

    @property
    def tokens(self) -> int:
        return sum(self.sizes)

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: Sequence[int]) -> Batch:
        return Batch(tuple(self.names[row] for row in rows), tuple(self.sizes[row] for row in rows))


class ScriptedEngine:
    """Fails on command and keeps every batch that it was given."""

    labels = ("only",)
    activation = Activation.SIGMOID
    max_tokens = 512
    identity = ModelIdentity("fake", "r1", "0" * 64)

    def __init__(
        self,
        *,
        poison: Collection[int] = (),
        not_finite: Collection[int] = (),
        memory: float = math.inf,
        hiccups: float = 0,
        fails: Exception | None = None,
        probe: Exception | None = None,
    ) -> None:
        self.poison = frozenset(poison)
        self.not_finite = frozenset(not_finite)
        self.memory = memory
        self.hiccups = hiccups
        self.fails = fails
        self.probe = probe
        self.batches: list[Batch] = []
        self.probes = 0
        self.released = 0

    def tokenize(self, texts: Sequence[str]) -> Batch:
        raise NotImplementedError

    def logits(self, batch: Batch) -> Sequence[tuple[float, ...]]:
        self.batches.append(batch)
        if self.fails is not None:
            raise self.fails
        if batch.tokens > self.memory:
            raise OutOfMemory
        if self.hiccups > 0:
            self.hiccups -= 1
            raise Hiccup
        if not self.poison.isdisjoint(batch.names):
            raise Poison("words of the text")
        return [(math.nan if name in self.not_finite else float(name),) for name in batch.names]

    def classify_error(self, error: BaseException) -> FailureKind:
        return KINDS[type(error)]  # type: ignore[index]

    def release_memory(self) -> None:
        self.released += 1

    def warm_up(self) -> None:
        self.probes += 1
        if self.probe is not None:
            raise self.probe

    @property
    def extra_passes(self) -> int:
        """Forward passes beyond the first, the probe counted as one."""
        return len(self.batches) + self.probes - 1


def never(seconds: float) -> None:
    raise AssertionError("nothing is to be waited for")


def run(engine: ScriptedEngine, count: int) -> list[Verdict | Failure]:
    return Runner(engine, sleep=never).run(Batch.of(*[1] * count))


def blamed(answers: Sequence[Verdict | Failure]) -> set[int]:
    """Who failed; the others must have their own right verdict."""
    for name, answer in enumerate(answers):
        if isinstance(answer, Verdict):
            assert answer == Verdict((float(name),), name % 7 == 3, ScriptedEngine.identity)
    return {name for name, answer in enumerate(answers) if isinstance(answer, Failure)}


# ---- Nothing wrong -----------------------------------------------------------------------------------------------


def test_a_batch_that_passes_takes_one_forward_pass_and_no_probe() -> None:
    engine = ScriptedEngine()
    assert blamed(run(engine, 20)) == set()
    assert engine.extra_passes == 0


def test_an_empty_batch_takes_none() -> None:
    engine = ScriptedEngine()
    assert run(engine, 0) == []
    assert engine.batches == []


# ---- Culprits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", range(6))
def test_one_culprit_is_found_in_at_most_2_log2_n_plus_1_extra_passes_wherever_it_stands(chunk: int) -> None:
    for count in range(1 + chunk, 301, 6):
        bound = 2 * math.ceil(math.log2(count)) + 1
        for culprit in range(count):
            engine = ScriptedEngine(poison=[culprit])
            answers = run(engine, count)
            assert [isinstance(answer, Failure) for answer in answers] == [n == culprit for n in range(count)]
            assert engine.extra_passes <= bound, f"culprit {culprit} of {count}"


def test_a_culprit_is_a_failure_of_the_model_stage_that_names_the_error_and_not_the_text() -> None:
    answers = run(ScriptedEngine(poison=[1]), 3)
    assert answers[1] == Failure("Poison", "the model fails on this text", Stage.MODEL)


@settings(deadline=None)
@given(st.integers(1, 80), st.data())
def test_several_culprits_are_all_found_and_nobody_else(count: int, data: st.DataObject) -> None:
    most = count if count <= FEW_TEXTS else count - 1
    poison = data.draw(st.sets(st.integers(0, count - 1), max_size=most))
    engine = ScriptedEngine(poison=poison)
    assert blamed(run(engine, count)) == poison
    assert (engine.probes > 0) == bool(poison)
    assert engine.probes <= len(poison) + 1
    alone = {batch.names[0] for batch in engine.batches if len(batch) == 1}
    assert poison <= alone, "accused without having failed alone"


def test_a_half_that_passes_proves_the_other_guilty_without_a_pass_of_its_own() -> None:
    engine = ScriptedEngine(poison=[63])
    run(engine, 64)
    passes_a_level, alone, probe = 6, 1, 1
    assert engine.extra_passes == passes_a_level + alone + probe


def test_what_passed_is_not_run_again() -> None:
    engine = ScriptedEngine(poison=[5])
    run(engine, 64)
    passed = [name for batch in engine.batches if 5 not in batch.names for name in batch.names]
    assert sorted(passed) == [name for name in range(64) if name != 5]


def test_a_logit_that_is_not_finite_fails_its_text_alone_and_needs_no_bisecting() -> None:
    engine = ScriptedEngine(not_finite=[2, 5])
    answers = run(engine, 10)
    assert blamed(answers) == {2, 5}
    assert answers[2] == Failure("NonFiniteLogit", "the model's answer to this text is not finite", Stage.MODEL)
    assert (len(engine.batches), engine.probes) == (1, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_label_that_is_not_finite_is_enough(value: float) -> None:
    class TwoLabels(ScriptedEngine):
        def logits(self, batch: Batch) -> Sequence[tuple[float, ...]]:
            return [(float(name), value if name == 0 else 1.0) for name in batch.names]

    answers = Runner(TwoLabels(), sleep=never).run(Batch.of(1, 1))
    assert isinstance(answers[0], Failure)
    assert isinstance(answers[1], Verdict)


# ---- A broken model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"poison": range(100)}, {"not_finite": range(100)}], ids=["raises", "answers NaN"])
@pytest.mark.parametrize("count", [FEW_TEXTS + 1, 100])
def test_a_model_that_fails_on_a_whole_batch_is_broken(count: int, wrong: dict[str, range]) -> None:
    with pytest.raises(ModelBroken, match=f"failed on all {count} texts of a batch; none of them was dead-lettered"):
        run(ScriptedEngine(**wrong), count)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", range(1, FEW_TEXTS + 1))
def test_in_a_batch_of_very_few_all_may_be_culprits_if_the_probe_passes(count: int) -> None:
    engine = ScriptedEngine(poison=range(count))
    assert blamed(run(engine, count)) == set(range(count))
    assert 1 <= engine.probes <= count


@pytest.mark.parametrize("count", [1, FEW_TEXTS, 50])
def test_with_a_probe_that_fails_the_model_is_broken_and_nobody_is_blamed(count: int) -> None:
    engine = ScriptedEngine(poison=[0], probe=Poison("a secret"))
    with pytest.raises(ModelBroken, match=r"fails on its own probe \(Poison\)") as broken:
        run(engine, count)
    assert "secret" not in str(broken.value)


@pytest.mark.parametrize("count", [1, 50])
def test_a_device_that_is_gone_stops_at_once_without_bisecting(count: int) -> None:
    engine = ScriptedEngine(fails=DeviceLost())
    with pytest.raises(ModelBroken, match=r"device is gone \(DeviceLost\)"):
        run(engine, count)
    assert engine.extra_passes == 0


def test_a_device_that_goes_while_bisecting_stops_too() -> None:
    class GoesLater(ScriptedEngine):
        def logits(self, batch: Batch) -> Sequence[tuple[float, ...]]:
            if self.batches:
                raise DeviceLost
            return super().logits(batch)

    with pytest.raises(ModelBroken, match="device is gone"):
        run(GoesLater(poison=[3]), 8)


# ---- Out of memory -----------------------------------------------------------------------------------------------


def sizes_of(engine: ScriptedEngine) -> list[int]:
    return [batch.tokens for batch in engine.batches]


def test_out_of_memory_halves_the_batch_until_it_fits_and_blames_nobody() -> None:
    engine = ScriptedEngine(memory=30)
    runner = Runner(engine, sleep=never)
    assert blamed(runner.run(Batch.of(*[10] * 10))) == set()
    assert sizes_of(engine) == [100, 50, 30, 20, 50, 30, 20]
    assert engine.released == 3, "cached memory is given back each time"
    assert engine.probes == 0
    assert runner.tally.out_of_memory == 3


def test_later_batches_stay_under_the_size_that_passed() -> None:
    engine = ScriptedEngine(memory=30)
    runner = Runner(engine, sleep=never)
    runner.run(Batch.of(*[10] * 10))
    assert runner.max_tokens == 25
    engine.batches.clear()
    assert blamed(runner.run(Batch.of(*[10] * 10))) == set()
    assert max(sizes_of(engine)) <= 25
    assert [name for batch in engine.batches for name in batch.names] == list(range(10)), "in their order"
    assert runner.tally.out_of_memory == 3, "memory does not run out again"


def test_the_size_held_to_is_the_smallest_that_was_found_however_uneven_the_halves() -> None:
    engine = ScriptedEngine(memory=100)
    runner = Runner(engine, sleep=never)
    runner.run(Batch.of(60, 60, 90, 90))
    assert sizes_of(engine) == [300, 120, 60, 60, 180, 90, 90]
    assert runner.max_tokens == 60


def test_a_later_batch_that_fits_is_not_cut() -> None:
    engine = ScriptedEngine(memory=30)
    runner = Runner(engine, sleep=never)
    runner.run(Batch.of(*[10] * 10))
    engine.batches.clear()
    runner.run(Batch.of(5, 5, 5, 5, 5))
    assert sizes_of(engine) == [25]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 99), max_size=20).map(tuple), min_size=1, max_size=4),
    st.integers(99, 300),
)
def test_once_memory_ran_out_no_pass_of_several_texts_is_ever_larger_than_the_size_held_to(
    batches: list[tuple[int, ...]], memory: int
) -> None:
    engine = ScriptedEngine(memory=memory)
    runner = Runner(engine, sleep=never)
    held_to = None
    for sizes in batches:
        engine.batches.clear()
        assert blamed(runner.run(Batch.of(*sizes))) == set()
        if held_to is not None:
            assert all(batch.tokens <= held_to or len(batch) == 1 for batch in engine.batches)
            assert runner.max_tokens is not None
            assert runner.max_tokens <= held_to, "it never grows again"
        held_to = runner.max_tokens


def test_one_text_that_does_not_fit_alone_is_the_culprit() -> None:
    engine = ScriptedEngine(memory=30)
    answers = Runner(engine, sleep=never).run(Batch.of(10, 10, 99, 10))
    assert blamed(answers) == {2}
    assert answers[2] == Failure("OutOfMemory", "the model fails on this text", Stage.MODEL)
    assert engine.probes == 1


def test_one_text_that_does_not_fit_alone_does_not_shrink_later_batches() -> None:
    engine = ScriptedEngine(memory=30)
    runner = Runner(engine, sleep=never)
    assert blamed(runner.run(Batch.of(99))) == {0}
    assert runner.max_tokens is None


def test_a_culprit_in_a_batch_that_does_not_fit_is_found_too() -> None:
    engine = ScriptedEngine(memory=30, poison=[13])
    assert blamed(Runner(engine, sleep=never).run(Batch.of(*[10] * 20))) == {13}


def test_memory_that_runs_out_while_bisecting_blames_nobody_else() -> None:
    class Shrinks(ScriptedEngine):
        def logits(self, batch: Batch) -> Sequence[tuple[float, ...]]:
            self.memory = 20 if self.batches else math.inf
            return super().logits(batch)

    assert blamed(Runner(Shrinks(poison=[13]), sleep=never).run(Batch.of(*[10] * 20))) == {13}


# ---- Transient errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hiccups", range(1, TRANSIENT_ATTEMPTS))
def test_a_transient_error_is_tried_again_with_growing_pauses_and_blames_nobody(hiccups: int) -> None:
    slept: list[float] = []
    engine = ScriptedEngine(hiccups=hiccups)
    assert blamed(Runner(engine, sleep=slept.append).run(Batch.of(*[1] * 8))) == set()
    assert [len(batch) for batch in engine.batches] == [8] * (hiccups + 1)
    assert len(slept) == hiccups
    assert slept == sorted(slept)
    assert 0 < sum(slept) < 2.0
    assert engine.probes == 0


def test_a_transient_error_that_stays_is_bisected_and_blames_nobody_once_it_passes() -> None:
    slept: list[float] = []
    engine = ScriptedEngine(hiccups=TRANSIENT_ATTEMPTS)
    assert blamed(Runner(engine, sleep=slept.append).run(Batch.of(*[1] * 8))) == set()
    assert len(slept) == TRANSIENT_ATTEMPTS - 1
    assert [len(batch) for batch in engine.batches][:TRANSIENT_ATTEMPTS] == [8] * TRANSIENT_ATTEMPTS
    assert all(len(batch) < 8 for batch in engine.batches[TRANSIENT_ATTEMPTS:])


def test_a_lone_text_that_meets_one_is_asked_again_after_the_model_has_passed_its_probe() -> None:
    engine = ScriptedEngine(hiccups=TRANSIENT_ATTEMPTS)
    assert blamed(Runner(engine, sleep=lambda seconds: None).run(Batch.of(1))) == set()
    assert engine.probes == 1


def test_a_text_that_always_makes_a_transient_error_is_found() -> None:
    class OneHiccups(ScriptedEngine):
        def logits(self, batch: Batch) -> Sequence[tuple[float, ...]]:
            if 3 in batch.names:
                raise Hiccup
            return super().logits(batch)

    answers = Runner(OneHiccups(), sleep=lambda seconds: None).run(Batch.of(*[1] * 8))
    assert blamed(answers) == {3}


def test_a_transient_error_that_never_ends_is_a_broken_model() -> None:
    engine = ScriptedEngine(hiccups=math.inf)
    with pytest.raises(ModelBroken):
        Runner(engine, sleep=lambda seconds: None).run(Batch.of(*[1] * 8))


# ---- What is counted ---------------------------------------------------------------------------------------------


def test_the_tally_counts_passes_bisections_and_culprits() -> None:
    engine = ScriptedEngine(poison=[0])
    runner = Runner(engine, sleep=never)
    runner.run(Batch.of(*[1] * 8))
    assert runner.tally.forwards == len(engine.batches) == 7
    assert runner.tally.bisections == 3
    assert runner.tally.culprits == 1
