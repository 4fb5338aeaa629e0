"""The real program as a process, for tests that stop, kill and watch it.

``python -m tests.conformance.program`` is ``comment-consumer run`` with, by environment, a slower model
(``TEST_MODEL_SECONDS`` a forward pass) and a failpoint (``TEST_FAILPOINT=after-produce:N``, ``after-ack:N`` or
``after-store:N``) at which the process kills itself as SIGKILL would. Nothing of this is in the product.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.traffic import Topics

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "consumer" / "demo" / "model"
READY_TIMEOUT = 60.0
STOP_TIMEOUT = 45.0


class Program:
    """One process of the consumer. A context manager: whatever still runs is killed at its end."""

    def __init__(
        self,
        bootstrap: str,
        topics: Topics,
        *,
        failpoint: str | None = None,
        model_seconds: float = 0.0,
        ready: bool = True,
        **settings: object,
    ) -> None:
        values: dict[str, object] = {
            "kafka.bootstrap_servers": bootstrap,
            "kafka.group_id": topics.group,
            "kafka.input_topic": topics.input,
            "kafka.output_topic": topics.output,
            "kafka.dead_letter_topic": topics.dead_letters,
            "model.source": MODEL,
            "model.preprocessing": "seed",
            "model.threads": 1,
            "http.host": "127.0.0.1",
            "http.port": 0,
            "log.format": "json",
        }
        values |= {name.replace("__", "."): value for name, value in settings.items()}
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")}
        for name, value in values.items():
            self._environment["CONSUMER_" + name.upper().replace(".", "__")] = str(value)
        if failpoint:
            self._environment["TEST_FAILPOINT"] = failpoint
        self._environment["TEST_MODEL_SECONDS"] = str(model_seconds)
        self._log = Path(tempfile.mkstemp(suffix=".log")[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = ready

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.conformance.program"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if self._ready:
            try:
                until(lambda: self.get("/readyz")[0] == 200, READY_TIMEOUT, "ready", self)
            except BaseException:
                self.kill()
                raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if exception[0] is not None:
            print(f"--- log of the program, pid {self.process.pid} ---\n{self.log[-4000:]}")
        self._log.unlink(missing_ok=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Where its HTTP endpoint listens; it takes a free port and says so in its log."""
        import json

        for line in self.log.splitlines():
            if '"listening"' in line:
                return f"http://127.0.0.1:{json.loads(line)['port']}"
        return ""

    def get(self, path: str) -> tuple[int, str]:
        if not self.url:
            return 0, ""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The sum over all labels of a metric."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def until(
    condition: Callable[[], bool], seconds: float, what: str, *programs: Program, may_end: Sequence[int] = ()
) -> None:
    """Wait for a condition; fail at once when a program that should run has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        for program in programs:
            code = program.process.poll()
            assert code is None or code in may_end, f"the program ended with {code}:\n{program.log[-3000:]}"
        assert time.monotonic() < deadline, f"not {what} within {seconds:g} s"
        time.sleep(0.05)


# ---- In the child process --------------------------------------------------------------------------------------------


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _FailingPort:
    """Passes everything through to a port, and dies at the failpoint."""

    def __init__(self, port: Any, failpoint: str, left: int) -> None:
        self._port = port
        self._failpoint = failpoint
        self._left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def _count(self, failpoint: str, events: int = 1) -> bool:
        if failpoint != self._failpoint:
            return False
        self._left -= events
        return self._left <= 0

    def publish(self, message: Any, receipt: Any) -> None:
        self._port.publish(message, receipt)
        if self._count("after-produce"):
            sink = getattr(self._port, "_sink", self._port)
            sink._producer.flush(10)  # the broker has it, and nobody here has been told
            _die()

    def acknowledgements(self, timeout: float) -> Any:
        known = self._port.acknowledgements(timeout)
        if known and self._count("after-ack", len(known)):
            _die()
        return known

    def store(self, *where: Any) -> None:
        self._port.store(*where)
        if self._count("after-store"):
            _die()


def main() -> int:
    """Run the program with what the environment asks for."""
    from consumer.commands import main as command
    from consumer.service import assembly, kafka

    seconds = float(os.environ.get("TEST_MODEL_SECONDS", "0"))
    if seconds:
        load = assembly.load

        def slow(*arguments: Any, **more: Any) -> Any:
            engine = load(*arguments, **more)
            run = engine.logits

            def logits(batch: Any) -> Any:
                time.sleep(seconds)
                return run(batch)

            engine.logits = logits
            return engine

        assembly.load = slow
    failpoint, _, count = os.environ.get("TEST_FAILPOINT", "").partition(":")
    if failpoint:
        connect = kafka.connect_to_kafka

        def failing(*arguments: Any) -> Any:
            connection = connect(*arguments)
            connection.sink = _FailingPort(connection.sink, failpoint, int(count))
            connection.source = _FailingPort(connection.source, failpoint, int(count))
            return connection

        kafka.connect_to_kafka = failing
    return command.main(["run"])


if __name__ == "__main__":
    sys.exit(main())
