"""``comment-consumer`` in a process that kills itself as SIGKILL would, by environment. None of it is in the product.

``TEST_FAILPOINT``: ``before-commit:N`` (the Nth transaction is with the broker, and not committed), ``in-commit:N`` (a
few milliseconds into its commit) or ``after-commit:N``. ``TEST_BATCH``: records in a transaction.
``TEST_MODEL_SECONDS``: how long a forward pass takes at least.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

from confluent_kafka import Producer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(failpoint: str, left: int) -> type[Producer]:
    class Dying(Producer):
        commits = 0

        def commit_transaction(self, *arguments: Any) -> None:
            Dying.commits += 1
            due = Dying.commits == left
            if due and failpoint == "before-commit":
                self.flush(10)
                die()
            if due and failpoint == "in-commit":
                threading.Timer(0.002, die).start()
            super().commit_transaction(*arguments)
            if due:
                die()

    return Dying


def main() -> int:
    from consumer.commands import main as command
    from consumer.replay import dead_letters, sending
    from consumer.service import assembly

    failpoint, _, count = os.environ.get("TEST_FAILPOINT", "").partition(":")
    if failpoint:
        sending.Producer = dying(failpoint, int(count))
    dead_letters.BATCH_RECORDS = int(os.environ.get("TEST_BATCH", dead_letters.BATCH_RECORDS))
    seconds = float(os.environ.get("TEST_MODEL_SECONDS", "0"))
    if seconds:
        load = assembly.load

        def slow(*arguments: Any) -> Any:
            engine = load(*arguments)
            logits = engine.logits
            engine.logits = lambda batch: (time.sleep(seconds), logits(batch))[1]
            return engine

        assembly.load = slow
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
