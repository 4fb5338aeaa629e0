"""Killed at any moment and run again: nothing is lost and nothing is sent twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.conformance.ledger import all_committed
from tests.conformance.program import ROOT, Program, until
from tests.replay.letters import put, record, write
from tests.replay.running import command, dead_letters, environment, ledger_of, run
from tests.support.brokers import Broker
from tests.support.traffic import Topics, end_offsets, produce, read_all, unique_topics

LETTERS = 300


@pytest.fixture
def many(container_broker: Broker) -> Topics:
    topics = unique_topics()
    container_broker.create_topic(topics.input, 4)
    container_broker.create_topic(topics.dead_letters, 1)
    container_broker.create_topic(ledger_of(topics), 1, cleanup_policy="compact")
    letters = [write(record(topics.input, n % 4, n, value=b"%d" % n)) for n in range(LETTERS)]
    put(container_broker.bootstrap, topics.dead_letters, letters)
    return topics


def sent(broker: Broker, topics: Topics) -> Counter[bytes]:
    """What a read_committed reader of the input sees."""
    return Counter(message.value() or b"" for message in read_all(broker.bootstrap, topics.input))


@pytest.mark.container
@pytest.mark.slow
def test_killed_again_and_again_each_record_is_sent_once(container_broker: Broker, many: Topics) -> None:
    before = 0
    for failpoint in ("before-commit:1", "before-commit:3", "after-commit:2", "in-commit:1", "in-commit:2"):
        arguments = command(container_broker, many, "dead-letters", "--json", "--go")
        killed = run(arguments, "tests.replay.program", TEST_FAILPOINT=failpoint, TEST_BATCH="20")
        assert killed.code == -signal.SIGKILL, killed
        so_far = sent(container_broker, many)
        assert set(so_far.values()) <= {1}
        assert len(so_far) % 20 == 0
        assert len(so_far) >= before
        before = len(so_far)
    assert 0 < before < LETTERS
    last = dead_letters(container_broker, many, "--go")
    assert last.code == 0, last.err
    assert last.said["sent"] + last.said["left_alone"].get("sent_before", 0) == LETTERS
    assert sent(container_broker, many) == Counter(b"%d" % n for n in range(LETTERS))
    markers = [message.key() for message in read_all(container_broker.bootstrap, ledger_of(many))]
    assert len(markers) == len(set(markers)) == LETTERS


@pytest.mark.container
def test_of_two_runs_at_once_the_later_one_goes_on(container_broker: Broker, many: Topics) -> None:
    """The first is stopped in the middle of its work, as a machine that hangs would be."""
    arguments = command(container_broker, many, "dead-letters", "--json", "--go")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.replay.program", *arguments],
        cwd=ROOT,
        env=environment(TEST_BATCH="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        try:
            until(lambda: end_offsets(container_broker.bootstrap, ledger_of(many), 1)[0] > 5, 60, "at work")
            first.send_signal(signal.SIGSTOP)
            second = dead_letters(container_broker, many, "--go")
            assert second.code == 0, second.err
            first.send_signal(signal.SIGCONT)
            _, said = first.communicate(timeout=60)
        finally:
            first.kill()
    assert first.returncode == 12, said
    assert "another replay with this ledger" in said
    assert sent(container_broker, many) == Counter(b"%d" % n for n in range(LETTERS))


@pytest.mark.container
def test_a_signal_stops_between_two_transactions(container_broker: Broker, many: Topics) -> None:
    arguments = command(container_broker, many, "dead-letters", "--json", "--go")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.replay.program", *arguments],
        cwd=ROOT,
        env=environment(TEST_BATCH="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as stopped:
        until(lambda: end_offsets(container_broker.bootstrap, ledger_of(many), 1)[0] > 5, 60, "at work")
        stopped.send_signal(signal.SIGTERM)
        out, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + signal.SIGTERM, said
    assert "the same command goes on" in said
    told = json.loads(out.splitlines()[-1])
    assert told["sent"] == len(sent(container_broker, many)) < LETTERS
    assert dead_letters(container_broker, many, "--go").said["sent"] == LETTERS - told["sent"]


# ---- The whole way ---------------------------------------------------------------------------------------------------

FIXABLE = 1000
GOOD = 200
WRONG = '{"text": "snippet.displayMessage"}'


def comment(number: int) -> bytes:
    content: dict[str, Any] = {"id": f"c{number}", "text": f"加油 {number}"}
    if number >= FIXABLE:
        content["snippet"] = {"displayMessage": content["text"]}  # where the wrong setting looks
    return json.dumps(content).encode()


def identity(event: dict[str, Any]) -> str:
    """The rule of the README."""
    return event.get("replay_of") or event["event_id"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_dead_letters_are_fixed_and_each_is_labeled_once(broker: Broker, topics: Topics) -> None:
    broker.create_topic(ledger_of(topics), 1, cleanup_policy="compact")
    extra = {"kafka__extra": '{"check.crcs": false}'} if broker.kind == "mock" else {}
    produce(broker.bootstrap, topics.input, map(comment, range(FIXABLE + GOOD)), headers=[("h", b"\xff")])
    originals = {f"{m.topic()}/{m.partition()}/{m.offset()}": m for m in read_all(broker.bootstrap, topics.input)}
    with Program(broker.bootstrap, topics, events__fields=WRONG, **extra) as wrong:
        until(lambda: dead(broker, topics) == FIXABLE and all_committed(broker, topics), 120, "all failed", wrong)
        # Sent back too early: they fail again, and are counted up.
        assert dead_letters(broker, topics, "--go").said["sent"] == FIXABLE
        until(lambda: dead(broker, topics) == 2 * FIXABLE, 120, "failed again", wrong)
        assert wrong.stop() == 0
    dry = dead_letters(broker, topics)
    assert (dry.said["would_send"], dry.said["left_alone"]) == (FIXABLE, {"sent_before": FIXABLE})
    assert dead_letters(broker, topics, "--go").said["sent"] == FIXABLE
    assert dead_letters(broker, topics, "--go").said["sent"] == 0
    with Program(broker.bootstrap, topics, **extra) as right:
        until(lambda: labeled(broker, topics) == FIXABLE + GOOD, 120, "all labeled", right)
        assert right.stop() == 0
    events = [json.loads(message.value() or b"") for message in read_all(broker.bootstrap, topics.output)]
    assert Counter(map(identity, events)) == Counter(originals.keys())
    assert Counter(event.get("attempt") for event in events) == {3: FIXABLE, None: GOOD}
    for event in events:
        assert event["comment_id"] == json.loads(originals[identity(event)].value())["id"]
    assert dead(broker, topics) == 2 * FIXABLE


def dead(broker: Broker, topics: Topics) -> int:
    return len(read_all(broker.bootstrap, topics.dead_letters))


def labeled(broker: Broker, topics: Topics) -> int:
    return sum(end_offsets(broker.bootstrap, topics.output, 2).values())


@pytest.mark.container
@pytest.mark.slow
def test_a_broker_that_goes_away_in_the_middle_ends_the_run_and_nothing_is_doubled(
    container_broker: Broker, many: Topics
) -> None:
    """Whether the transaction under way was committed is not known then; the next run finds out."""
    arguments = command(container_broker, many, "dead-letters", "--json", "--go")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.replay.program", *arguments],
        cwd=ROOT,
        env=environment(TEST_BATCH="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as cut_off:
        until(lambda: end_offsets(container_broker.bootstrap, ledger_of(many), 1)[0] > 5, 60, "at work")
        container_broker.cut()
        try:
            _, said = cut_off.communicate(timeout=120)
        finally:
            container_broker.heal()
            cut_off.kill()
    assert cut_off.returncode == 12, said
    assert "run the same command again" in said.splitlines()[-1]
    assert dead_letters(container_broker, many, "--go").code == 0
    assert sent(container_broker, many) == Counter(b"%d" % n for n in range(LETTERS))
