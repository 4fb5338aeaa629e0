"""``comment-consumer status``: whether running processes keep up, and what bounds them."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence

import orjson
from rich.console import Console
from rich.live import Live
from rich.text import Text

from consumer.status.figures import Figures, Pair, figures_of
from consumer.status.probe import Unreachable, ask_all, base_of
from consumer.status.scrape import Scrape
from consumer.status.screen import as_json, lines, table
from consumer.status.verdict import Verdict, judge

GOOD = 0
BAD = 1
UNREACHABLE = 2

_ABOUT = """Reads /metrics twice, /livez and /readyz of one process or a whole group, and says whether it keeps up and
what bounds it: input (nothing waits), model, output, broker, or the program itself."""
_EXIT = "exit codes: 0 keeps or catches up, 1 falls behind or is not ready, 2 cannot be reached"


def status(arguments: Sequence[str]) -> int:
    """Look, and show; return the exit code: that of the last look."""
    options = _parse(arguments)
    screen = _Screen(as_one_object=options.json, watching=options.watch)
    code = UNREACHABLE
    try:
        with screen:
            for code in _codes(options.urls, options.interval, screen):  # noqa: B007
                if not options.watch:
                    break
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Nobody reads any more. Python would complain about it once more at its end, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _codes(urls: list[str], interval: float, screen: _Screen) -> Iterator[int]:
    """Look again and again; yield an exit code for each look that was shown."""
    earlier = ask_all(urls)
    while True:
        unreachable = [each for each in earlier if isinstance(each, Unreachable)]
        if unreachable:
            screen.fail(unreachable)
            yield UNREACHABLE
        time.sleep(interval)
        later = ask_all(urls)
        pairs = [
            Pair(before, after)
            for before, after in zip(earlier, later, strict=True)
            if isinstance(before, Scrape) and isinstance(after, Scrape)
        ]
        if len(pairs) == len(later):
            figures = figures_of(pairs)
            verdict = judge(figures)
            screen.show(figures, verdict)
            yield GOOD if verdict.state.good else BAD
        earlier = later


class _Screen:
    """Where it is shown: a table that redraws itself, lines, or an object a look."""

    def __init__(self, *, as_one_object: bool, watching: bool) -> None:
        self._json = as_one_object
        self._console = Console()
        self._watching = watching
        moving = watching and self._console.is_terminal and not as_one_object
        self._live = Live(console=self._console, auto_refresh=False) if moving else None

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.__enter__()

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, figures: Figures, verdict: Verdict) -> None:
        if self._json:
            print(orjson.dumps(as_json(figures, verdict)).decode(), flush=True)
        elif self._live is not None:
            self._live.update(table(figures, verdict), refresh=True)
        elif self._console.is_terminal:
            self._console.print(table(figures, verdict))
        else:
            print("\n".join(lines(figures, verdict)) + ("\n" if self._watching else ""), flush=True)

    def fail(self, unreachable: Sequence[Unreachable]) -> None:
        said = [str(each) for each in unreachable]
        if self._json:
            print(orjson.dumps({"state": "unreachable", "why": said, "keeps_up": False}).decode(), flush=True)
        elif self._live is not None:
            self._live.update(Text("\n".join(said), style="bold red"), refresh=True)
        else:
            for line in said:
                print(f"comment-consumer: {line}", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="comment-consumer status", description=_ABOUT, epilog=_EXIT, allow_abbrev=False
    )
    parser.add_argument(
        "urls", metavar="URL", nargs="+", type=_url, help="where http.port listens, such as http://localhost:8080; "
        "several are taken for one group",
    )  # fmt: skip
    parser.add_argument("--watch", action="store_true", help="look again and again, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON object a look")
    parser.add_argument(
        "--interval", metavar="SECONDS", type=_seconds, default=3.0, help="between two looks (default: 3)"
    )
    options = parser.parse_args(arguments)
    options.urls = list(dict.fromkeys(options.urls))
    return options


def _url(given: str) -> str:
    try:
        return base_of(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0.5 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("give seconds from 0.5 to 3600")
    return seconds
