"""Ending in order when told to, for commands that end by themselves otherwise."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopOnSignal:
    """The first SIGINT or SIGTERM ends the run in order, a second one at once."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.number = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told)

    def asked(self) -> bool:
        """Whether one came."""
        return self._asked.is_set()

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._asked.set()
        signal.signal(number, signal.SIG_DFL)
