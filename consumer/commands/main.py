"""``comment-consumer``: which command was asked for. Each is imported only when it runs, so that help is fast."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from consumer import __version__

COMMANDS = {
    "run": "read comments from Kafka, label them, publish the labels",
    "demo": "see it work, without Kafka, Docker or a model of your own",
    "classify": "label the comments of a file, without Kafka",
    "check": "try settings, model, broker, topics and rights before they are needed",
    "replay": "send dead letters back to the input, or label a window of it again",
    "config": "show every setting, its value and where it came from; print the reference",
    "policy": "check a policy file, and compare it with what was decided",
    "version": "show the versions of the program and of what it runs on",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code. ``arguments`` are those after the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = given[0] if given else None
    if command == "run":
        from consumer.commands.run import run  # noqa: PLC0415

        return run(given[1:])
    if command == "demo":
        from consumer.commands.demo import demo  # noqa: PLC0415

        return demo(given[1:])
    if command == "classify":
        from consumer.commands.classify import classify  # noqa: PLC0415

        return classify(given[1:])
    if command == "check":
        from consumer.commands.check import check  # noqa: PLC0415

        return check(given[1:])
    if command == "replay":
        from consumer.commands.replay import replay  # noqa: PLC0415

        return replay(given[1:])
    if command == "config":
        from consumer.commands.config import config  # noqa: PLC0415

        return config(given[1:])
    if command == "policy":
        from consumer.commands.policy import policy  # noqa: PLC0415

        return policy(given[1:])
    parser = _parser()
    chosen = parser.parse_args(given).command
    if chosen == "version":
        print(versions())
        return 0
    parser.print_help(sys.stderr)
    return 2


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
