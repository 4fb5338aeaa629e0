"""Killed without warning, again and again, under load: every comment still gets its label."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import all_committed, outputs_so_far, read_ledger
from tests.conformance.program import Program, until
from tests.conformance.test_delivery import comment
from tests.support.brokers import Broker
from tests.support.traffic import committed, feeding, unique_topics

KILLS = 20
IN_FLIGHT = 512


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_kills_at_random_moments_lose_nothing(container_broker: Broker) -> None:
    """Static membership, so that a restarted process gets its partitions back at once and works when it is killed."""
    topics = unique_topics()
    container_broker.create_topic(topics.input, 4)
    container_broker.create_topic(topics.output, 2)
    container_broker.create_topic(topics.dead_letters, 1)
    moment = random.Random(2026)
    settings = {"kafka__group_instance_id": "worker-0", "flow__max_records": IN_FLIGHT, "batch__max_comments": 32}
    with feeding(container_broker.bootstrap, topics.input, map(comment, itertools.count()), per_second=500):
        for kill in range(KILLS):
            before = outputs_so_far(container_broker, topics)
            at_work = kill % 4 != 0  # the others die while they join the group or read where to begin
            more = moment.randrange(1, 500)
            with Program(container_broker.bootstrap, topics, model_seconds=0.02, **settings) as program:
                if at_work:
                    until(
                        lambda b=before, m=more: outputs_so_far(container_broker, topics) > b + m,
                        60,
                        "at work",
                        program,
                    )
                else:
                    time.sleep(moment.uniform(0.0, 0.5))
                program.kill()
            offsets = committed(container_broker.bootstrap, topics.group, topics.input, 4)
            answered = read_ledger(container_broker, topics).answered
            for partition, offset in offsets.items():
                missing = [n for n in range(max(0, offset)) if (partition, n) not in answered]
                assert not missing, f"{partition}: {offset} is committed, but {missing[:5]} have no output"
    with Program(container_broker.bootstrap, topics, **settings) as last:
        until(lambda: all_committed(container_broker, topics), 60, "committed to the end", last)
        assert last.stop() == ExitCode.DRAINED
    ledger = read_ledger(container_broker, topics)
    assert ledger.missing == 0
    # Besides what was in flight, a kill repeats what was acknowledged in the second since the last commit.
    assert ledger.duplicates <= KILLS * (IN_FLIGHT + 2_000)
