"""Entries in batches to the model and back, in order. No threads, no I/O, no clock.

What goes to the model together is a function of the entries alone, as long as the batch policy has no deadline and
does not ask whether the model is idle: rows are added one at a time, and what a batch finds in the cache is what the
batches before its predecessor left there, however fast they came back. A run that goes on after a crash therefore
makes the same batches as one that never stopped, and with them the same scores.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from consumer.delivery.batcher import Batcher, BatchPolicy, ClosedBatch
from consumer.delivery.ports import Classifier
from consumer.delivery.records import Decoded, Failure, ToClassify, Verdict
from consumer.delivery.results import ResultCache, result_key

QUEUE_OF_TWO = 2  # batches with the model at once: one running, one tokenised and ready


@dataclass(slots=True, eq=False)
class FileRow:
    """One entry of the input and what became of it. ``verdict`` stays ``None`` for what needs no model."""

    number: int
    decoded: Decoded
    received_at: float
    tokens: int
    verdict: Verdict | Failure | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    rows: list[FileRow]
    waiting: dict[bytes, list[FileRow]] = field(default_factory=dict)
    answers: dict[bytes, Verdict | Failure] = field(default_factory=dict)


@dataclass(slots=True)
class Work:
    """What the model was spared, and what not: ``texts`` went through it, ``repeats`` had been there before."""

    batches: int = 0
    texts: int = 0
    repeats: int = 0


class Labeler:
    """Drives a classifier. Rows come back from :meth:`finished` in the order of :meth:`add`."""

    def __init__(self, classifier: Classifier, policy: BatchPolicy, cache_entries: int) -> None:
        self._classifier = classifier
        self._batcher: Batcher[FileRow] = Batcher(policy)
        self._cache = ResultCache(cache_entries)
        self._closed: deque[ClosedBatch[FileRow]] = deque()
        self._out: deque[_Batch] = deque()
        self._recent: deque[_Batch] = deque()  # the last one or two that left; their answers are not in the cache yet
        self._ticket = 0
        self.work = Work()

    @property
    def waiting(self) -> int:
        """Closed batches that the model has no room for yet: above a few, add no more."""
        return len(self._closed)

    @property
    def busy(self) -> bool:
        """Whether a batch is with the model."""
        return bool(self._out)

    @property
    def empty(self) -> bool:
        """Whether every row has come back."""
        return not (self._out or self._closed or len(self._batcher))

    def add(self, number: int, decoded: Decoded, now: float) -> None:
        """Take an entry into the line."""
        tokens = decoded.tokens if isinstance(decoded, ToClassify) else 0
        self._batcher.add(FileRow(number, decoded, now, tokens))
        while (batch := self._batcher.close(now, idle=False)) is not None:
            self._closed.append(batch)

    def feed(self, now: float, *, ended: bool) -> None:
        """Hand over what is due. ``ended``: nothing will be added any more, so nothing waits for company."""
        while len(self._out) < QUEUE_OF_TWO:
            if not self._closed:
                idle = not self._out
                batch = self._batcher.close(float("inf") if ended else now, idle=idle)
                if batch is None:
                    return
                self._closed.append(batch)
            self._submit(self._closed.popleft().rows)

    def finished(self, timeout: float) -> list[FileRow]:
        """The rows of the batches that came back, waiting at most ``timeout`` seconds for the first.

        Raises:
            ModelBroken: nothing will come back any more.
        """
        rows: list[FileRow] = []
        for back in self._classifier.finished(timeout):
            batch = self._out.popleft()  # one FIFO model: they come back as they went
            for (key, twins), verdict in zip(batch.waiting.items(), back.verdicts, strict=True):
                batch.answers[key] = verdict
                for row in twins:
                    row.verdict = verdict
            rows += batch.rows
        return rows

    def _submit(self, rows: list[FileRow]) -> None:
        while len(self._recent) > 1:
            for key, answer in self._recent.popleft().answers.items():
                if isinstance(answer, Verdict):
                    self._cache.keep(key, answer)
        batch = _Batch(rows)
        texts: list[str] = []
        model = self._classifier.identity.digest
        for row in rows:
            if isinstance(row.decoded, ToClassify):
                key = result_key(row.decoded.text, model)
                if self._is_known(row, key, batch):
                    self.work.repeats += 1
                else:
                    batch.waiting[key] = [row]
                    texts.append(row.decoded.text)
        self._ticket += 1
        self.work.batches += 1
        self.work.texts += len(texts)
        self._recent.append(batch)
        self._out.append(batch)
        self._classifier.submit(self._ticket, texts)

    def _is_known(self, row: FileRow, key: bytes, batch: _Batch) -> bool:
        """Give a row the answer of an equal text, now or when it comes back."""
        if (twins := batch.waiting.get(key)) is not None:
            twins.append(row)
            return True
        if (verdict := self._cache.find(key)) is not None:
            row.verdict = verdict
            return True
        for earlier in self._recent:
            if key in earlier.waiting:
                answer = earlier.answers.get(key)
                if answer is None:
                    earlier.waiting[key].append(row)
                row.verdict = answer
                return True
        return False
