"""What went in against what came out, by source coordinates. Reads with plain clients, judges purely."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from tests.support.brokers import Broker
from tests.support.traffic import Topics, committed, end_offsets, read_all

PARTITIONS = 4


@dataclass
class Ledger:
    """Outputs counted by the input they answer."""

    inputs: int
    labeled: Counter[tuple[int, int]] = field(default_factory=Counter)
    skipped: Counter[tuple[int, int]] = field(default_factory=Counter)
    dead: Counter[tuple[int, int]] = field(default_factory=Counter)
    events: list[dict[str, Any]] = field(default_factory=list)
    keys: list[tuple[bytes | None, int]] = field(default_factory=list)

    @property
    def answered(self) -> Counter[tuple[int, int]]:
        return self.labeled + self.skipped + self.dead

    @property
    def missing(self) -> int:
        return self.inputs - len(self.answered)

    @property
    def duplicates(self) -> int:
        return sum(self.answered.values()) - len(self.answered)


def read_ledger(broker: Broker, topics: Topics) -> Ledger:
    """Read both output topics to their ends."""
    ends = end_offsets(broker.bootstrap, topics.input, PARTITIONS)
    ledger = Ledger(sum(ends.values()))
    for message in read_all(broker.bootstrap, topics.output):
        value = message.value()
        if value is None:
            continue
        event = json.loads(value)
        where = event["source"]["partition"], event["source"]["offset"]
        assert event["source"]["topic"] == topics.input
        (ledger.labeled if event["status"] == "labeled" else ledger.skipped)[where] += 1
        ledger.events.append(event)
        ledger.keys.append((message.key(), event["source"]["offset"]))
    for message in read_all(broker.bootstrap, topics.dead_letters):
        ledger.dead[dead_letter_source(message)] += 1
    return ledger


def dead_letter_source(message: Message) -> tuple[int, int]:
    headers = dict(message.headers() or [])
    return int(headers["dlq.source.partition"]), int(headers["dlq.source.offset"])


def all_committed(broker: Broker, topics: Topics) -> bool:
    ends = end_offsets(broker.bootstrap, topics.input, PARTITIONS)
    offsets = committed(broker.bootstrap, topics.group, topics.input, PARTITIONS)
    return all(offsets[number] == end or end == 0 for number, end in ends.items())


def outputs_so_far(broker: Broker, topics: Topics) -> int:
    return sum(end_offsets(broker.bootstrap, topics.output, 2).values()) + sum(
        end_offsets(broker.bootstrap, topics.dead_letters, 1).values()
    )
