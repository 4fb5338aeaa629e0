"""``comment-consumer demo``: see the program at work, without Kafka, Docker or a model of your own."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from consumer.commands.terminal import console
from consumer.demo.broker import BrokerFailed
from consumer.demo.screen import screen_for
from consumer.demo.session import DemoFailed, Plan, Report, Stopped, as_json, run
from consumer.demo.worker import WorkerFailed

DEFAULT_SECONDS = 30.0
DEFAULT_RATE = 200.0

SUMS_WRONG = 1
COULD_NOT_RUN = 2
INTERRUPTED = 130


def demo(arguments: Sequence[str]) -> int:
    """Run the demo as the arguments say; return the exit code.

    It is 0 when every comment that went in came out exactly once, 1 when the sums do not agree, 2 when the demo could
    not be run, 130 when it was interrupted before the first comment.
    """
    options = _parse(arguments)
    stop = threading.Event()
    stop_on_signal(stop)
    try:
        with screen_for(console()) as screen:
            report = run(_plan(options), screen, stop)
    except Stopped:
        return INTERRUPTED
    except (BrokerFailed, DemoFailed, WorkerFailed) as error:
        print(f"the demo could not be run: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    for complaint in report.findings.complaints:
        print(f"the sums do not agree: {complaint}", file=sys.stderr)
    print(json.dumps(as_json(report)) if options.json else _told(report), flush=True)
    return SUMS_WRONG if report.findings.complaints else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="comment-consumer demo",
        description="Label synthetic comments on an embedded broker, read the labels back and check that every "
        "comment came out exactly once.",
    )
    parser.add_argument(
        "--comments", type=whole_number, metavar="N", help="feed N comments, as fast as they are labeled"
    )
    parser.add_argument(
        "--rate",
        type=above_zero,
        metavar="R",
        help=f"feed at most R comments a second (default: {DEFAULT_RATE:.0f}, or no limit with --comments)",
    )
    parser.add_argument(
        "--seconds",
        type=above_zero,
        metavar="S",
        help=f"feed for at most S seconds (default: {DEFAULT_SECONDS:.0f}, or no limit with --comments)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    if options.comments is not None:
        return Plan(options.comments, options.seconds, options.rate)
    return Plan(None, options.seconds or DEFAULT_SECONDS, options.rate or DEFAULT_RATE)


def whole_number(text: str) -> int:
    """An argument that is a count."""
    if not text.isdecimal() or (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, at least 1")
    return value


def above_zero(text: str) -> float:
    """An argument that is a rate or a time."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be a number above zero")
    return value


def stop_on_signal(stop: threading.Event) -> None:
    """The first Ctrl-C or SIGTERM ends the run in order, a second one at once."""

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, told)
    signal.signal(signal.SIGTERM, told)


def _told(report: Report) -> str:
    found = report.findings
    return (
        f"{found.consumed} comments in {report.seconds:.1f} s: {found.labeled} labeled, {found.skipped} skipped, "
        f"{found.dead_lettered} dead letters, {found.duplicate_outputs} duplicates, {found.missing} missing; "
        f"latency p50 {found.latency.p50:.0f} ms, p99 {found.latency.p99:.0f} ms"
    )
