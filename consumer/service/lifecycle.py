"""How the process ends: exit codes, signals, and the deadline that always holds."""

from __future__ import annotations

import enum
import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from consumer.delivery import errors

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ExitCode(enum.IntEnum):
    """What the process tells whoever started it."""

    DRAINED = 0
    FAILED = errors.DeliveryStopped.exit_code
    BAD_CONFIGURATION = 2
    DEADLINE_PASSED = 3
    SOURCE_FAILED = errors.SourceFailed.exit_code
    OFFSET_OUT_OF_RANGE = errors.OffsetOutOfRange.exit_code
    OUTPUT_REFUSED = errors.OutputRefused.exit_code
    MODEL_BROKEN = errors.ModelBroken.exit_code
    DEAD_LETTER_LIMIT = errors.DeadLetterLimitExceeded.exit_code


def end_at_once(code: int) -> NoReturn:
    """End the process without waiting for anything."""
    sys.stderr.flush()
    os._exit(code)


class Ending:
    """Whether the process is asked to end, and the watchdog that ends it when its time is up.

    The first SIGTERM or SIGINT sets :attr:`asked` and starts the deadline; the second ends the process at once. The
    signal reaches the watchdog's thread through a pipe, so the deadline holds even if the main thread is stuck in a
    library and never runs Python's handler.
    """

    def __init__(self, seconds: float, end: Callable[[int], None] = end_at_once) -> None:
        self._seconds = seconds
        self._end = end
        self._late: int = ExitCode.DEADLINE_PASSED
        self._deadline: float | None = None
        self._over = threading.Event()
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.asked = False
        self.signal = 0  # the number of the first one

    def install(self) -> None:
        """Take the signals; from the main thread only."""
        faulthandler.enable()
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._thread.start()

    def begin(self, late: int) -> None:
        """Start the deadline without a signal; ``late`` is the exit code if it passes. Needs :meth:`install`."""
        self.asked = True
        self._late = late
        os.write(self._write_end, b"\0")

    @property
    def remaining(self) -> float:
        """Seconds left; all of them before anybody asked."""
        return self._seconds if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def finished(self) -> None:
        """Call the watchdog off: the process ends in time."""
        self._over.set()
        signal.set_wakeup_fd(-1)
        os.write(self._write_end, b"\0")
        self._thread.join()
        os.close(self._read_end)
        os.close(self._write_end)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.signal = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def _watch(self) -> None:
        signals = int(self._next_byte(None) != 0)
        if self._over.is_set():
            return
        self._deadline = time.monotonic() + self._seconds
        self.asked = True
        while (byte := self._next_byte(self.remaining)) is not None:
            if self._over.is_set():
                return
            signals += byte != 0
            if signals > 1:
                self._end(128 + byte)
                return
        print(
            f"comment-consumer: not closed within {self._seconds:g} s; ending now. What is not committed is read "
            "again by the next owner. If this recurs, raise delivery.drain_timeout.",
            file=sys.stderr,
        )
        faulthandler.dump_traceback(all_threads=True)
        self._end(self._late)

    def _next_byte(self, timeout: float | None) -> int | None:
        """One of :data:`SIGNALS`, 0 for :meth:`begin` and :meth:`finished`, ``None`` after ``timeout`` seconds.

        Python writes the number of every signal that it handles, also of those that ask for something else.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            readable, _, _ = select.select([self._read_end], [], [], left)
            if not readable:
                return None
            byte = os.read(self._read_end, 1)[0]
            if byte == 0 or byte in SIGNALS:
                return byte
