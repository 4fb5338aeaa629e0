"""A policy file that changes: when it is read again, what is refused, and what holds meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from consumer.moderation.judgement import CompiledPolicy
from consumer.service.policy_reload import INTERVAL, PolicyReload, load_policy

LABELS = ("Cheer", "Game")


class Stand:
    """A reload over a file, a clock that a test moves, and what came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.used: list[str] = []
        self.told: list[str] = []
        self.write("first")
        first = load_policy(path).compiled(LABELS)
        self.reload = PolicyReload(path, first, self._use, lambda: self.now, self)

    def write(self, name: str, rest: str = "") -> None:
        """Put a policy of this name there, as a new file that is moved into place."""
        new = self.path.with_suffix(".new")
        new.write_text(f'name = "{name}"\n{rest}')
        os.replace(new, self.path)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += INTERVAL
            self.reload.tick()

    def _use(self, policy: CompiledPolicy) -> None:
        self.used.append(policy.name)

    def in_force(self, policy: CompiledPolicy) -> None:
        self.told.append(f"in force {policy.name}")

    def refused(self) -> None:
        self.told.append("refused")


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    handler = signal.getsignal(signal.SIGHUP)
    yield Stand(tmp_path / "policy.toml")
    signal.signal(signal.SIGHUP, handler)
    structlog.reset_defaults()


def test_a_changed_file_is_taken_once_it_has_stood_still(stand: Stand) -> None:
    stand.look(3)
    assert stand.used == []
    stand.write("second")
    stand.look()
    assert stand.used == []
    stand.look()
    assert stand.used == ["second"]
    stand.look(5)
    assert stand.used == ["second"]
    assert stand.told == ["in force second"]


def test_half_a_file_is_never_taken_while_somebody_writes(stand: Stand) -> None:
    """Every prefix that ends at a line is a valid policy."""
    whole = "".join(f"labels.Game.threshold = 0.{digit}\n" if digit == 5 else f"# {digit}\n" for digit in range(9))
    with stand.path.open("w") as file:
        file.write('name = "second"\n')
        for line in whole.splitlines(keepends=True):
            file.write(line)
            file.flush()
            stand.look()
            assert stand.used == []
    stand.look()
    assert stand.used == ["second"]


def test_between_two_looks_the_file_is_left_alone(stand: Stand) -> None:
    stand.look()
    stand.write("second")
    for _ in range(9):
        stand.now += INTERVAL / 10
        stand.reload.tick()
    stand.look()
    assert stand.used == []
    stand.look()
    assert stand.used == ["second"]


def test_a_file_that_is_no_policy_is_refused_once_and_the_old_one_goes_on(stand: Stand) -> None:
    stand.path.write_text("name = ")
    with capture_logs() as logs:
        stand.look(5)
    assert (stand.used, stand.told) == ([], ["refused"])
    assert [line["event"] for line in logs] == ["policy refused; the one in force goes on"]
    assert "not TOML" in logs[0]["error"]
    stand.write("second")
    stand.look(2)
    assert stand.used == ["second"]


@pytest.mark.parametrize(
    "rest", ["labels.Ghost.threshold = 0.5", "labels.Game = {threshold = 0.1, review = [0.4, 0.5]}"]
)
def test_a_policy_that_does_not_fit_the_model_is_refused(stand: Stand, rest: str) -> None:
    stand.write("second", rest)
    stand.look(2)
    assert (stand.used, stand.told) == ([], ["refused"])


def test_a_file_that_is_taken_away_is_told_and_the_old_one_goes_on(stand: Stand) -> None:
    stand.path.unlink()
    stand.look(4)
    assert (stand.used, stand.told) == ([], ["refused"])
    stand.write("second")
    stand.look(2)
    assert stand.used == ["second"]


def test_a_file_that_says_the_same_in_other_words_changes_nothing(stand: Stand) -> None:
    stand.write("first", "# a comment")
    stand.look(3)
    assert (stand.used, stand.told) == ([], [])


def test_a_mounted_folder_that_is_swapped_by_its_link_is_noticed(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "policy.toml").write_text(f'name = "{name}"\n')
    (tmp_path / "data").symlink_to("0")
    (tmp_path / "policy.toml").symlink_to("data/policy.toml")
    used: list[str] = []
    now = [0.0]
    first = load_policy(tmp_path / "policy.toml").compiled(LABELS)
    stand = Stand(tmp_path / "other.toml")
    reload = PolicyReload(
        tmp_path / "policy.toml", first, lambda policy: used.append(policy.name), lambda: now[0], stand
    )
    (tmp_path / "next").symlink_to("1")
    os.replace(tmp_path / "next", tmp_path / "data")
    for _ in range(2):
        now[0] += INTERVAL
        reload.tick()
    assert used == ["second"]


def test_sighup_has_it_read_at_the_next_round(stand: Stand) -> None:
    stand.reload.install()
    stand.write("second")
    os.kill(os.getpid(), signal.SIGHUP)
    stand.reload.tick()
    assert stand.used == ["second"]
    os.kill(os.getpid(), signal.SIGHUP)
    stand.reload.tick()
    assert stand.used == ["second"]
