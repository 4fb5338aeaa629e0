"""``comment-consumer replay`` as a process, and dead letters made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

from confluent_kafka import Message

from tests.conformance.program import MODEL, ROOT
from tests.support.brokers import Broker
from tests.support.traffic import Topics

MODEL_FLAGS = ("--model.source", str(MODEL), "--model.preprocessing", "seed", "--model.threads", "1")


class Result(NamedTuple):
    code: int
    said: dict[str, Any]
    out: str
    err: str


def command(broker: Broker, topics: Topics, *arguments: object) -> list[str]:
    flags = (
        "--kafka.bootstrap-servers", broker.bootstrap,
        "--kafka.group-id", topics.group,
        "--kafka.input-topic", topics.input,
        "--kafka.output-topic", topics.output,
        "--kafka.dead-letter-topic", topics.dead_letters,
    )  # fmt: skip
    # The mock cluster writes transaction markers without a checksum.
    extra = ("--kafka.extra", '{"check.crcs": false}') if broker.kind == "mock" else ()
    return ["replay", *map(str, arguments), *flags, *extra]


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")} | variables


def run(arguments: list[str], module: str = "consumer", **variables: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    said = json.loads(lines[-1]) if "--json" in arguments and lines and lines[-1].startswith("{") else {}
    return Result(done.returncode, said, done.stdout, done.stderr)


def dead_letters(broker: Broker, topics: Topics, *arguments: object) -> Result:
    return run(command(broker, topics, "dead-letters", "--json", *arguments))


def relabel(broker: Broker, topics: Topics, *arguments: object) -> Result:
    return run([*command(broker, topics, "relabel", "--json", *arguments), *MODEL_FLAGS])


def ledger_of(topics: Topics) -> str:
    return f"{topics.dead_letters}-replayed"


def parts(message: Message) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """Key, value and headers."""
    return message.key(), message.value(), list(message.headers() or [])
