"""The policy file: read at the start, and again when it changes or somebody asks, while everything goes on.

All of it happens on the poll thread, between two rounds of the loop, and so between two events: no event is judged by
half a policy. A file that changes is read once it has stood unchanged for a moment, because an editor that is still
writing may leave half a policy that is valid by itself. A file that cannot be used is told and counted, and the policy
in force goes on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, TypeAlias

import structlog

from consumer.delivery.ports import Clock
from consumer.moderation.judgement import CompiledPolicy
from consumer.moderation.policy import Policy
from consumer.moderation.policy_file import MAX_BYTES, PolicyError, read_policy

INTERVAL: Final = 1.0  # seconds between looks, and for which a changed file must stand still

_Signature: TypeAlias = tuple[int, int, int, int]

log = structlog.get_logger()


def load_policy(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        PolicyError: it cannot be read, or is no policy.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError([f"{path} cannot be read: {os.strerror(error.errno or 0)}"]) from None
    return read_policy(str(path), content)


class Watching(Protocol):
    """Told what comes of a look at the file."""

    def in_force(self, policy: CompiledPolicy) -> None: ...

    def refused(self) -> None: ...


class PolicyReload:
    """Keeps the policy in force up to date with its file. :meth:`tick` belongs to the poll thread."""

    def __init__(
        self,
        path: Path,
        policy: CompiledPolicy,
        use: Callable[[CompiledPolicy], None],
        clock: Clock,
        watching: Watching,
    ) -> None:
        """``policy`` is what was read from ``path``; ``use`` puts a later one in force."""
        self._path = path
        self._policy = policy
        self._use = use
        self._clock = clock
        self._watching = watching
        self._asked = False
        self._next_look = clock() + INTERVAL
        self._seen = self._signature()
        self._changing: _Signature | None = None

    def install(self) -> None:
        """Read the file again on SIGHUP; from the main thread only."""
        signal.signal(signal.SIGHUP, self._on_signal)

    def ask(self) -> None:
        """Have the file read at the next tick, changed or not."""
        self._asked = True

    def tick(self) -> None:
        """Look at the file if it is time, or if somebody asked."""
        now = self._clock()
        if not self._asked and now < self._next_look:
            return
        self._next_look = now + INTERVAL
        signature = self._signature()
        if self._asked or (signature != self._seen and signature == self._changing):
            self._asked = False
            self._seen = signature
            self._read()
        self._changing = signature

    def _read(self) -> None:
        before = self._policy
        try:
            policy = load_policy(self._path).compiled(before.labels)
        except Exception as error:  # whatever a file holds, it must not end what works
            said = str(error) if isinstance(error, ValueError) else type(error).__name__
            lines = error.lines if isinstance(error, PolicyError) else (f"{self._path}: {said}",)
            log.warning("policy refused; the one in force goes on", error="; ".join(lines), digest=before.digest)
            self._watching.refused()
            return
        if policy.digest == before.digest:
            log.info("policy read again, nothing changed", digest=policy.digest)
            return
        self._use(policy)
        self._policy = policy
        self._watching.in_force(policy)
        log.info("policy changed", name=policy.name, digest=policy.digest, before=before.digest)

    def _signature(self) -> _Signature | None:
        """Changes with the file; ``None`` while there is none. A mounted ConfigMap is swapped by its symbolic link."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
