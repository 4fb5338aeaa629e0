"""``comment-consumer run``: the consumer itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from consumer.settings.loading import BadSettings, load_settings


def run(arguments: Sequence[str]) -> int:
    """Run until told to stop; return the exit code, see :class:`~consumer.service.lifecycle.ExitCode`."""
    try:
        settings = load_settings(arguments, os.environ, "comment-consumer run")
    except BadSettings as wrong:
        return _refuse(wrong)

    # Only now: torch and transformers take seconds to import, and a wrong setting is told at once.
    from consumer.service.kafka import connect_to_kafka  # noqa: PLC0415
    from consumer.service.lifecycle import Ending, ExitCode, end_at_once  # noqa: PLC0415
    from consumer.service.worker import run_worker  # noqa: PLC0415

    ending = Ending(settings.delivery.drain_timeout)
    ending.install()
    try:
        code: int = run_worker(settings, ending, connect_to_kafka)
    except BadSettings as wrong:
        code = _refuse(wrong)
    ending.finished()
    if code == ExitCode.DEADLINE_PASSED:
        end_at_once(code)  # a thread may still be inside the model or a Kafka client
    return code


def _refuse(wrong: BadSettings) -> int:
    for line in wrong.lines:
        print(f"comment-consumer: {line}", file=sys.stderr)
    return 2
