"""Which records were sent back already: a compacted topic of small markers. No I/O.

A marker's key is the coordinates of the record that failed, ``topic/partition/offset``. Its value is a JSON object:
``timestamp`` (the failed record's, ms since the epoch or null), ``dead_letter`` (coordinates of the letter that was
used), ``attempt`` (how often the record had failed by then). It is written in the transaction that sends the record
back, so there is never one without the other.

Why a topic, and not the offsets of a group: a run takes some letters and leaves others, in any order over many runs, so
no single offset says what is done; and the offsets of a group that nobody joins are forgotten after a week.

A tombstone under a marker's key takes it back: that record may be sent again.
"""

from __future__ import annotations

import orjson

from consumer.replay.letters import Letter


class Ledger:
    """What the ledger topic says, read from its beginning."""

    def __init__(self) -> None:
        self._sent: dict[str, int | None] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def take(self, key: bytes | None, value: bytes | None) -> bool:
        """Read a marker, or its tombstone, in the order of the topic; return whether it was one."""
        if key is None:
            return False
        try:
            name = key.decode("ascii")
            if value is None:
                self._sent.pop(name, None)
                return True
            timestamp = orjson.loads(value)["timestamp"]
        except (ValueError, KeyError, TypeError):
            return False
        if timestamp is not None and type(timestamp) is not int:
            return False
        self._sent[name] = timestamp
        return True

    def holds(self, letter: Letter) -> bool:
        """Whether the record of this letter was sent back.

        A marker with another timestamp is of another record: the input topic was made anew, and its offsets mean
        other records now.
        """
        name = letter.failed_record
        return name in self._sent and self._sent[name] == letter.says.source_timestamp

    def add(self, letter: Letter) -> None:
        """The record of this letter is sent back."""
        self._sent[letter.failed_record] = letter.says.source_timestamp

    def remove(self, letter: Letter) -> None:
        """It was not, after all."""
        self._sent.pop(letter.failed_record, None)


def marker(letter: Letter) -> tuple[bytes, bytes]:
    """Key and value of the marker that says that the record of this letter is sent back."""
    (topic, partition), offset = letter.record.partition, letter.record.offset
    value = {
        "timestamp": letter.says.source_timestamp,
        "dead_letter": f"{topic}/{partition}/{offset}",
        "attempt": letter.says.attempt,
    }
    return letter.failed_record.encode("utf-8"), orjson.dumps(value)
