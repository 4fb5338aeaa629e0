"""The main job on real input: every validation comment through a real broker, labeled exactly once.

By hand, with the figures: ``python -m pytest tests/conformance/test_real_comments.py -s``.
"""

from __future__ import annotations

import json
import time

import pytest

from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import all_committed, read_ledger
from tests.conformance.program import Program, until
from tests.support.brokers import Broker
from tests.support.data import validation_texts
from tests.support.traffic import produce, unique_topics


@pytest.mark.container
def test_every_real_comment_is_labeled_exactly_once(container_broker: Broker) -> None:
    texts = validation_texts()
    topics = unique_topics()
    container_broker.create_topic(topics.input, 4)
    container_broker.create_topic(topics.output, 2)
    container_broker.create_topic(topics.dead_letters, 1)
    values = [json.dumps({"id": f"v{n}", "text": text}, ensure_ascii=False).encode() for n, text in enumerate(texts)]
    produce(container_broker.bootstrap, topics.input, values)
    with Program(container_broker.bootstrap, topics, model__threads=2) as program:
        began = time.monotonic()
        until(lambda: all_committed(container_broker, topics), 120, "committed to the end", program)
        seconds = time.monotonic() - began
        assert program.stop() == ExitCode.DRAINED
    ledger = read_ledger(container_broker, topics)
    assert (ledger.inputs, ledger.missing, ledger.duplicates) == (len(texts), 0, 0)
    assert len(ledger.dead) == 0
    assert len(ledger.labeled) + len(ledger.skipped) == len(texts)
    assert {event["comment_id"] for event in ledger.events} == {f"v{n}" for n in range(len(texts))}
    print(f"\n{len(texts)} comments: {len(ledger.labeled)} labeled, {len(ledger.skipped)} skipped, {seconds:.1f} s")
