"""One comment's way, followed through the log of the real program by its coordinates."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from consumer.service import catalogue
from consumer.service.lifecycle import ExitCode
from tests.conformance.program import Program, until
from tests.support.brokers import MockBroker
from tests.support.traffic import produce, unique_topics

pytestmark = pytest.mark.broker

WAY = ["received", "batch closed", "verdicts", "published", "acknowledged", "stored"]


def holds(ranges: Iterable[str], topic: str, partition: int, offset: int) -> bool:
    for each in ranges:
        of_topic, of_partition, offsets = each.rsplit("/", 2)
        first, _, last = offsets.partition("-")
        if (of_topic, int(of_partition)) == (topic, partition) and int(first) <= offset <= int(last or first):
            return True
    return False


def run(broker: MockBroker, level: str) -> tuple[str, list[dict[str, object]], str]:
    topics = unique_topics()
    for name in (topics.input, topics.output, topics.dead_letters):
        broker.create_topic(name, 2)
    values = [json.dumps({"id": f"secret-{n}", "text": f"秘密{n}"}).encode() for n in range(60)]
    with Program(broker.bootstrap, topics, log__level=level, batch__max_comments=8) as program:
        produce(broker.bootstrap, topics.input, [*values[:30], b"no json", *values[30:]], partition=1, key=b"hidden")
        until(lambda: program.metric(catalogue.PUBLISHED_RECORDS.sample) == 61, 60, "done", program)
        assert program.stop() == ExitCode.DRAINED
        text = program.log
    return topics.input, [json.loads(line) for line in text.splitlines() if line.startswith("{")], text


def test_one_comment_is_followed_through_every_step_by_its_coordinates(mock_broker: MockBroker):
    topic, lines, text = run(mock_broker, "debug")
    for offset in (0, 17, 60):
        steps = [line for line in lines if holds(line.get("records", ()), topic, 1, offset)]  # type: ignore[arg-type]
        assert [step["event"] for step in steps] == WAY[:-1]
        assert {step["level"] for step in steps} == {"debug"}
        batches = {step["batch"] for step in steps if "batch" in step}
        assert len(batches) == 1, "the steps of a batch name the same one"
        # Its offset is stored once all before it are done too.
        after = lines[lines.index(steps[-1]) :]
        stored = [line for line in after if line["event"] == "stored"]
        assert any(int(str(n).rsplit("/", 1)[1]) > offset for line in stored for n in line["next"])  # type: ignore
    # Nothing is said twice, and what failed is named where it did.
    dead = [line for line in lines if line["event"] == "published" and line["dead_letters"]]
    assert [line["dead_letters"] for line in dead] == [[f"{topic}/1/30"]]
    for secret in ("秘密", "secret-", "hidden", "no json"):
        assert secret not in text


def test_at_the_usual_level_no_step_is_logged(mock_broker: MockBroker):
    _, lines, _ = run(mock_broker, "info")
    assert {line["event"] for line in lines}.isdisjoint(WAY)
