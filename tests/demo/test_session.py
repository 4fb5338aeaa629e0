import io
import json
import os
import signal
import threading
from functools import partial

import pytest
from rich.console import Console

from consumer.commands.demo import COULD_NOT_RUN, INTERRUPTED, SUMS_WRONG, demo
from consumer.demo import session
from consumer.demo.screen import PlainLines
from consumer.demo.session import Plan, Stopped, run
from consumer.demo.worker import WorkerFailed

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def with_worker(monkeypatch, stand_in):
    """Replace the worker process by a thread of this one."""

    def replace(**flaw):
        monkeypatch.setattr(session, "Worker", partial(stand_in, **flaw))

    return replace


@pytest.fixture(autouse=True)
def _signals_as_they_were():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run_quietly(plan, stop=None):
    return run(plan, PlainLines(Console(file=io.StringIO())), stop or threading.Event())


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_comment_comes_out_once_and_the_last_line_says_so(with_worker, capsys):
    with_worker()
    assert demo(["--comments", "1500", "--json"]) == 0
    told = last_line(capsys)
    assert told["consumed"] == 1500 == told["labeled"] + told["skipped"] + told["dead_lettered"]
    assert told["dead_lettered"] == 3
    assert told["skipped"] > 0
    assert told["duplicate_outputs"] == told["missing"] == 0
    assert told["cache_hits"] == 7
    assert told["seconds"] > 0
    assert told["comments_per_second"] == pytest.approx(1500 / told["seconds"], rel=0.01)
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]


@pytest.mark.parametrize(
    ("flaw", "complaint"),
    [("doubles one", "1 outputs are duplicates"), ("commits nothing", "0 consumed, but 400 labeled")],
)
def test_sums_that_do_not_agree_are_told_and_exit_one(with_worker, capsys, flaw, complaint):
    with_worker(flaw=flaw)
    assert demo(["--comments", "400"]) == SUMS_WRONG
    assert complaint in capsys.readouterr().err


def test_a_lost_comment_is_missed_after_a_while(with_worker, monkeypatch):
    monkeypatch.setattr(session, "_PATIENCE", 1.0)
    with_worker(flaw="loses one")
    assert run_quietly(Plan(comments=400, seconds=None, rate=None)).findings.missing == 1


def test_a_worker_that_dies_ends_the_demo(with_worker, capsys):
    with_worker(flaw="dies")
    assert demo(["--comments", "400"]) == COULD_NOT_RUN
    assert "exit code 1" in capsys.readouterr().err


def test_a_rate_and_a_time_bound_how_much_is_fed(with_worker):
    with_worker()
    report = run_quietly(Plan(comments=None, seconds=2.0, rate=100.0))
    assert 150 <= report.findings.fed <= 200
    assert report.findings.complaints == ()


@pytest.mark.parametrize(
    ("comments", "seconds", "rate", "count"),
    [
        (None, 30.0, 200.0, 6000),
        (100, 30.0, 200.0, 100),
        (9000, 30.0, 200.0, 6000),
        (7, None, None, 7),
        (None, 30.0, None, None),
        (None, 0.1, 1.0, 1),
    ],
)
def test_a_plan_knows_how_much_it_can_come_to(comments, seconds, rate, count):
    assert Plan(comments, seconds, rate).at_most == count


def test_ctrl_c_ends_the_run_in_order(with_worker, capsys):
    with_worker()
    timer = threading.Timer(2.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    assert demo(["--rate", "100", "--seconds", "60", "--json"]) == 0
    assert 0 < last_line(capsys)["consumed"] < 3000


def test_ctrl_c_while_starting_ends_without_a_result(with_worker, monkeypatch, stand_in):
    with_worker()
    monkeypatch.setattr(stand_in, "ready", lambda self: False)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        run_quietly(Plan(comments=10, seconds=None, rate=None), stop)
    assert INTERRUPTED == 130


def test_a_worker_that_never_starts_is_told_with_the_end_of_its_log(monkeypatch):
    monkeypatch.setattr(session, "worker_settings", lambda _: {"no.such_setting": "1"})
    with pytest.raises(WorkerFailed, match="NO__SUCH_SETTING"):
        run_quietly(Plan(comments=10, seconds=None, rate=None))


@pytest.mark.parametrize("arguments", [["--comments", "0"], ["--rate", "-1"], ["--seconds", "nan"], ["--colour"]])
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        demo(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
