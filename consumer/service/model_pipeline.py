"""The model behind its queue of two: one thread tokenises, one runs the model, results wait for the poll thread.

    submit ─► submitted ─tokeniser thread─► ready (one) ─model thread─► finished ─► poll thread

Threads meet only at these queues. There is one of each, so batches come back in the order they were submitted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import Empty, Queue
from typing import Generic, NamedTuple, Protocol, TypeVar

from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.engine import Engine, TokenizedT
from consumer.classifier.runner import Runner, Tally
from consumer.delivery.errors import ModelBroken
from consumer.delivery.ports import Finished
from consumer.delivery.records import Failure, ModelIdentity, Stage, Verdict

ItemT = TypeVar("ItemT")

PROBE = "a"  # a text that every tokeniser can read


class Watcher(Protocol):
    """Told what the two threads do with which batch, on those threads. A batch without a text to run is not told."""

    def tokenized(self, ticket: int, rows: int, tokens: int, seconds: float) -> None: ...

    def started(self, ticket: int) -> None:
        """A batch is with the model from now on."""

    def ran(self, ticket: int, rows: int, tokens: int, seconds: float, tally: Tally) -> None:
        """The batch is done; ``tally`` is what the runner has counted since it was made."""


class Unwatched:
    """A :class:`Watcher` that takes no notes."""

    def tokenized(self, ticket: int, rows: int, tokens: int, seconds: float) -> None: ...

    def started(self, ticket: int) -> None: ...

    def ran(self, ticket: int, rows: int, tokens: int, seconds: float, tally: Tally) -> None: ...


class _Job(NamedTuple):
    ticket: int
    texts: Sequence[str]


class _Ready(NamedTuple, Generic[TokenizedT]):
    """A batch for the model; ``failures`` are texts that the tokeniser could not read, by their place."""

    ticket: int
    batch: TokenizedT | None
    failures: dict[int, Failure]


class ModelPipeline(Generic[TokenizedT]):
    """Implements :class:`~consumer.delivery.ports.Classifier`. Its methods belong to the poll thread."""

    def __init__(self, engine: Engine[TokenizedT], runner: Runner[TokenizedT], watcher: Watcher) -> None:
        self._engine = engine
        self._runner = runner
        self._watcher = watcher
        self._submitted: Queue[_Job | None] = Queue()
        self._ready: Queue[_Ready[TokenizedT] | None] = Queue()  # holds at most one: two batches are out at most
        self._finished: Queue[Finished | ModelBroken] = Queue()
        self._warm: Queue[Exception | None] = Queue()
        self._broken: ModelBroken | None = None
        self._threads = [
            threading.Thread(target=self._tokenize_all, name="tokeniser", daemon=True),
            threading.Thread(target=self._run_all, name="model", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads, and return once the model has run its probe batches on its own thread.

        Raises:
            CheckpointError: it can, and the answers show that its files are wrong.
            ModelBroken: it cannot.
        """
        for thread in self._threads:
            thread.start()
        error = self._warm.get()
        if isinstance(error, CheckpointError):
            raise error
        if error is not None:
            raise ModelBroken(
                f"the model fails on its own probe ({type(error).__name__}). Check the model folder and model.device."
            ) from error

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers."""
        return self._engine.identity

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        """Hand over a batch; see :class:`~consumer.delivery.ports.Classifier`."""
        self._submitted.put(_Job(ticket, texts))

    def withdraw(self) -> Sequence[int]:
        """Take back what the model has not begun, oldest first. A batch in the tokeniser's hands may be missed."""
        younger = [job.ticket for job in _take_all(self._submitted)]
        return [ready.ticket for ready in _take_all(self._ready)] + younger

    def finished(self, timeout: float) -> Sequence[Finished]:
        """Return the batches that came back; see :class:`~consumer.delivery.ports.Classifier`.

        Raises:
            ModelBroken: a thread has ended, so nothing will come back any more.
        """
        if self._broken is not None:
            raise self._broken
        results: list[Finished] = []
        try:
            result = self._finished.get(timeout=timeout) if timeout > 0 else self._finished.get_nowait()
            while True:
                if isinstance(result, ModelBroken):
                    self._broken = result
                    break
                results.append(result)
                result = self._finished.get_nowait()
        except Empty:
            pass
        if self._broken is not None and not results:
            raise self._broken
        return results

    def close(self, timeout: float) -> bool:
        """End the threads after the batches they have; return whether they ended within ``timeout`` seconds."""
        self._submitted.put(None)
        end = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # ---- The two threads -----------------------------------------------------------------------------------------

    def _tokenize_all(self) -> None:
        try:
            while (job := self._submitted.get()) is not None:
                self._ready.put(self._tokenize(job))
        except ModelBroken as broken:
            self._finished.put(broken)
        except Exception as error:
            self._finished.put(_broken("tokeniser", error))
        self._ready.put(None)

    def _tokenize(self, job: _Job) -> _Ready[TokenizedT]:
        if not job.texts:
            return _Ready(job.ticket, None, {})
        began = time.perf_counter()
        failures: dict[int, Failure] = {}
        try:
            batch = self._engine.tokenize(job.texts)
        except Exception as error:
            failures = self._culprits(job.texts, error)
            good = [text for row, text in enumerate(job.texts) if row not in failures]
            if not good:
                return _Ready(job.ticket, None, failures)
            batch = self._engine.tokenize(good)
        self._watcher.tokenized(job.ticket, len(batch), batch.tokens, time.perf_counter() - began)
        return _Ready(job.ticket, batch, failures)

    def _culprits(self, texts: Sequence[str], error: Exception) -> dict[int, Failure]:
        """The texts that the tokeniser cannot read even alone.

        Raises:
            ModelBroken: none of several, or not even the probe, can be read: it is not the texts' fault.
        """
        failures: dict[int, Failure] = {}
        for row, text in enumerate(texts):
            try:
                self._engine.tokenize([text])
            except Exception as alone:
                failures[row] = Failure(type(alone).__name__, "the tokeniser fails on this text", Stage.MODEL)
        if not failures or (len(failures) == len(texts) > 1):
            raise _broken("tokeniser", error)
        self._engine.tokenize([PROBE])
        return failures

    def _run_all(self) -> None:
        try:
            self._engine.warm_up()
        except Exception as error:
            self._warm.put(error)
            return
        self._warm.put(None)
        try:
            while (ready := self._ready.get()) is not None:
                self._finished.put(Finished(ready.ticket, self._run(ready)))
        except ModelBroken as broken:
            self._finished.put(broken)
        except Exception as error:
            self._finished.put(_broken("model thread", error))

    def _run(self, ready: _Ready[TokenizedT]) -> list[Verdict | Failure]:
        answers: list[Verdict | Failure] = []
        if ready.batch is not None:
            self._watcher.started(ready.ticket)
            began = time.perf_counter()
            answers = self._runner.run(ready.batch)
            seconds = time.perf_counter() - began
            self._watcher.ran(ready.ticket, len(ready.batch), ready.batch.tokens, seconds, self._runner.tally)
        for row in sorted(ready.failures):
            answers.insert(row, ready.failures[row])
        return answers


def _take_all(queue: Queue[ItemT | None]) -> list[ItemT]:
    taken: list[ItemT] = []
    try:
        while (item := queue.get_nowait()) is not None:
            taken.append(item)
    except Empty:
        pass
    return taken


def _broken(where: str, error: BaseException) -> ModelBroken:
    broken = ModelBroken(
        f"the {where} failed ({type(error).__name__}); nothing of the batch was committed. "
        "Check the model folder and the device, then restart."
    )
    broken.__cause__ = error
    return broken
