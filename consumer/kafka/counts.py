"""What happened to the input since the start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SourceCounts:
    """Only ever grows. Read from other threads for metrics."""

    commits: int = 0
    commit_errors: int = 0
    stores_refused: int = 0
    headers_unreadable: int = 0
    error_events: int = 0
    begun: int = 0  # partitions that were given a start position
    divided: int = 0  # partitions that were read in two parts
