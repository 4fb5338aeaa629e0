"""``python -m consumer.demo.leash``: ``comment-consumer``, told to end when whoever started it is gone.

The demo starts the program with a pipe as its standard input. If the demo is killed, the pipe closes, and the program
drains and ends by itself instead of staying behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from consumer.commands.main import main


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="leash", daemon=True).start()
    sys.exit(main())
