"""What the Dockerfile promises, read out of it; `make image` is what builds it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumer.service.health import Health
from consumer.service.http import HttpEndpoint, application

ROOT = Path(__file__).parents[2]
WORDS = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").split("\n")


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its whole argument, comments and line ends taken out."""
    lines = [line for line in WORDS.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def last_stage() -> list[tuple[str, str]]:
    every = instructions()
    start = max(number for number, (word, _) in enumerate(every) if word == "FROM")
    return every[start:]


def only(word: str) -> str:
    (found,) = [rest for each, rest in last_stage() if each == word]
    return found


def command(text: str) -> list[str]:
    found = json.loads(text)
    assert isinstance(found, list)
    return found


def health_check() -> list[str]:
    return command(only("HEALTHCHECK").partition(" CMD ")[2])


class TestStage:
    def test_the_program_runs_as_a_user_by_number_that_is_not_root(self) -> None:
        user, group = only("USER").split(":")
        assert int(user) > 0
        assert int(group) > 0

    def test_signals_reach_the_program(self) -> None:
        """No shell stands between, and process 1 is one that hands signals on from the first moment."""
        entry = command(only("ENTRYPOINT"))
        assert entry[:2] == ["/usr/bin/tini", "--"]
        assert entry[2] in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
        assert command(only("CMD")) == ["run"]
        assert only("STOPSIGNAL") == "SIGTERM"

    def test_only_what_was_built_is_in_it(self) -> None:
        assert all(rest.startswith("--from=build ") for word, rest in last_stage() if word == "COPY")

    def test_it_asks_for_no_package_without_leaving_the_lists_behind(self) -> None:
        for word, rest in instructions():
            if word == "RUN" and "apt-get install" in rest:
                assert "--no-install-recommends" in rest
                assert "rm -rf /var/lib/apt/lists/*" in rest


class TestBuild:
    def test_everything_that_is_installed_is_pinned(self) -> None:
        assert "PIP_CONSTRAINT=/build/constraints.txt" in WORDS
        constraints = (ROOT / "constraints.txt").read_text("utf-8")
        pinned = {
            re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in constraints.splitlines() if "==" in line
        }
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        (extras,) = re.findall(r"^ARG EXTRAS=(\S*)$", WORDS, re.MULTILINE)
        wanted = [
            *project["dependencies"],
            *(n for e in extras.split(",") for n in project["optional-dependencies"][e]),
        ]
        for requirement in wanted:
            assert re.sub(r"[-_.]+", "-", re.split(r"[\[<>=]", requirement)[0]).lower() in pinned

    def test_what_is_copied_from_here_is_here_and_goes_along(self) -> None:
        copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
        kept = [line[1:] for line in IGNORED if line.startswith("!")]
        assert IGNORED[1] == "*"
        for source in {each for sources in copied for each in sources}:
            assert "*" in source or (ROOT / source).exists()
            assert any(fnmatch.fnmatch(each, source) for each in kept)

    def test_no_secret_or_history_can_go_along(self) -> None:
        kept = {line[1:] for line in IGNORED if line.startswith("!")}
        assert kept == {
            "LICENSE",
            "README.md",
            "constraints.txt",
            "consumer",
            "deploy/wheels",
            "pyproject.toml",
            "schemas",
        }

    def test_both_builders_understand_it(self) -> None:
        """Mounts, heredocs and a syntax line are BuildKit's alone."""
        assert not re.search(r"--mount|<<|^# *syntax|COPY .*--(link|chmod|exclude)", WORDS, re.MULTILINE)


class TestHealthCheck:
    def run(self, port: int) -> int:
        _, *arguments = health_check()
        environment = {**os.environ, "CONSUMER_HTTP__PORT": str(port)}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False, timeout=60
        ).returncode

    @pytest.mark.parametrize("alive", [True, False])
    def test_it_says_what_livez_says(self, alive: bool) -> None:
        now = 0.0
        health = Health(lambda: now)
        health.beat()
        now = 0.0 if alive else 1e6
        endpoint = HttpEndpoint(application(health, CollectorRegistry()), "127.0.0.1", 0)
        try:
            assert (self.run(endpoint.port) == 0) is alive
        finally:
            endpoint.close(5.0)

    def test_nobody_there_is_not_healthy(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            assert self.run(probe.getsockname()[1]) != 0
