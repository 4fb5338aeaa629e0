"""The command line as a user meets it, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from consumer import __version__


def consumer(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def test_help_names_the_commands():
    shown = consumer("--help")
    assert shown.returncode == 0
    for command in ("run", "demo", "classify", "check", "config", "policy", "schemas", "status", "version"):
        assert f"\n    {command} " in shown.stdout


def test_without_a_command_it_shows_help_and_fails():
    shown = consumer()
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "COMMAND" in shown.stderr


def test_version_is_shown():
    assert consumer("--version").stdout == f"comment-consumer {__version__}\n"
    assert "torch 2." in consumer("version").stdout


def test_help_is_fast_because_it_imports_no_model_and_no_kafka():
    code = """
import sys
from consumer.commands.main import main
try:
    main(["run", "--help"])
except SystemExit:
    pass
print([m for m in ("torch", "transformers", "confluent_kafka") if m in sys.modules], file=sys.stderr)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stderr == "[]\n"
    assert "kafka options:" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        ([], {}, "kafka.bootstrap_servers"),
        (["--kafka.bootstrap-servers", "localhost:1", "--model.source", "m", "--bogus"], {}, "--bogus"),
        (["--model.source", "m"], {"CONSUMER_KAFKA__BOOTSTRAP": "x"}, "CONSUMER_KAFKA__BOOTSTRAP"),
        (
            ["--kafka.bootstrap-servers", "localhost:1", "--model.source", "/none", "--events.mapping", "/none.toml"],
            {"CONSUMER_HTTP__ENABLED": "false", "CONSUMER_LOG__LEVEL": "error"},
            "events.mapping",  # and not the model, which would take its time
        ),
    ],
)
def test_wrong_settings_end_with_2_and_plain_lines_that_name_them(
    arguments: list[str], environment: dict[str, str], named: str
):
    shown = consumer("run", *arguments, **environment)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert named in shown.stderr
    assert "Traceback" not in shown.stderr
    assert all(line.startswith("comment-consumer: ") for line in shown.stderr.splitlines())


@pytest.mark.parametrize(
    "arguments", [["demo", "--comments", "1e3"], ["demo", "--rate", "fast"], ["demo", "--seconds", "0"]]
)
def test_an_argument_that_is_no_number_is_told_as_such(arguments: list[str]):
    shown = consumer(*arguments)
    assert shown.returncode == 2
    assert f"argument {arguments[1]}: must be a " in shown.stderr


@pytest.mark.parametrize(
    "command", ["config reference", "config show --kafka.bootstrap-servers localhost:1 --model.source m"]
)
def test_a_reader_that_goes_away_ends_it_quietly(command: str):
    piped = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m consumer {command} | true; echo "${{PIPESTATUS[0]}}"'],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert piped.stderr == ""
    assert piped.stdout.strip() in ("0", "141")  # it may have been through before the reader was gone


@pytest.mark.parametrize("command", ["version", "config reference"])
def test_a_full_disk_is_told_in_one_line(command: str):
    shown = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m consumer {command} >/dev/full'],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = f"comment-consumer {command.split(maxsplit=1)[0]}: not written: No space left on device\n"
    assert (shown.returncode, shown.stderr) == (2, said)


def test_results_that_nobody_can_read_are_not_made():
    shown = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m consumer config reference >&-'],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (2, "comment-consumer config: standard output is closed\n")
