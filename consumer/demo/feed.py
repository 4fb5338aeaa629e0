"""``python -m consumer.demo.feed``: the demo's synthetic comments, into the input topic of a real cluster.

To see a deployment at work before anybody's comments are there. It takes the Kafka settings of ``comment-consumer run``
from the same places: flags, ``CONSUMER_KAFKA__...`` variables and the file named by ``--config``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaException

from consumer.commands.arguments import split
from consumer.commands.demo import above_zero, stop_on_signal, whole_number
from consumer.demo.audit import Fed
from consumer.demo.feeder import Feeder
from consumer.demo.traffic import events
from consumer.kafka.config import ConfigError, producer_config
from consumer.kafka.errors import find_kafka_error
from consumer.service.kafka import connection_of
from consumer.service.logs import configure_logging
from consumer.settings import AnySettings
from consumer.settings.kafka import KafkaSettings
from consumer.settings.loading import BadSettings, Program, load

DEFAULT_RATE: Final = 20.0
REPORT: Final = 10.0  # seconds between two lines that say how far it is
TICK: Final = 0.1
AHEAD: Final = 2000  # comments that the brokers have not taken yet

_PROGRAM: Final = Program("python -m consumer.demo.feed", "Feed synthetic comments into kafka.input_topic.")


class FeedSettings(AnySettings):
    """The Kafka settings alone."""

    kafka: KafkaSettings


def feed(arguments: Sequence[str]) -> int:
    """Feed until the comments or the time are over, or a signal comes; return the exit code."""
    parser = argparse.ArgumentParser(prog=_PROGRAM.name, description=_PROGRAM.purpose, allow_abbrev=False)
    parser.add_argument("--comments", type=whole_number, metavar="N", help="stop after N comments")
    parser.add_argument("--seconds", type=above_zero, metavar="S", help="stop after S seconds")
    parser.add_argument(
        "--rate",
        type=above_zero,
        metavar="R",
        default=DEFAULT_RATE,
        help=f"comments a second (default: {DEFAULT_RATE:g})",
    )
    own, rest = split(parser, arguments)
    configure_logging("warning", "auto", sys.stderr)
    try:
        kafka = load(FeedSettings, rest, os.environ, _PROGRAM).kafka
        client = {**producer_config(connection_of(kafka)), "client.id": "demo-feeder", "log_level": 4}
        fed: queue.SimpleQueue[Fed] = queue.SimpleQueue()
        feeder = Feeder(
            kafka.bootstrap_servers,
            kafka.input_topic,
            itertools.islice(events(1), own.comments),
            rate=own.rate,
            ahead=AHEAD,
            fed=fed,
            client=client,
        )
    except BadSettings as wrong:
        return _refuse(*wrong.lines)
    except ConfigError as error:
        return _refuse(f"kafka.extra: {error}")
    except KafkaException as error:
        reason = find_kafka_error(error)
        return _refuse(f"kafka: {reason.str() if reason is not None else type(error).__name__}")
    stop = threading.Event()
    stop_on_signal(stop)
    print(f"feeding {kafka.input_topic} with {own.rate:g} comments a second", flush=True)
    count = _watch(feeder, fed, stop, own.seconds)
    print(f"{count} comments fed", flush=True)
    return _refuse(feeder.failure) if feeder.failure is not None else 0


def _watch(feeder: Feeder, fed: queue.SimpleQueue[Fed], stop: threading.Event, seconds: float | None) -> int:
    """Let the feeder run; return how many comments the brokers took."""
    count = 0
    began = told = time.monotonic()
    feeder.start()
    while feeder.is_alive():
        feeder.join(TICK)
        now = time.monotonic()
        if stop.is_set() or (seconds is not None and now - began >= seconds):
            feeder.stop()
        taken = fed.qsize()
        for _ in range(taken):
            fed.get()
        count += taken
        feeder.answered(taken)
        if now - told >= REPORT:
            told = now
            print(f"{count} comments fed", flush=True)
    return count + fed.qsize()


def _refuse(*lines: str) -> int:
    for line in lines:
        print(f"comment-consumer: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(feed(sys.argv[1:]))
