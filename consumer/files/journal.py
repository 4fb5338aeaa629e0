"""The model's answers, written down as they come, so that a run that was killed can be taken up again.

Beside the output ``OUT`` stands ``OUT.progress``: a JSON line that says of which input, model and settings it is, then
one a batch. A run that goes on reads its input from the beginning and is answered from here as far as this goes, which
costs no forward pass. A last line that was torn by a crash is dropped. The file is removed when the run is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import orjson

from consumer.delivery.ports import Classifier, Finished
from consumer.delivery.records import Failure, ModelIdentity, Stage, Verdict

VERSION: Final = 1
SUFFIX: Final = ".progress"


class CannotResume(Exception):
    """There is a run that was begun, and this is not the one that can finish it; the message says why."""


class Journal:
    """An open progress file, locked against a second run."""

    def __init__(self, path: Path, stamp: Mapping[str, object]) -> None:
        """Open or make it. ``stamp`` says what all answers depend on.

        Raises:
            CannotResume: it belongs to other inputs, models or settings, or another run has it open.
            OSError: it cannot be opened.
        """
        self._path = path
        self._file: IO[bytes] = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise CannotResume(f"another run is at work on {path.name.removesuffix(SUFFIX)}") from None
        self._earlier = path.open("rb")
        try:
            self.left = self._begin(orjson.loads(orjson.dumps({"version": VERSION, **stamp})))
            """Batches of an earlier run that were not asked for yet."""
        except BaseException:
            self.close()
            raise

    def _begin(self, stamp: dict[str, object]) -> int:
        """Read what there is once, drop what a crash tore; return how many batches there are."""
        first = self._earlier.readline()
        if not first.endswith(b"\n"):
            self._file.truncate(0)
            self._file.write(orjson.dumps(stamp) + b"\n")
            self._earlier.seek(0)
            self._earlier.readline()
            return 0
        found = _loaded(first)
        if not isinstance(found, dict):
            raise CannotResume(f"{self._path} is no progress file: remove it")
        changed = sorted(name for name in {**found, **stamp} if found.get(name) != stamp.get(name))
        if changed:
            raise CannotResume(
                f"{self._path} is of a run with another {' and another '.join(changed)}. Give what that run was "
                "given, or remove this file and the output to begin anew"
            )
        good, batches = len(first), 0
        for line in self._earlier:
            if not line.endswith(b"\n") or _loaded(line) is None:
                break
            good += len(line)
            batches += 1
        self._file.truncate(good)
        self._earlier.seek(len(first))
        return batches

    def next_answers(self, texts: Sequence[str], model: ModelIdentity) -> list[Verdict | Failure] | None:
        """What was answered to this batch, the next in order; ``None`` from where the journal ends.

        Raises:
            CannotResume: the journal is of other texts.
        """
        if not self.left:
            return None
        self.left -= 1
        key, answers = orjson.loads(self._earlier.readline())
        if key != _key(texts) or len(answers) != len(texts):
            raise CannotResume(f"{self._path} does not fit the input; remove it and the output to begin anew")
        return [
            Verdict(tuple(answer[0]), answer[1], model)
            if isinstance(answer[0], list)
            else Failure(answer[0], answer[1], Stage.MODEL)
            for answer in answers
        ]

    def write(self, texts: Sequence[str], answers: Sequence[Verdict | Failure]) -> None:
        """Write a batch's answers down; they survive the process from then on."""
        noted = [
            [answer.logits, answer.truncated] if isinstance(answer, Verdict) else [answer.type, answer.message]
            for answer in answers
        ]
        self._file.write(orjson.dumps([_key(texts), noted]) + b"\n")

    def finish(self) -> None:
        """The run is complete: remove the file."""
        self._path.unlink()

    def close(self) -> None:
        """Let go of it."""
        self._earlier.close()
        self._file.close()


def _loaded(line: bytes) -> object:
    """What a line says, ``None`` if a power failure left nonsense there."""
    try:
        loaded: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return loaded


def _key(texts: Sequence[str]) -> str:
    whole = hashlib.blake2b(digest_size=8)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        whole.update(b"%d " % len(encoded) + encoded)
    return whole.hexdigest()


class JournaledClassifier:
    """A :class:`~consumer.delivery.ports.Classifier` that answers from a journal first, and writes the rest down."""

    def __init__(self, classifier: Classifier, journal: Journal) -> None:
        self._classifier = classifier
        self._journal = journal
        self._remembered: deque[Finished] = deque()
        self._asked: dict[int, Sequence[str]] = {}

    @property
    def identity(self) -> ModelIdentity:
        return self._classifier.identity

    def submit(self, ticket: int, texts: Sequence[str]) -> None:
        """See :class:`~consumer.delivery.ports.Classifier`."""
        answers = self._journal.next_answers(texts, self.identity)
        if answers is not None:
            self._remembered.append(Finished(ticket, answers))
        else:
            self._asked[ticket] = texts
            self._classifier.submit(ticket, texts)

    def withdraw(self) -> Sequence[int]:
        """Nothing is ever taken back here."""
        return ()

    def finished(self, timeout: float) -> Sequence[Finished]:
        """See :class:`~consumer.delivery.ports.Classifier`. Answers are in the journal before they are returned."""
        if self._remembered:
            results = list(self._remembered)
            self._remembered.clear()
            return results
        found = self._classifier.finished(timeout)
        for result in found:
            self._journal.write(self._asked.pop(result.ticket), result.verdicts)
        return found
