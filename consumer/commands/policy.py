"""``comment-consumer policy test``: whether a policy is one, and what it would have done to past events."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.moderation.comparison import Comparison, NoEvent, read_event
from consumer.moderation.policy import Policy
from consumer.moderation.policy_file import PolicyError
from consumer.service.policy_reload import load_policy

DONE: Final = 0
SOME_NO_EVENTS: Final = 1
COULD_NOT: Final = 2

MAX_LINE: Final = 4_000_000  # bytes; far above any labeled event
TOLD: Final = 20  # lines without an event that are told one by one

_EPILOG = """Events are JSON lines, as the consumer publishes them or classify writes them.

exit codes: 0 done; 1 done, but some lines of the events hold none (told on standard error); 2 the policy or the
events cannot be used.
"""


def policy(arguments: Sequence[str]) -> int:
    """Run a subcommand; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = load_policy(Path(options.file))
    except PolicyError as wrong:
        return _refuse(wrong.lines)
    if options.events is None:
        _tell_policy(found, as_json=options.json)
        return DONE
    comparison = Comparison(found, shown=options.show)
    try:
        wrong_lines = _compare(options.events, comparison)
    except OSError as error:
        return _refuse([f"{options.events} cannot be read ({type(error).__name__})"])
    except ValueError as error:
        return _refuse([f"{options.file}: {error}"])
    if options.json:
        print(orjson.dumps(comparison.as_json() | {"no_events": wrong_lines}, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(comparison)
    return SOME_NO_EVENTS if wrong_lines else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="comment-consumer policy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    test = commands.add_parser(
        "test",
        help="check a policy file; with --events, compare it with what was decided",
        description="Check a policy file; with --events, judge past events by it and compare.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    test.add_argument("file", metavar="FILE", help="the policy, .toml or .yaml")
    test.add_argument("--events", metavar="FILE", help="labeled events, JSON lines; - is standard input")
    test.add_argument("--show", type=int, default=20, metavar="N", help="list at most N events that change (20)")
    test.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _compare(path: str, comparison: Comparison) -> int:
    """Add every event of a file; return how many lines hold none."""
    wrong = 0
    with ExitStack() as stack:
        file = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))
        for number, line in _lines(file):
            try:
                if line is None:
                    raise NoEvent(f"it has more than {MAX_LINE} bytes")
                event = read_event(line)
            except NoEvent as reason:
                wrong += 1
                if wrong <= TOLD:
                    print(f"comment-consumer: line {number}: {reason}", file=sys.stderr)
                continue
            comparison.add(event)
    if wrong > TOLD:
        print(f"comment-consumer: {wrong - TOLD} more lines hold no event", file=sys.stderr)
    return wrong


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines without the blank ones; ``None`` for one that is too long to be looked at."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif line.strip():
            yield number, line


def _tell_policy(found: Policy, *, as_json: bool) -> None:
    if as_json:
        told = {"name": found.name, "digest": found.digest, "policy": found.model_dump(mode="json")}
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        print(f"{found.name}: a policy, digest {found.digest}")
        print(f"actions, the weakest first: {', '.join(found.actions)}")
        print(f"labels: {', '.join(found.labels) or 'none by name'}; overrides: {len(found.overrides)}")


def _tell(found: Comparison) -> None:
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=120, highlight=False)
    console.print(
        f"{found.policy.name}, digest {found.policy.digest[:16]}…, on {found.labeled:,} labeled events; "
        f"{found.skipped:,} skipped ones are not judged",
        markup=False,
    )
    for (name, digest), count in found.earlier.most_common(5):
        console.print(f"{count:,} were judged by {name}, digest {digest[:16]}…", markup=False)
    console.print(f"{found.changed:,} get another action; {found.audited:,} are in the audit's sample")
    for table in _tables(found):
        if table.row_count:
            console.print()
            console.print(table)


def _tables(found: Comparison) -> Iterator[Table]:
    yield _table(("action", "before", "after", "change"), (_counts(action, found) for action in found.actions))
    moves = ((f"{before} → {after}", f"{count:,}") for (before, after), count in found.moves.most_common())
    yield _table(("another action", "events"), moves)
    labels = (
        (label, f"{c.before:,}", f"{c.after:,}", f"{c.gained:,}", f"{c.lost:,}") for label, c in found.labels.items()
    )
    yield _table(("label flagged", "before", "after", "newly", "no more"), labels)
    yield _table(("reason", "events"), ((reason, f"{count:,}") for reason, count in found.reasons.most_common()))
    differences = ((d.event_id, f"{d.before} → {d.after}", ", ".join(d.reasons)) for d in found.differences)
    yield _table(("event", "action", "reasons"), differences)


def _counts(action: str, found: Comparison) -> tuple[str, ...]:
    before, after = found.before[action], found.after[action]
    return action, f"{before:,}", f"{after:,}", f"{after - before:+,}" if after != before else ""


def _table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 or column in ("action", "reasons") else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _refuse(lines: Sequence[str]) -> int:
    for line in lines:
        print(f"comment-consumer: {line}", file=sys.stderr)
    return COULD_NOT
