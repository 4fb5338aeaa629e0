"""Which dead letters go back, and why the others do not. No I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from consumer.replay.ledger import Ledger
from consumer.replay.letters import Letter


class Fate(enum.Enum):
    """What a replay does with a dead letter. The value is its name in the report."""

    SEND = "to_send"
    FETCH = "to_fetch"
    FILTERED = "filtered_out"
    SENT_BEFORE = "sent_before"
    TOO_OFTEN = "too_many_attempts"
    OTHER_TOPIC = "of_another_topic"
    OF_A_RUN = "of_a_relabelling"
    NOT_OURS = "not_a_dead_letter"


@dataclass(frozen=True)
class Filters:
    """Which letters are asked for; what is empty or ``None`` asks for all.

    Attributes:
        since_ms: Written at or after this time, ms since the epoch.
        until_ms: Written before it.
        error_types: As ``dlq.error.type``.
        stages: As ``dlq.stage``.
        partitions: Partitions of the input that the records were read from.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    error_types: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()

    def ask_for(self, letter: Letter) -> bool:
        """Whether this letter is asked for. One without a timestamp is in no time window."""
        written, says = letter.record.timestamp_ms, letter.says
        return (
            (self.since_ms is None or (written is not None and written >= self.since_ms))
            and (self.until_ms is None or (written is not None and written < self.until_ms))
            and (not self.error_types or says.error_type in self.error_types)
            and (not self.stages or says.stage in self.stages)
            and (not self.partitions or says.source_partition in self.partitions)
        )


@dataclass(frozen=True)
class Selection:
    """Judges letters one by one.

    Attributes:
        filters: What is asked for.
        topic: The input topic; records of another one are not sent here.
        max_attempts: Letters whose record failed this often, or oftener, stay: it would only fail again.
    """

    filters: Filters
    topic: str
    max_attempts: int

    def judge(self, letter: Letter | None, ledger: Ledger) -> Fate:
        """What to do with a letter (``None``: a record that is none)."""
        if letter is None:
            return Fate.NOT_OURS
        if not self.filters.ask_for(letter):
            return Fate.FILTERED
        if letter.says.source_topic != self.topic:
            return Fate.OTHER_TOPIC
        if letter.says.run_id is not None:
            return Fate.OF_A_RUN
        if ledger.holds(letter):
            return Fate.SENT_BEFORE
        if letter.says.attempt >= self.max_attempts:
            return Fate.TOO_OFTEN
        return Fate.SEND if letter.whole else Fate.FETCH
