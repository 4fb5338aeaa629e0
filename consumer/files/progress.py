"""How far a run is: a bar on a terminal, a plain line now and then elsewhere. On standard error."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from consumer.delivery.records import Failure
from consumer.files.job import Counts

INTERVAL = 10.0  # seconds between plain lines
REDRAW = 0.1
SHOWN = 20  # rejected lines that are told one by one where no report is written


class Display(Protocol):
    """Shows a line of figures."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def show(self, figures: str, share: float | None) -> None: ...


class Bar:
    """A moving bar, on a terminal."""

    interval = REDRAW

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, figures: str, share: float | None) -> None:
        if share is None:
            self._progress.update(self._task, description=figures)
        else:
            self._progress.update(self._task, description=figures, total=1.0, completed=min(1.0, share))


class PlainLines:
    """A line every few seconds."""

    interval = INTERVAL

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print = print_line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def say(self, line: str) -> None:
        self._print(line)

    def show(self, figures: str, share: float | None) -> None:
        self._print(figures if share is None else f"{figures}, {min(1.0, share):.0%}")


class Teller:
    """A :class:`~consumer.files.job.Watching`: figures at the display's pace, the rate over the last interval."""

    def __init__(self, display: Bar | PlainLines, clock: Callable[[], float], *, tell_rejected: bool) -> None:
        self._display = display
        self._clock = clock
        self._told = self._began = clock()
        self._before = 0
        self._rate = 0.0
        self._rate_since = self._began
        self._left = SHOWN if tell_rejected else 0
        self._more = tell_rejected

    def rejected(self, number: int, failure: Failure) -> None:
        """Tell of a line that is no comment, as long as there are few."""
        if self._left:
            self._left -= 1
            self._display.say(f"line {number}: {failure.type}: {failure.message}")
        elif self._more:
            self._more = False
            self._display.say("more lines are rejected; --report FILE lists them all")

    def update(self, counts: Counts, share: float | None) -> None:
        """Show the figures if it is time."""
        now = self._clock()
        if now - self._told < self._display.interval:
            return
        self._told = now
        if now - self._rate_since >= 1.0:
            self._rate = (counts.records - self._before) / (now - self._rate_since)
            self._before, self._rate_since = counts.records, now
        self._display.show(f"{counts.records:,} comments, {self._rate:,.0f}/s, {counts.rejected:,} rejected", share)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began
