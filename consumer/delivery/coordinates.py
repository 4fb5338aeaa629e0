"""Where records are, in a few words: the only thing about a record that may be shown anywhere. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from consumer.delivery.records import Partition
from consumer.delivery.row import Row


def ranges(rows: Iterable[Row]) -> list[str]:
    """The coordinates of rows: runs of neighbouring offsets of each partition, in order."""
    offsets: dict[Partition, list[int]] = {}
    for row in rows:
        offsets.setdefault(row.record.partition, []).append(row.record.offset)
    found = []
    for partition, numbers in sorted(offsets.items()):
        numbers.sort()
        first = last = numbers[0]
        for number in [*numbers[1:], None]:
            if number == last + 1:
                last = number
                continue
            run = str(first) if first == last else f"{first}-{last}"
            found.append(f"{partition.topic}/{partition.number}/{run}")
            if number is not None:
                first = last = number
    return found
