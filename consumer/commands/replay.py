"""``comment-consumer replay``: dead letters back to the input, or a window of the input labeled again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from consumer.commands.arguments import split
from consumer.commands.replay_arguments import LETTERS_PURPOSE, RELABEL_PURPOSE, letters_parser, relabel_parser
from consumer.commands.signals import StopOnSignal
from consumer.settings import Settings
from consumer.settings.loading import BadSettings, Program, load
from consumer.settings.replay import ReplaySettings

if TYPE_CHECKING:
    from consumer.replay.report import Report

DONE = 0
INCOMPLETE = 1
COULD_NOT = 2

_USAGE = """comment-consumer replay dead-letters [--go] [--since TIME] [--until TIME] [--error-type NAME] [--stage NAME]
                                            [--partition N] [--max-attempts N] [--fetch-stubs] [--ledger-topic NAME]
                                            [--json] [the kafka settings of run]
       comment-consumer replay relabel --to TOPIC [--since TIME] [--until TIME] [--run-id NAME]
                                       [--allow-live-output] [--json] [the settings of run]"""
_ABOUT = """\
dead-letters   send dead letters back to the input topic; without --go, say what would be sent
relabel        label a time window of the input topic again, into another topic

comment-consumer replay dead-letters --help and comment-consumer replay relabel --help tell more.
"""


def replay(arguments: Sequence[str]) -> int:
    """Run a subcommand; return the exit code."""
    what = arguments[0] if arguments else None
    if what == "dead-letters":
        return _dead_letters(arguments[1:])
    if what == "relabel":
        return _relabel(arguments[1:])
    asked = what in ("-h", "--help")
    print(f"usage: {_USAGE}\n\n{_ABOUT}", end="", file=sys.stdout if asked else sys.stderr)
    return DONE if asked else COULD_NOT


def _dead_letters(arguments: Sequence[str]) -> int:
    parser = letters_parser()
    own, rest = split(parser, arguments)
    program = Program("comment-consumer replay dead-letters", LETTERS_PURPOSE)
    if own.help:
        print(parser.format_help() + "\nThe settings:\n")
        load(ReplaySettings, ["--help"], {}, program)
    try:
        kafka = load(ReplaySettings, rest, os.environ, program).kafka
        ledger_topic = own.ledger_topic or f"{kafka.dead_letter_topic}-replayed"
        if ledger_topic in (kafka.input_topic, kafka.output_topic, kafka.dead_letter_topic):
            raise BadSettings(["--ledger-topic must be a topic of its own"])
    except BadSettings as wrong:
        return _refuse(wrong.lines)

    from consumer.delivery.errors import DeliveryStopped  # noqa: PLC0415
    from consumer.replay.dead_letters import Stopped  # noqa: PLC0415
    from consumer.replay.run_letters import Plan, replay_dead_letters  # noqa: PLC0415
    from consumer.replay.selection import Filters  # noqa: PLC0415

    filters = Filters(
        own.since,
        own.until,
        frozenset(own.error_type),
        frozenset(own.stage),
        frozenset(own.partition),
    )
    plan = Plan(filters, own.go, own.max_attempts, own.fetch_stubs, ledger_topic)
    stop = StopOnSignal()
    try:
        report = replay_dead_letters(plan, kafka, stop.asked, lambda report: _tell(report, as_json=own.json))
    except BadSettings as wrong:
        return _refuse(wrong.lines)
    except DeliveryStopped as stopped:
        _refuse([str(stopped)])
        return stopped.exit_code
    except Stopped:
        _refuse(["stopped: the same command goes on from here"])
        return 128 + stop.number
    return DONE if report.complete or not own.go else INCOMPLETE


def _relabel(arguments: Sequence[str]) -> int:
    parser = relabel_parser()
    own, rest = split(parser, arguments)
    program = Program("comment-consumer replay relabel --to TOPIC", RELABEL_PURPOSE)
    if own.help:
        print(parser.format_help() + "\nThe settings:\n")
        load(Settings, ["--help"], {}, program)
    try:
        settings = load(Settings, rest, os.environ, program)
        _check_target(own.to, settings, allow_live=own.allow_live_output)
    except BadSettings as wrong:
        return _refuse(wrong.lines)

    # Only now: torch takes seconds to import, and a wrong setting is told at once.
    from consumer.replay.run_relabel import Plan, relabel  # noqa: PLC0415
    from consumer.service.lifecycle import Ending, ExitCode, end_at_once  # noqa: PLC0415

    ending = Ending(settings.delivery.drain_timeout)
    ending.install()
    plan = Plan(own.to, own.since, own.until, own.run_id)
    try:
        code = relabel(plan, settings, ending, as_json=own.json)
    except BadSettings as wrong:
        code = _refuse(wrong.lines)
    ending.finished()
    if code == ExitCode.DEADLINE_PASSED:
        end_at_once(code)  # a thread may still be inside the model or a Kafka client
    return code


def _check_target(to: str | None, settings: Settings, *, allow_live: bool) -> None:
    kafka = settings.kafka
    if to is None:
        raise BadSettings(["--to is missing: name the topic for the new labels"])
    if to == kafka.input_topic:
        raise BadSettings(["--to is the input topic: labels there would be read as comments"])
    if to == kafka.dead_letter_topic:
        raise BadSettings(["--to is the dead-letter topic: name another one"])
    if to == kafka.output_topic and not allow_live:
        raise BadSettings(
            ["--to is the live output topic: its readers would see comments a second time. Name another topic, or say "
             "--allow-live-output if they know run_id"]
        )  # fmt: skip


def _tell(report: Report, *, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    if not as_json:
        if report.sent:
            console = Console() if sys.stdout.isatty() else Console(width=120)
            console.print(report.as_table())
        for line in report.lines():
            print(line)
    else:
        print(orjson.dumps(report.as_json()).decode())
    sys.stdout.flush()


def _refuse(lines: Sequence[str]) -> int:
    for line in lines:
        print(f"comment-consumer: {line}", file=sys.stderr)
    return COULD_NOT
