"""An embedded Kafka broker for the demo and the tests: librdkafka's mock cluster in a process of its own.

``python -m consumer.demo.broker BROKERS TOPIC=PARTITIONS ...`` prints one JSON line with its address, then obeys one
JSON command a line on standard input, answering each with a line, until standard input closes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from consumer.demo.mock_cluster import MockCluster, MockClusterMissing

STOP_TIMEOUT = 10.0  # seconds


class BrokerFailed(RuntimeError):
    """The embedded broker did not start, or ended."""


class EmbeddedBroker:
    """A context manager: the broker runs inside it. Topics are created with the partition counts given."""

    def __init__(self, topics: Mapping[str, int], brokers: int = 1) -> None:
        self._topics = dict(topics)
        self._brokers = brokers
        self._process: subprocess.Popen[str] | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        topics = [f"{name}={partitions}" for name, partitions in self._topics.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "consumer.demo.broker", str(self._brokers), *topics],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the demo; the broker ends when its input closes
        )
        self.bootstrap = self._answer()["bootstrap"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def create_topic(self, name: str, partitions: int) -> None:
        self._command("create_topic", name, partitions)

    def push_errors(self, api: str, codes: Sequence[int]) -> None:
        """See :meth:`consumer.demo.mock_cluster.MockCluster.push_errors`."""
        self._command("push_errors", api, list(codes))

    def clear_errors(self, api: str) -> None:
        self._command("clear_errors", api)

    def set_down(self, broker: int = 1) -> None:
        self._command("set_down", broker)

    def set_up(self, broker: int = 1) -> None:
        self._command("set_up", broker)

    def set_round_trip(self, milliseconds: int, broker: int = 1) -> None:
        self._command("set_round_trip", broker, milliseconds)

    def set_coordinator(self, group: str, broker: int) -> None:
        self._command("set_coordinator", "group", group, broker)

    def _command(self, name: str, *arguments: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: the missing answer says so
            process.stdin.write(json.dumps([name, *arguments]) + "\n")
            process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, str]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrokerFailed(f"the embedded broker ended with exit code {self._process.wait()}")
        answer: dict[str, str] = json.loads(line)
        if "error" in answer:
            raise BrokerFailed(answer["error"])
        return answer


def serve(brokers: int, topics: Mapping[str, int]) -> int:
    """Run a mock cluster until standard input closes."""
    try:
        cluster = MockCluster(brokers)
    except MockClusterMissing as missing:
        print(json.dumps({"error": str(missing)}), flush=True)
        return 1
    for name, partitions in topics.items():
        cluster.create_topic(name, partitions)
    print(json.dumps({"bootstrap": cluster.bootstrap}), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer = {}
        try:
            getattr(cluster, name)(*arguments)
        except Exception as error:
            answer = {"error": f"{name}: {error!r}"}
        print(json.dumps(answer), flush=True)
    cluster.close()
    return 0


if __name__ == "__main__":
    _topics = {name: int(count) for name, _, count in (argument.partition("=") for argument in sys.argv[2:])}
    sys.exit(serve(int(sys.argv[1]), _topics))
