"""A password changes while the program runs: it goes on with the new one, and loses and doubles nothing."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.ledger import all_committed, outputs_so_far, read_ledger
from tests.conformance.program import Program, until
from tests.security.conftest import Stage
from tests.support.secure_broker import SHORT_SESSION_MS
from tests.support.traffic import feeding

pytestmark = [pytest.mark.broker, pytest.mark.container]

TAKEN = "the password changed"
NEW = "an0ther-pa55word"
UNUSABLE = "the secret in a file cannot be used"


def comments() -> Iterator[bytes]:
    return (json.dumps({"id": str(n), "text": f"加油{n}"}).encode() for n in itertools.count())


def mounted(folder: Path, secret: str) -> Path:
    """As Kubernetes mounts a secret: password -> ..data/password, ..data -> a folder named after a time."""
    (folder / "..one").mkdir()
    (folder / "..one" / "password").write_text(secret)
    (folder / "..one" / "password").chmod(0o400)
    (folder / "..data").symlink_to("..one")
    (folder / "password").symlink_to("..data/password")
    return folder / "password"


def swap(folder: Path, secret: str, name: str) -> None:
    """As Kubernetes changes it: a new folder, and ..data renamed onto it at once."""
    (folder / name).mkdir()
    (folder / name / "password").write_text(secret)
    (folder / name / "password").chmod(0o400)
    (folder / "..data_tmp").symlink_to(name)
    os.rename(folder / "..data_tmp", folder / "..data")


def goes_on(stage: Stage, program: Program, more: int = 300) -> None:
    """So many more outputs come."""
    have = outputs_so_far(stage.broker, stage.topics)
    until(lambda: outputs_so_far(stage.broker, stage.topics) >= have + more, 90, f"{more} more outputs", program)


def was_refused(program: Program) -> bool:
    return "invalid credentials" in program.log


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("first", ["broker", "file"])
def test_a_rotated_password_is_taken_up_while_comments_flow(
    stage: Stage, tmp_path: Path, protocol: str, first: str
) -> None:
    """At this listener whoever is logged in must log in again every few seconds, so old connections do not hide it.

    The broker may learn of the new password before the file does, and the other way round.
    """
    stage.allow_all()
    folder = tmp_path / "mount"
    folder.mkdir()
    settings = stage.scram | {
        "kafka__sasl_password_file": mounted(folder, stage.password),
        "kafka__group_protocol": protocol,
    }
    broker, topics = stage.broker, stage.topics
    with Program(broker.at("SHORT"), topics, **settings) as program:
        with feeding(broker.bootstrap, topics.input, comments(), 100):
            goes_on(stage, program)
            if first == "broker":
                broker.set_password(stage.user, NEW)
                until(lambda: was_refused(program), SHORT_SESSION_MS / 1000 + 30, "refused by the broker", program)
            swap(folder, NEW, "..two")
            until(lambda: TAKEN in program.log, 30, "told that it changed", program)
            broker.set_password(stage.user, NEW)
            goes_on(stage, program, 1000)
        until(lambda: all_committed(broker, topics), 60, "committed", program)
        assert program.stop() == 0
        assert was_refused(program) is (first == "broker")
        assert NEW not in program.log
        assert stage.password not in program.log
    ledger = read_ledger(broker, topics)
    assert ledger.inputs > 1300
    assert (ledger.missing, ledger.duplicates, len(ledger.dead)) == (0, 0, 0)


def test_a_file_that_holds_no_password_is_refused_and_the_old_one_goes_on(stage: Stage) -> None:
    stage.allow_all()
    broker, topics, file = stage.broker, stage.topics, stage.password_file
    with Program(broker.at("SHORT"), topics, **stage.scram) as program:
        with feeding(broker.bootstrap, topics.input, comments(), 100):
            file.write_text("\n")
            until(lambda: UNUSABLE in program.log and "is empty" in program.log, 30, "told", program)
            file.write_bytes(b"\xff")
            until(lambda: "is not UTF-8" in program.log, 30, "told", program)
            file.unlink()
            until(lambda: "cannot be read (FileNotFoundError)" in program.log, 30, "told", program)
            goes_on(stage, program, 2 * SHORT_SESSION_MS // 10)  # more than one session long
            file.write_text(NEW)
            until(lambda: TAKEN in program.log, 30, "told that it changed", program)
            broker.set_password(stage.user, NEW)
            goes_on(stage, program, 1000)
        until(lambda: all_committed(broker, topics), 60, "committed", program)
        assert program.stop() == 0
        assert NEW not in program.log
    ledger = read_ledger(broker, topics)
    assert (ledger.missing, ledger.duplicates) == (0, 0)
