"""``comment-consumer``: which command was asked for. Each is imported only when it runs, so that help is fast."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from consumer import __version__

COULD_NOT: Final = 2
_NOT_WRITTEN: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
CLOSED_PIPE: Final = 128 + signal.SIGPIPE

# Each but version is the function of this name in the module of this name.
COMMANDS = {
    "run": "read comments from Kafka, label them, publish the labels",
    "demo": "see it work, without Kafka, Docker or a model of your own",
    "classify": "label the comments of a file, without Kafka",
    "check": "try settings, model, broker, topics and rights before they are needed",
    "replay": "send dead letters back to the input, or label a window of it again",
    "config": "show every setting, its value and where it came from; print the reference",
    "policy": "check a policy file, and compare it with what was decided",
    "schemas": "the events' JSON Schemas and the AsyncAPI document; check events against them",
    "status": "say whether running processes keep up, and what bounds them",
    "version": "show the versions of the program and of what it runs on",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code. ``arguments`` are those after the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = given[0] if given else ""
    if sys.stdout is None and command != "run":  # closed; print() would then do nothing
        print(f"comment-consumer {command}: standard output is closed", file=sys.stderr)
        return COULD_NOT
    try:
        code = _run(given)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            raise
        # Python would complain about it once more at its end, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # nobody reads any more
            return CLOSED_PIPE
        print(f"comment-consumer {command}: not written: {os.strerror(error.errno)}", file=sys.stderr)
        return COULD_NOT
    return code


def _run(given: list[str]) -> int:
    command = given[0] if given else ""
    if command in COMMANDS and command != "version":
        run: Callable[[Sequence[str]], int] = getattr(import_module(f"consumer.commands.{command}"), command)
        return run(given[1:])
    parser = _parser()
    if parser.parse_args(given).command == "version":
        print(versions())
        return 0
    parser.print_help(sys.stderr)
    return COULD_NOT


def versions() -> str:
    """This program's version and those of what decides how it behaves."""
    from importlib.metadata import version  # noqa: PLC0415

    parts = [f"comment-consumer {__version__}", f"python {sys.version.split()[0]}"]
    return "\n".join(parts + [f"{name} {version(name)}" for name in ("torch", "confluent-kafka", "transformers")])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comment-consumer",
        description="Labels the comments of a live stream: Kafka in, a BERT classifier, Kafka out, nothing lost.",
        epilog="comment-consumer COMMAND --help tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"comment-consumer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose, description=purpose)
    return parser
