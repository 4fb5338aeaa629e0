"""One screen: a verdict and the figures behind it. A table on a terminal, plain lines elsewhere, or one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from consumer.status.figures import Figures
from consumer.status.verdict import State, Verdict

_COLOURS = {
    State.KEEPS_UP: "bold green",
    State.CATCHES_UP: "bold yellow",
    State.FALLS_BEHIND: "bold red",
    State.NOT_READY: "bold red",
}


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    if verdict.state is State.NOT_READY:
        return _plain(f"{verdict.state.value}: {'; '.join(verdict.why)}")
    return _plain(f"{verdict.state.value}; bound by {verdict.bound.value} ({'; '.join(verdict.why)})")


def rows(figures: Figures) -> list[tuple[str, str]]:
    """What to show, each with its name."""
    f = figures
    unknown = f"; not known of {f.lag_unknown} partitions" if f.lag_unknown else ""
    paused = ", paused" if f.paused else ""
    batch = "none closed" if f.batch_size is None else f"{f.batch_size:,.1f} comments; closed {_parts(f.close_reasons)}"
    answered = f.cached + f.collapsed
    of_all = f.completed * f.seconds
    share = f" ({answered / of_all:.0%})" if answered and of_all else ""
    shown = [
        ("in / out", f"{f.received:,.1f} / {f.completed:,.1f} a second, over {f.seconds:.1f} s"),
        ("lag", f"{f.lag_records:,.0f} records, {f.lag_seconds:,.1f} s{unknown}"),
        (
            "in flight",
            f"{f.in_flight:,.0f} records ({f.load:.0%} of the limit{paused}): {f.waiting:,.0f} in line, "
            f"{f.unacknowledged:,.0f} unacknowledged; oldest {f.oldest_in_flight:,.1f} s",
        ),
        ("batches", batch),
        ("model", f"busy {f.busy:.0%}, {f.tokens:,.0f} tokens a second, a batch {_ms(f.forward_p50)} (p50)"),
        ("not run", f"{f.cached:,.0f} from the cache, {f.collapsed:,.0f} repeated in their batch{share}"),
        (
            "latency",
            f"p50 {_ms(f.latency_p50)}, p99 {_ms(f.latency_p99)}; acknowledgement p50 {_ms(f.acknowledge_p50)}, "
            f"p99 {_ms(f.acknowledge_p99)}",
        ),
        ("dead letters", f"{_dead(f.dead_letters)}; since the start {_dead(f.dead_letters_total)}"),
        ("process", f"{f.processes}; {f.cpu:.1f} cores at most, {f.memory / 1e6:,.0f} MB in all"),
    ]
    for version, model, revision, digest in f.identities:
        shown.append(("runs", f"{model} {revision} {digest[:8]}, comment-consumer {version}"))
    return [(name, _plain(text)) for name, text in shown]


def lines(figures: Figures, verdict: Verdict) -> list[str]:
    """Plain lines."""
    return [headline(verdict), *(f"{name:<13}{text}" for name, text in rows(figures))]


def table(figures: Figures, verdict: Verdict) -> Table:
    """A table for a terminal."""
    title = Text(headline(verdict), style=_COLOURS[verdict.state])
    grid = Table(title=title, title_justify="left", show_header=False, min_width=72)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for name, text in rows(figures):
        grid.add_row(name, Text(text))
    return grid


def as_json(figures: Figures, verdict: Verdict) -> dict[str, object]:
    """One object."""
    shown = asdict(figures)
    for name in ("dead_letters", "dead_letters_total"):
        shown[name] = [{"stage": stage, "type": kind, "records": count} for (stage, kind), count in shown[name].items()]
    shown["identities"] = [
        dict(zip(("version", "model", "revision", "digest"), each, strict=True)) for each in figures.identities
    ]
    return {
        "state": verdict.state.value,
        "bound": verdict.bound.value,
        "why": list(verdict.why),
        "keeps_up": verdict.state.good,
        **shown,
    }


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"


def _parts(counts: Mapping[str, float]) -> str:
    total = sum(counts.values()) or 1.0
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {count / total:.0%}" for name, count in ordered) or "-"


def _dead(counts: Mapping[tuple[str, str], float]) -> str:
    if not counts:
        return "none"
    ordered = sorted(counts.items(), key=lambda each: -each[1])[:5]
    kinds = ", ".join(f"{stage} {kind} {count:,.0f}" for (stage, kind), count in ordered)
    return f"{sum(counts.values()):,.0f} ({kinds})"


def _plain(text: str) -> str:
    """Without what would move a terminal's cursor: names come from whoever answered."""
    return "".join(char if char.isprintable() else "?" for char in text)
