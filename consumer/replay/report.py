"""What a replay of dead letters did, or would do: counts, and how they are shown. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.table import Table

from consumer.replay.letters import Letter
from consumer.replay.selection import Fate

REFUSED = "refused_by_the_topic"
NOT_FETCHED = "not_whole"
"""Its dead letter does not hold all of it, and nobody asked to fetch it (``--fetch-stubs``)."""


@dataclass(slots=True)
class Report:
    """Counts since the start. ``fates`` counts letters; what is sent is counted by error type, stage and partition."""

    going: bool
    letters: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    sent: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    fetched: int = 0
    impossible: Counter[str] = field(default_factory=Counter)

    @property
    def total_sent(self) -> int:
        """Records sent back, or that would be."""
        return self.sent.total()

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for could be sent."""
        return not self.impossible

    def left_alone(self, fate: Fate) -> None:
        """A letter that stays where it is."""
        self.fates[fate] += 1

    def sent_back(self, letter: Letter, *, fetched: bool) -> None:
        """A record that is in the input again, or would be."""
        says = letter.says
        self.sent[says.error_type, says.stage, says.source_partition] += 1
        self.fetched += fetched

    def is_impossible(self, reason: str) -> None:
        """A letter that was asked for and whose record cannot be sent."""
        self.impossible[reason] += 1

    def as_json(self) -> Mapping[str, object]:
        """For the last line of ``--json``."""
        by = [
            {"error_type": error_type, "stage": stage, "partition": partition, "records": count}
            for (error_type, stage, partition), count in sorted(self.sent.items())
        ]
        return {
            "dry_run": not self.going,
            "letters": self.letters,
            "sent" if self.going else "would_send": self.total_sent,
            "of_these_fetched_again": self.fetched,
            "by": by,
            "impossible": dict(sorted(self.impossible.items())),
            "left_alone": {fate.value: count for fate, count in sorted(self.fates.items(), key=lambda i: i[0].value)},
        }

    def as_table(self) -> Table:
        """What was sent, or would be."""
        table = Table("error type", "stage", "partition", "records sent" if self.going else "would be sent")
        for (error_type, stage, partition), count in sorted(self.sent.items()):
            table.add_row(error_type, stage, str(partition), f"{count:,}")
        return table

    def lines(self) -> list[str]:
        """The rest of it, in words."""
        verb = "sent back" if self.going else "would be sent back; nothing was changed. --go does it"
        said = [f"{self.total_sent:,} records of {self.letters:,} dead letters {verb}"]
        if self.fetched:
            said.append(f"{self.fetched:,} of them fetched again from the input topic")
        said += [f"cannot be sent: {count:,} {_WORDS[reason]}" for reason, count in sorted(self.impossible.items())]
        said += [
            f"left alone: {count:,} {_FATES[fate]}"
            for fate, count in sorted(self.fates.items(), key=lambda item: item[0].value)
        ]
        return said


_WORDS: Mapping[str, str] = {
    REFUSED: "are refused by the input topic for their size or content",
    NOT_FETCHED: "are not whole in their dead letters; --fetch-stubs looks for them in the input topic",
    "no_longer_in_the_input": "are no longer in the input topic",
    "not_the_record_that_failed": "are not in the input topic any more: other records stand at their offsets",
    "header_names_unreadable": "have headers whose names cannot be written again",
}
_FATES: Mapping[Fate, str] = {
    Fate.FILTERED: "were not asked for",
    Fate.SENT_BEFORE: "were sent before, or repeat another letter",
    Fate.TOO_OFTEN: "failed too often; --max-attempts allows more",
    Fate.OTHER_TOPIC: "are of records of another topic",
    Fate.OF_A_RUN: "are of a relabelling: run that again",
    Fate.NOT_OURS: "are not dead letters of this program",
}
