"""What the demo shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from consumer.demo.audit import Latency


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at one moment.

    Attributes:
        seconds: since the first comment was fed.
        fed_per_second: comments taken by the broker, over the last second.
        answered_per_second: outputs read back, over the last second.
        fed: comments taken by the broker so far.
        labeled: labeled events read back so far.
        skipped: labeled events that say "skipped", so far.
        dead_lettered: dead letters read back so far.
        latency: of the latest comments.
        batch_size: mean comments in a batch so far, or ``None`` while there was none.
        cache_hits: texts that needed no forward pass so far.
        labels: how often each label was flagged.
        recent: some of the last labeled comments with their labels, latest last.
    """

    seconds: float
    fed_per_second: float
    answered_per_second: float
    fed: int
    labeled: int
    skipped: int
    dead_lettered: int
    latency: Latency
    batch_size: float | None
    cache_hits: int
    labels: Mapping[str, int]
    recent: Sequence[tuple[str, Sequence[str]]]


class Screen(Protocol):
    """Where snapshots go. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def say(self, line: str) -> None:
        """Show one line that stays."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the state of the run."""


def screen_for(console: Console) -> Screen:
    """A live table where the console is a terminal, else plain lines."""
    return LiveTable(console) if console.is_terminal else PlainLines(console)


class PlainLines:
    """One line a snapshot. Never a comment's text: lines end up in log files."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to put back."""

    def say(self, line: str) -> None:
        """Print it."""
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def show(self, snapshot: Snapshot) -> None:
        """Print the numbers."""
        s = snapshot
        batch = "-" if s.batch_size is None else f"{s.batch_size:.1f}"
        self.say(
            f"{s.seconds:5.1f} s  in {s.fed_per_second:6.0f}/s  out {s.answered_per_second:6.0f}/s  batch {batch:>5}  "
            f"latency p50 {s.latency.p50:5.0f} ms p99 {s.latency.p99:5.0f} ms  labeled {s.labeled}  "
            f"skipped {s.skipped}  dead letters {s.dead_lettered}"
        )


class LiveTable:
    """A table that redraws itself."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def say(self, line: str) -> None:
        """Print it above the table."""
        self._console.print(line, markup=False, highlight=False)

    def show(self, snapshot: Snapshot) -> None:
        """Redraw."""
        self._live.update(table(snapshot), refresh=True)


def table(snapshot: Snapshot) -> Table:
    """Lay a snapshot out."""
    s = snapshot
    grid = Table(title="comments → labels", title_justify="left", show_header=False, min_width=72)
    grid.add_column(style="bold")
    grid.add_column()
    grid.add_row("time", f"{s.seconds:.1f} s")
    grid.add_row("in / out", f"{s.fed_per_second:.0f} / {s.answered_per_second:.0f} comments a second")
    grid.add_row("batch size", "-" if s.batch_size is None else f"{s.batch_size:.1f} on average")
    grid.add_row("latency", f"p50 {s.latency.p50:.0f} ms   p99 {s.latency.p99:.0f} ms")
    grid.add_row("labeled", f"{s.labeled} of {s.fed}   (skipped {s.skipped}, from the cache {s.cache_hits})")
    grid.add_row("labels", "   ".join(f"{name} {count}" for name, count in sorted(s.labels.items())) or "-")
    grid.add_row("dead letters", str(s.dead_lettered))
    for text, labels in s.recent:
        grid.add_row("", f"[dim]{_escaped(text)}[/dim]  {', '.join(labels) or 'none'}")
    return grid


def _escaped(text: str) -> str:
    return (text[:40] + "…" if len(text) > 40 else text).replace("[", r"\[")
