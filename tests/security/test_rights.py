"""Each missing right is named, with the command that grants it: at the start, by ``check``, and while it runs."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from tests.conformance.ledger import PARTITIONS, all_committed, read_ledger
from tests.conformance.program import Program, until
from tests.security.conftest import Stage
from tests.security.test_refusals import check
from tests.support.secure_broker import Right, needed_rights
from tests.support.traffic import committed, end_offsets, produce

pytestmark = [pytest.mark.broker, pytest.mark.container]

WHICH = ["input", "output", "dead_letters", "group"]
SETTINGS = {
    "input": "kafka.input_topic",
    "output": "kafka.output_topic",
    "dead_letters": "kafka.dead_letter_topic",
    "group": "kafka.group_id",
}


def right_of(stage: Stage, which: str) -> Right:
    names = stage.topics
    rights = needed_rights(stage.principal, names.input, names.output, names.dead_letters, names.group)
    return rights[WHICH.index(which)]


def command_for(stage: Stage, right: Right) -> str:
    principal, operation, kind, name = right
    what = "--group" if kind is ResourceType.GROUP else "--topic"
    return (
        f"kafka-acls --bootstrap-server {stage.bootstrap} --add --allow-principal {principal} "
        f"--operation {operation.name.capitalize()} {what} {name}"
    )


@pytest.mark.parametrize("which", WHICH)
def test_at_the_start_the_missing_right_alone_is_named_and_the_code_is_2(stage: Stage, which: str) -> None:
    stage.allow_all()
    right = right_of(stage, which)
    stage.broker.revoke(right)
    with Program(stage.bootstrap, stage.topics, ready=False, **stage.scram) as program:
        assert program.process.wait(60) == 2
        lines = [line for line in program.log.splitlines() if line.startswith("comment-consumer: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"comment-consumer: {SETTINGS[which]}={right[3]}: ")
    assert lines[0].endswith(f"grant it: {command_for(stage, right)}")


def test_without_any_right_all_are_named_at_once(stage: Stage) -> None:
    with Program(stage.bootstrap, stage.topics, ready=False, **stage.scram) as program:
        assert program.process.wait(60) == 2
        lines = [line for line in program.log.splitlines() if line.startswith("comment-consumer: ")]
    assert [line.partition("grant it: ")[2] for line in lines] == [
        command_for(stage, right_of(stage, which)) for which in WHICH
    ]


def test_the_commands_that_are_printed_are_all_it_takes(stage: Stage) -> None:
    _, found, _ = check(stage, stage.bootstrap, stage.scram)
    lines = [each["remedy"] for each in found.values() if (each["remedy"] or "").startswith("kafka-acls")]
    assert len(lines) == len(WHICH)
    stage.broker.grant(*map(meant_by, lines))
    produce(stage.broker.bootstrap, stage.topics.input, [b'{"id":"1","text":"x"}', b"no json"])
    with Program(stage.bootstrap, stage.topics, **stage.scram) as program:
        until(lambda: all_committed(stage.broker, stage.topics), 60, "committed", program)
        assert program.stop() == 0


@pytest.mark.parametrize("which", WHICH)
def test_check_names_the_missing_right_alone(stage: Stage, which: str) -> None:
    stage.allow_all()
    right = right_of(stage, which)
    stage.broker.revoke(right)
    code, found, _ = check(stage, stage.bootstrap, stage.scram)
    assert code == 1
    failed = {name: each for name, each in found.items() if each["status"] == "failed"}
    kind = "group" if which == "group" else "topic"
    assert list(failed) == [f"right {right[1].name.capitalize()} {kind} {right[3]}"]
    (only,) = failed.values()
    assert only["remedy"] == command_for(stage, right)


def test_check_passes_with_exactly_the_rights_that_are_needed(stage: Stage) -> None:
    stage.allow_all()
    code, found, output = check(stage, stage.bootstrap, stage.scram)
    assert code == 0, found
    assert found["encryption"]["detail"].startswith("TLS")
    assert stage.password not in output
    assert {name for name, each in found.items() if name.startswith("right") and each["status"] != "ok"} == set()


def meant_by(line: str) -> Right:
    """What ``kafka-acls`` would do; not every image's can be run."""
    words = shlex.split(line)
    assert words[0] == "kafka-acls"
    assert words[3] == "--add"
    given = dict(zip(words[1:3:2] + words[4::2], words[2:3] + words[5::2], strict=True))
    kind = ResourceType.GROUP if "--group" in given else ResourceType.TOPIC
    operation = AclOperation[given["--operation"].upper()]
    return given["--allow-principal"], operation, kind, given.get("--group") or given["--topic"]


def stopped(program: Program) -> dict[str, Any]:
    lines = [json.loads(line) for line in program.log.splitlines() if '"stopped"' in line]
    assert len(lines) == 1, program.log
    return lines[0]


@pytest.mark.parametrize(
    ("which", "value", "code"),
    [
        ("output", b'{"id":"2","text":"y"}', 12),
        ("dead_letters", b"no json", 12),
        ("input", b'{"id":"2","text":"y"}', 10),
        ("group", b'{"id":"2","text":"y"}', 10),
    ],
    ids=["output", "dead_letters", "input", "group"],
)
def test_a_right_that_is_taken_away_stops_it_with_the_line_and_moves_no_offset(
    stage: Stage, which: str, value: bytes, code: int
) -> None:
    stage.allow_all()
    right = right_of(stage, which)
    names = stage.topics
    produce(stage.broker.bootstrap, names.input, [b'{"id":"1","text":"x"}'] * 20 + [b"no json"])
    with Program(stage.bootstrap, names, **stage.scram) as program:
        until(lambda: all_committed(stage.broker, names), 60, "committed", program)
        before = committed(stage.broker.bootstrap, names.group, names.input, PARTITIONS)
        stage.broker.revoke(right)
        produce(stage.broker.bootstrap, names.input, [value])
        assert program.process.wait(60) == code
        reason = stopped(program)
        assert reason["exit_code"] == code
        assert command_for(stage, right) in reason["reason"]
    assert committed(stage.broker.bootstrap, names.group, names.input, PARTITIONS) == before

    stage.broker.grant(right)
    with Program(stage.bootstrap, names, **stage.scram) as program:
        until(lambda: all_committed(stage.broker, names), 60, "committed", program)
        assert program.stop() == 0
    ledger = read_ledger(stage.broker, names)
    assert ledger.missing == 0
    if which != "group":  # without its group it may still have published what it could not commit
        assert ledger.duplicates == 0
    assert sum(end_offsets(stage.broker.bootstrap, names.input, PARTITIONS).values()) == 22
