"""Which room may know of what. The delivery core and the policy must run where there is no Kafka, model or clock."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

HEAVY = ("torch", "confluent_kafka", "transformers")
OUTSIDE = {
    "opentelemetry",
    "time",
    "threading",
    "asyncio",
    "queue",
    "multiprocessing",
    "concurrent",
    "socket",
    "signal",
    "sched",
}

ROOT = Path(__file__).parents[1]


def modules(package: str) -> list[str]:
    found = import_module(package)
    return [package, *(module.name for module in pkgutil.walk_packages(found.__path__, package + "."))]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("room", ["consumer.delivery", "consumer.moderation", "consumer.events", "schemas"])
def test_a_room_comes_without_torch_and_kafka(room: str) -> None:
    code = (
        f"import importlib, sys\nfor name in {modules(room)!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_tracing_is_loaded_by_nobody_who_does_not_ask_for_it() -> None:
    names = [name for name in modules("consumer") if not name.startswith(("consumer.tracing", "consumer.__main__"))]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'opentelemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("room", ["consumer.delivery", "consumer.moderation"])
def test_a_room_has_no_clock_threads_or_sockets_of_its_own(room: str) -> None:
    (folder,) = import_module(room).__path__
    files = sorted(Path(folder).rglob("*.py"))
    assert files
    guilty = {
        f"{file.name}: {name}"
        for file in files
        for name in imported(file)
        if name.split(".")[0] in OUTSIDE | set(HEAVY) or name == "datetime"
    }
    assert not guilty


def test_schemas_know_nothing_of_the_program() -> None:
    (folder,) = import_module("schemas").__path__
    assert not [name for file in Path(folder).rglob("*.py") for name in imported(file) if name.startswith("consumer")]
