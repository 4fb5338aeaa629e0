"""The very program that a user deploys, run as a process of its own and watched through its HTTP endpoint."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_STOP_TIMEOUT = 40.0
_SHOWN_LINES = 12


class WorkerFailed(Exception):
    """The program did not start, or ended by itself. The message holds the last lines of its log."""


class Worker:
    """``comment-consumer run`` with settings from its environment. A context manager: leaving it ends the process."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Make a worker; ``settings`` maps dotted names such as ``kafka.group_id`` to values."""
        self._port = _free_port()
        given = {**settings, "http.host": "127.0.0.1", "http.port": str(self._port)}
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")}
        self._environment |= {f"CONSUMER_{name.replace('.', '__').upper()}": value for name, value in given.items()}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "consumer.demo.leash", "run"]
        # a session of its own, so that Ctrl-C on the terminal reaches only the demo, which ends the worker in order
        self._process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._running.poll() is None:
            self._running.kill()
        self._running.wait()
        if self._running.stdin is not None:
            self._running.stdin.close()
        self._log.close()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the worker was not entered"
        return self._process

    def ready(self) -> bool:
        """Whether it says so itself: the model is warm and partitions are assigned.

        Raises:
            WorkerFailed: it has ended.
        """
        self.check()
        return self._get("/readyz") is not None

    def check(self) -> None:
        """Raise :class:`WorkerFailed` if it has ended."""
        if (code := self._running.poll()) is not None:
            raise WorkerFailed(f"the consumer ended with exit code {code}:\n{self._last_lines()}")

    def metrics(self) -> str | None:
        """What ``/metrics`` says now, in the text format; ``None`` when it does not answer."""
        return self._get("/metrics")

    def stop(self) -> None:
        """Ask it to drain and end, and wait until it has.

        Raises:
            WorkerFailed: it did not end in time, or not well.
        """
        self._running.send_signal(signal.SIGTERM)
        try:
            code = self._running.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"the consumer did not end within {_STOP_TIMEOUT:.0f} s of SIGTERM") from None
        if code != 0:
            raise WorkerFailed(f"the consumer ended with exit code {code}:\n{self._last_lines()}")

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=2) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return None

    def _last_lines(self) -> str:
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-_SHOWN_LINES:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
