"""``comment-consumer status`` as a user runs it, on the real program."""

from __future__ import annotations

import itertools
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from consumer.service import catalogue
from consumer.service.lifecycle import ExitCode
from consumer.status.scrape import read_scrape
from tests.conformance.program import Program, until
from tests.support.brokers import MockBroker
from tests.support.traffic import Topics, feeding, produce, unique_topics


def status(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "consumer", "status", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def comment(number: int) -> bytes:
    return json.dumps({"id": f"c{number}", "text": f"加油{number}"}).encode()


@pytest.fixture
def topics(mock_broker: MockBroker) -> Topics:
    names = unique_topics()
    for name in (names.input, names.output, names.dead_letters):
        mock_broker.create_topic(name, 2)
    return names


@pytest.mark.broker
def test_a_light_load_keeps_up(mock_broker: MockBroker, topics: Topics):
    with Program(mock_broker.bootstrap, topics) as program:
        with feeding(mock_broker.bootstrap, topics.input, map(comment, itertools.count()), per_second=50):
            until(lambda: program.metric(catalogue.PUBLISHED_RECORDS.sample) > 20, 60, "at work", program)
            plain = status(program.url)
            one = status(program.url.removeprefix("http://"), "--json", "--interval", "1")
        assert program.stop() == ExitCode.DRAINED
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.startswith("keeps up; bound by input (nothing waits)\n")
    assert one.returncode == 0
    shown = json.loads(one.stdout)
    assert (shown["state"], shown["bound"]) == ("keeps up", "input")
    assert shown["completed"] > 5
    assert 0 < shown["latency_p50"] < 5


@pytest.mark.broker
def test_a_slow_model_falls_behind(mock_broker: MockBroker, topics: Topics):
    # A second each batch of four: it cannot keep up with what is written.
    slow = {"model_seconds": 1.0, "batch__max_comments": 4, "cache__max_entries": 0, "flow__max_records": 64}
    with Program(mock_broker.bootstrap, topics, **slow) as program:
        produce(mock_broker.bootstrap, topics.input, map(comment, range(10_000, 10_400)))
        with feeding(mock_broker.bootstrap, topics.input, map(comment, itertools.count(20_000)), per_second=50):
            until(lambda: late(program) > 6, 60, "late", program)
            behind = status(program.url, "--json")
        program.kill()
    shown = json.loads(behind.stdout)
    assert (behind.returncode, shown["state"], shown["bound"]) == (1, "falls behind", "model"), json.dumps(shown)
    assert shown["busy"] > 0.85


def late(program: Program) -> float:
    """The lag in seconds of the worse partition."""
    return read_scrape(program.get("/metrics")[1], 0.0).most(catalogue.LAG_SECONDS)


@pytest.mark.broker
def test_brokers_that_are_away_bound_it(mock_broker: MockBroker, topics: Topics):
    with Program(mock_broker.bootstrap, topics) as program:
        produce(mock_broker.bootstrap, topics.input, [comment(1)])
        until(lambda: program.metric(catalogue.PUBLISHED_RECORDS.sample) == 1, 60, "at work", program)
        mock_broker.cut()
        until(lambda: program.metric(catalogue.BROKERS_REACHABLE.sample) == 0, 60, "cut off", program)
        shown = status(program.url)
        assert (shown.returncode, shown.stdout.splitlines()[0]) == (
            1, "falls behind; bound by broker (what waits is not known; no broker can be reached)"
        )  # fmt: skip
        mock_broker.heal()
        until(lambda: program.metric(catalogue.BROKERS_REACHABLE.sample) == 1, 60, "back", program)
        program.kill()


@pytest.mark.broker
def test_a_group_is_one_and_without_partitions_a_member_says_so(mock_broker: MockBroker, topics: Topics):
    with (
        Program(mock_broker.bootstrap, topics, kafka__group_protocol="consumer") as first,
        Program(mock_broker.bootstrap, topics, kafka__group_protocol="consumer") as second,
    ):
        shown = status(first.url, second.url, "--json", "--interval", "1")
        assert shown.returncode == 0, shown
        assert json.loads(shown.stdout)["processes"] == 2
        second.kill()
        gone = status(first.url, second.url, "--json")
        assert (gone.returncode, json.loads(gone.stdout)["state"]) == (2, "unreachable")
        first.kill()


def test_watching_goes_on_while_it_cannot_be_reached_and_ends_quietly_when_nobody_reads():
    command = [sys.executable, "-m", "consumer", "status", "127.0.0.1:9", "--watch", "--json", "--interval", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        for _ in range(2):
            assert json.loads(watching.stdout.readline())["state"] == "unreachable"
        watching.stdout.close()
        assert watching.wait(30) == 2
        assert watching.stderr.read() == ""


def test_what_cannot_be_reached_is_2_and_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    shown = status(f"http://127.0.0.1:{port}")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith(f"comment-consumer: http://127.0.0.1:{port} cannot be reached: ")
    assert len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize("body", [b"up 1\n", b"<html>", b"\xff\xfe"])
def test_another_server_is_2_and_said_to_be_one(body: bytes):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        shown = status(f"127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()
    assert shown.returncode == 2
    assert "its /metrics is " in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["ftp://host"], ["http://user:hunter2@host"], ["host:no"], ["host", "--interval", "0"], ["h", "--x"]],
)
def test_wrong_arguments_are_2(arguments: list[str]):
    shown = status(*arguments)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "usage: comment-consumer status" in shown.stderr


@pytest.mark.broker
def test_on_a_terminal_it_is_a_table_that_goes_on_until_it_is_interrupted(mock_broker: MockBroker, topics: Topics):
    with Program(mock_broker.bootstrap, topics) as program:
        control, terminal = pty.openpty()
        watching = subprocess.Popen(
            [sys.executable, "-m", "consumer", "status", program.url, "--watch", "--interval", "0.5"],
            stdout=terminal,
            stderr=terminal,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "140", "LINES": "40"},
        )
        os.close(terminal)
        shown = b""
        while shown.count(b"keeps up") < 3:
            shown += os.read(control, 65536)
        watching.send_signal(signal.SIGINT)
        while watching.poll() is None:  # what it still writes must be read, or it waits for that
            if select.select([control], [], [], 0.1)[0]:
                with suppress(OSError):
                    shown += os.read(control, 65536)
        assert watching.returncode in (0, 1)  # that of the last look, which a busy machine may find behind
        os.close(control)
        program.kill()
    assert b"\x1b[" in shown
    assert b"in / out" in shown
    assert b"Traceback" not in shown
