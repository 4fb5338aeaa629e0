import io

from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from consumer.demo.audit import Latency
from consumer.demo.figures import Figures, read_figures
from consumer.demo.screen import LiveTable, PlainLines, Snapshot, screen_for
from consumer.service.metrics import Metrics

SNAPSHOT = Snapshot(
    seconds=3.0,
    fed_per_second=200.0,
    answered_per_second=198.0,
    fed=600,
    labeled=590,
    skipped=3,
    dead_lettered=1,
    latency=Latency(12.0, 45.0),
    batch_size=17.5,
    cache_hits=80,
    labels={"Cheer": 200, "Game": 300},
    recent=[("[bold]加油[/bold]", ["Cheer"])],
)


def shown(terminal):
    out = io.StringIO()
    with screen_for(Console(file=out, force_terminal=terminal, width=120)) as screen:
        screen.say("hello [world]")
        screen.show(SNAPSHOT)
    return out.getvalue()


def test_a_terminal_gets_a_table_and_anything_else_plain_lines():
    assert isinstance(screen_for(Console(file=io.StringIO(), force_terminal=True)), LiveTable)
    assert isinstance(screen_for(Console(file=io.StringIO(), force_terminal=False)), PlainLines)


def test_both_show_rates_batch_size_latency_and_counts():
    for text in (shown(True), shown(False)):
        for number in ("200", "198", "17.5", "12", "45", "590"):
            assert number in text
        assert "hello [world]" in text


def test_plain_lines_hold_no_control_characters_and_no_comment():
    text = shown(False)
    assert "\x1b" not in text
    assert "加油" not in text
    assert len(text.splitlines()) == 2


def test_the_table_shows_comments_as_they_are_and_never_as_markup():
    assert "[bold]加油[/bold]" in shown(True)


def test_figures_are_read_from_the_programs_own_metrics():
    metrics = Metrics(CollectorRegistry())
    for rows in (5, 20):
        metrics.batch_rows.observe(rows)
    metrics.cache_hits.inc(7)
    assert read_figures(generate_latest(metrics.registry).decode()) == Figures(batch_size=12.5, cache_hits=7)


def test_figures_that_are_not_there_are_zero():
    assert read_figures("") == Figures(batch_size=None, cache_hits=0)
