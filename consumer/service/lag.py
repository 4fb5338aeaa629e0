"""How late each partition is: since when something waits in it. No I/O, no clock.

A record waits from the moment it was written until its output is acknowledged. Of a record in flight that moment is
its timestamp. Of what was not received yet only bounds are known: it was written after the last record that was
received, and after the last look at which nothing waited. The later of the two is taken, so the lag is at most
overstated, by the gap between two records of a busy partition or two looks at an idle one.
"""

from __future__ import annotations

from collections.abc import Mapping

from consumer.delivery.records import Partition
from consumer.delivery.tracker import Progress


class Lateness:
    """Looks at all partitions from time to time, and remembers when each was last caught up with."""

    def __init__(self) -> None:
        self._clear: dict[Partition, float] = {}  # when it was first seen, or last seen with nothing waiting

    def look(
        self, now: float, monotonic: float, backlog: Mapping[Partition, int], progress: Mapping[Partition, Progress]
    ) -> dict[Partition, float]:
        """The seconds that each partition is behind, 0 where nothing waits; none for one of which nothing is known.

        Args:
            now: The time of day, seconds since the epoch, as the records' timestamps are.
            monotonic: The same moment by the protocol's clock.
            backlog: Records not received yet, where that is known.
            progress: Of the partitions that are assigned.
        """
        for gone in self._clear.keys() - progress.keys():
            del self._clear[gone]
        lags = {}
        for partition, far in progress.items():
            clear = self._clear.setdefault(partition, now)
            written_at = far.oldest_timestamp_ms
            if far.oldest_received_at is None and written_at is not None:  # a backlog, nothing of it in flight just now
                lags[partition] = max(0.0, now - written_at / 1000.0)
            elif far.oldest_received_at is not None:
                received = now - (monotonic - far.oldest_received_at)
                written = far.oldest_timestamp_ms
                lags[partition] = max(0.0, now - (written / 1000.0 if written and written > 0 else received))
            elif partition in backlog and backlog[partition] > 0:
                newest = (far.newest_timestamp_ms or 0) / 1000.0
                lags[partition] = max(0.0, now - max(clear, newest))
            elif partition in backlog:
                self._clear[partition] = now
                lags[partition] = 0.0
        return lags
