"""Each verdict, from two scrapes of a real registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from consumer.delivery.records import ModelIdentity
from consumer.service.metrics import Metrics
from consumer.status.figures import Figures, Pair, figures_of, quantile
from consumer.status.scrape import Bucket, NotOurs, Scrape, read_scrape
from consumer.status.screen import as_json, headline, lines
from consumer.status.verdict import Bound, State, Verdict, judge

SECONDS = 4.0


@dataclass
class Process:
    """A process whose metrics a test sets; what happens between the two scrapes is ``meanwhile``."""

    not_alive: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()
    now: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        self.metrics = Metrics(CollectorRegistry(), lambda: self.now[0])
        self.metrics.describe_build("1.2.3", ModelIdentity("seed", "abc", "0123456789"))
        self.metrics.assigned.set(1)
        self.lag(0, 0.0)

    def lag(self, records: int, seconds: float) -> None:
        self.metrics.lag_records.labels("0").set(records)
        self.metrics.lag_seconds.labels("0").set(seconds)

    def flow(self, received: int, completed: int) -> None:
        self.metrics.received.inc(received)
        self.metrics.published.labels("labeled").inc(completed)

    def busy(self, seconds: float) -> None:
        self.metrics.model_busy.began()
        self.now[0] += seconds
        self.metrics.model_busy.ended()

    def scrape(self, at: float) -> Scrape:
        text = generate_latest(self.metrics.registry).decode()
        return read_scrape(text, at, self.not_alive, self.not_ready)

    def pair(self, meanwhile: Callable[[Process], None]) -> Pair:
        before = self.scrape(100.0)
        meanwhile(self)
        return Pair(before, self.scrape(100.0 + SECONDS))


def figures(meanwhile: Callable[[Process], None], earlier: Callable[[Process], None] = lambda p: None) -> Figures:
    process = Process()
    earlier(process)
    return figures_of([process.pair(meanwhile)])


def verdict(meanwhile: Callable[[Process], None], earlier: Callable[[Process], None] = lambda p: None) -> Verdict:
    return judge(figures(meanwhile, earlier))


class TestStates:
    def test_nothing_to_do_keeps_up_bound_by_the_input(self):
        assert verdict(lambda p: None) == Verdict(State.KEEPS_UP, Bound.INPUT, ("nothing waits",))

    def test_a_steady_feed_keeps_up_bound_by_the_input(self):
        def meanwhile(p: Process) -> None:
            p.flow(800, 800)
            p.busy(1.0)
            p.metrics.input_wait.inc(2.5)

        assert verdict(meanwhile)[:2] == (State.KEEPS_UP, Bound.INPUT)

    def test_a_growing_backlog_that_is_late_falls_behind(self):
        def meanwhile(p: Process) -> None:
            p.flow(400, 400)
            p.busy(3.9)
            p.lag(9000, 60.0)

        found = verdict(meanwhile, lambda p: p.lag(5000, 50.0))
        assert found[:2] == (State.FALLS_BEHIND, Bound.MODEL)
        assert found.why[0] == "9,000 records wait, 1,000 more each second"

    def test_a_backlog_that_does_not_shrink_falls_behind(self):
        late = lambda p: p.lag(5000, 50.0)  # noqa: E731
        assert verdict(lambda p: p.flow(400, 400), late).state is State.FALLS_BEHIND

    def test_a_shrinking_backlog_catches_up_and_says_how_long_it_takes(self):
        def meanwhile(p: Process) -> None:
            p.flow(4000, 4000)
            p.busy(3.9)
            p.lag(9000, 40.0)

        found = verdict(meanwhile, lambda p: p.lag(13000, 50.0))
        assert found[:2] == (State.CATCHES_UP, Bound.MODEL)
        assert found.state.good
        assert found.why[0] == "9,000 records wait, 1,000 fewer each second: 9 s left"

    def test_old_records_that_are_worked_off_at_once_are_not_late(self):
        """Somebody replays old records: their age says nothing of this program."""

        def meanwhile(p: Process) -> None:
            p.flow(4000, 4000)
            p.lag(50, 86_400.0)

        assert verdict(meanwhile).state is State.KEEPS_UP

    @pytest.mark.parametrize("reasons", [{"not_alive": ("stuck",)}, {"not_ready": ("draining",)}])
    def test_what_the_probes_say_comes_first(self, reasons: dict[str, tuple[str, ...]]):
        found = judge(figures_of([Process(**reasons).pair(lambda p: p.flow(9, 9))]))
        assert found.state is State.NOT_READY
        assert found.why == next(iter(reasons.values()))
        assert not found.state.good
        assert headline(found) == f"not ready: {found.why[0]}"


class TestBounds:
    def test_an_unreachable_broker_is_no_keeping_up(self):
        found = verdict(lambda p: p.metrics.brokers_reachable.set(0))
        assert found[:2] == (State.FALLS_BEHIND, Bound.BROKER)

    def test_commits_that_fail_are_the_brokers(self):
        def meanwhile(p: Process) -> None:
            p.flow(100, 100)
            p.metrics.commit_errors.inc(3)
            p.metrics.commits.inc(1)

        assert verdict(meanwhile)[:2] == (State.KEEPS_UP, Bound.BROKER)

    def test_messages_sent_again_are_the_brokers(self):
        def meanwhile(p: Process) -> None:
            p.flow(100, 100)
            p.metrics.undelivered.labels("retry").inc(50)

        assert verdict(meanwhile).bound is Bound.BROKER

    def test_records_that_are_slow_to_fetch_are_the_brokers(self):
        def meanwhile(p: Process) -> None:
            p.flow(400, 400)
            p.lag(9000, 60.0)
            p.metrics.input_wait.inc(3.5)

        assert verdict(meanwhile)[:2] == (State.FALLS_BEHIND, Bound.BROKER)

    def test_in_flight_full_of_published_messages_is_the_output(self):
        def meanwhile(p: Process) -> None:
            p.flow(10, 10)
            p.metrics.in_flight_records.set(4096)
            p.metrics.in_flight_load.set(1.0)
            p.metrics.unacknowledged.set(4000)

        assert verdict(meanwhile).bound is Bound.OUTPUT

    def test_slow_acknowledgements_are_the_output(self):
        def meanwhile(p: Process) -> None:
            p.flow(10, 10)
            p.metrics.acknowledge_seconds.observe([2.0] * 10)

        earlier = lambda p: p.metrics.acknowledge_seconds.observe([0.001] * 10_000)  # noqa: E731
        assert verdict(meanwhile, earlier).bound is Bound.OUTPUT

    def test_nothing_acknowledged_for_long_is_the_output(self):
        def meanwhile(p: Process) -> None:
            p.metrics.in_flight_records.set(3)
            p.metrics.unacknowledged.set(3)
            p.metrics.oldest_in_flight.set(30)
            p.lag(0, 30.0)

        assert verdict(meanwhile)[:2] == (State.FALLS_BEHIND, Bound.OUTPUT)

    def test_a_model_that_does_not_answer_is_the_model(self):
        def meanwhile(p: Process) -> None:
            p.metrics.in_flight_records.set(3)
            p.metrics.oldest_in_flight.set(30)
            p.lag(0, 30.0)

        found = verdict(meanwhile)
        assert found[:2] == (State.FALLS_BEHIND, Bound.MODEL)
        assert "30 s" in found.why[-1]

    def test_full_of_what_the_model_has_not_done_is_the_model(self):
        def meanwhile(p: Process) -> None:
            p.flow(400, 400)
            p.busy(3.8)
            p.metrics.paused.set(1)
            p.metrics.in_flight_load.set(1.0)
            p.metrics.in_flight_records.set(4096)
            p.metrics.waiting.set(3900)
            p.metrics.unacknowledged.set(40)

        assert verdict(meanwhile).bound is Bound.MODEL

    def test_a_batch_under_way_counts_as_busy(self):
        def meanwhile(p: Process) -> None:
            p.metrics.model_busy.began()
            p.now[0] += SECONDS

        assert verdict(meanwhile).bound is Bound.MODEL

    def test_with_records_waiting_and_nobody_else_to_blame_it_is_the_program(self):
        def meanwhile(p: Process) -> None:
            p.flow(20_000, 20_000)
            p.busy(1.5)
            p.lag(90_000, 60.0)
            p.metrics.input_wait.inc(0.1)

        assert verdict(meanwhile)[:2] == (State.FALLS_BEHIND, Bound.PROGRAM)


class TestFigures:
    def test_rates_and_shares_are_of_the_interval_alone(self):
        def earlier(p: Process) -> None:
            p.flow(1_000_000, 1_000_000)
            p.metrics.batch_rows.observe(1000)
            p.metrics.batches.labels("count").inc(500)

        def meanwhile(p: Process) -> None:
            p.flow(400, 200)
            p.busy(1.0)
            for rows in (10, 20):
                p.metrics.batch_rows.observe(rows)
            p.metrics.batches.labels("idle").inc(2)
            p.metrics.dead_lettered.labels("decode", "invalid_json").inc(3)

        found = figures(meanwhile, earlier)
        assert (found.received, found.completed, found.busy) == (100.0, 50.0, 0.25)
        assert (found.batch_size, found.close_reasons) == (15.0, {"idle": 2.0})
        assert found.dead_letters == {("decode", "invalid_json"): 3.0}
        assert found.identities == (("1.2.3", "seed", "abc", "0123456789"),)

    def test_a_group_is_summed_and_its_worst_member_is_told(self):
        def one(p: Process) -> None:
            p.flow(400, 400)
            p.busy(0.4)
            p.lag(3, 1.0)

        def other(p: Process) -> None:
            p.flow(800, 800)
            p.busy(3.6)
            p.lag(4, 30.0)

        found = figures_of([Process().pair(one), Process().pair(other)])
        assert (found.processes, found.completed, found.lag_records, found.lag_seconds) == (2, 300.0, 7.0, 30.0)
        assert found.busy == pytest.approx(0.9)

    def test_a_process_that_was_started_anew_counts_from_its_start(self):
        old, new = Process(), Process()
        old.flow(5000, 5000)
        old.metrics.end_to_end.observe([30.0] * 50)
        new.flow(40, 40)
        new.metrics.end_to_end.observe([0.01] * 40)
        found = figures_of([Pair(old.scrape(0.0), new.scrape(SECONDS))])
        assert found.received == 10.0
        assert found.latency_p99 is not None
        assert found.latency_p99 < 0.1

    def test_partitions_of_which_no_lag_is_known_are_counted(self):
        assert figures(lambda p: p.metrics.assigned.set(6)).lag_unknown == 5

    def test_quantiles_are_interpolated_over_all_processes(self):
        one = [Bucket(1.0, 10), Bucket(2.0, 10), Bucket(float("inf"), 10)]
        other = [Bucket(1.0, 0), Bucket(2.0, 10), Bucket(float("inf"), 10)]
        assert quantile([one, other], 0.5) == 1.0
        assert quantile([one, other], 0.75) == 1.5
        assert quantile([[Bucket(1.0, 0), Bucket(float("inf"), 4)]], 0.5) == 1.0
        assert quantile([[Bucket(1.0, 0), Bucket(float("inf"), 0)]], 0.5) is None
        assert quantile([], 0.5) is None

    @pytest.mark.parametrize("text", ["", "<html>", "up 1\n", "x{ 1", '{"a": 1}', "a b c d\n"])
    def test_what_is_no_scrape_of_ours_is_refused(self, text: str):
        with pytest.raises(NotOurs):
            read_scrape(text, 0.0)


class TestScreen:
    def test_plain_lines_hold_the_verdict_and_the_figures(self):
        found = figures(lambda p: p.flow(400, 400))
        shown = lines(found, judge(found))
        assert shown[0] == "keeps up; bound by input (nothing waits)"
        assert any(line.startswith("in / out     100.0 / 100.0 a second") for line in shown)
        assert "seed abc 01234567, comment-consumer 1.2.3" in shown[-1]

    def test_what_a_stranger_answers_cannot_move_the_cursor(self):
        process = Process()
        process.metrics.describe_build("9", ModelIdentity("\x1b[2J", "r", "d"))
        found = figures_of([process.pair(lambda p: None)])
        assert "\x1b" not in "".join(lines(found, judge(found)))

    def test_the_object_says_the_same(self):
        found = figures(lambda p: p.metrics.dead_lettered.labels("model", "Poison").inc())
        shown = as_json(found, judge(found))
        assert (shown["state"], shown["bound"], shown["keeps_up"]) == ("keeps up", "input", True)
        assert shown["dead_letters"] == [{"stage": "model", "type": "Poison", "records": 1.0}]
