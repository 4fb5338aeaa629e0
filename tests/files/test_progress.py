"""What is told while it runs."""

from __future__ import annotations

from consumer.delivery.records import Failure, Stage
from consumer.files.job import Counts
from consumer.files.progress import SHOWN, PlainLines, Teller

BAD = Failure("invalid_json", "the value is not JSON", Stage.DECODE)


def test_off_a_terminal_a_line_comes_every_ten_seconds_with_the_rate_and_the_share() -> None:
    now = [0.0]
    said: list[str] = []
    teller = Teller(PlainLines(said.append), lambda: now[0], tell_rejected=False)
    for second in range(25):
        now[0] = float(second)
        teller.update(Counts(records=second * 1000, rejected=3), second / 100)
    assert said == ["10,000 comments, 1,000/s, 3 rejected, 10%", "20,000 comments, 1,000/s, 3 rejected, 20%"]


def test_a_pipe_has_no_share() -> None:
    now = [0.0]
    said: list[str] = []
    teller = Teller(PlainLines(said.append), lambda: now[0], tell_rejected=False)
    now[0] = 10.0
    teller.update(Counts(records=50), None)
    assert said == ["50 comments, 5/s, 0 rejected"]


def test_the_first_rejected_lines_are_told_where_no_report_is_written() -> None:
    said: list[str] = []
    teller = Teller(PlainLines(said.append), lambda: 0.0, tell_rejected=True)
    for number in range(1, 100):
        teller.rejected(number, BAD)
    assert said[0] == "line 1: invalid_json: the value is not JSON"
    assert len(said) == SHOWN + 1
    assert "--report" in said[-1]
