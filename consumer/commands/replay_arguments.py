"""The arguments of ``comment-consumer replay`` and what its help says."""

from __future__ import annotations

import argparse
import re
from datetime import datetime

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from consumer.settings.kafka import TOPIC_NAME

MAX_ATTEMPTS = 3
RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)

LETTERS_PURPOSE = """\
Send the records of dead letters back to the input topic, once the reason for which they failed is gone. Without --go
nothing is changed anywhere, and the report says what would be sent."""
_LETTERS_EPILOG = """
A record goes back with its own key, value and headers, byte for byte, followed by dlq.origin (where it first stood) and
dlq.attempt (how often it has failed); it goes to its old partition, with the time of the replay for its timestamp.

What was sent is noted in the ledger topic, one marker a record, in the transaction that sends it. So a record is sent
at most once each time it fails, over any number of runs with any filters, stopped or killed at any moment: run the
same command again to go on. A letter that a filter leaves out is not noted, and a later run may take it. Dead letters
written after the start are left for the next run. Create the ledger topic before the first --go:
  kafka-topics --create --topic DEAD-LETTER-TOPIC-replayed --partitions 1 --config cleanup.policy=compact
A run that is killed within a transaction holds up readers of the input topic until the next run begins, or for half a
minute at most. Two runs at once: the later one goes on, the earlier one ends.

rights: Read on the dead-letter topic, Write on the input topic (Read too with --fetch-stubs), Read and Write on the
ledger topic, Write and Describe on the transactional id, which is named like the ledger topic. A dry run needs none to
write.

exit codes: 0 all that was asked for is sent, or this was a dry run; 1 some of it cannot be sent, the report says why;
2 settings, topics or rights are wrong; 10, 11 reading failed; 12 writing failed, or another run took over; 128 + N
ended by signal N. After 10, 11, 12 and signals the same command goes on.
"""

RELABEL_PURPOSE = """\
Label a window of the input topic again with the model and the policy that the settings name, into another topic."""
_RELABEL_EPILOG = """
The window is a range of offsets in each partition: from the first record at or after --since up to the first at or
after --until, or to the end of the topic as it is at the start. It is noted with the offsets of a group of this run's
own, GROUP-relabel-RUN, so a run that was stopped or killed goes on with the same window when the same command is given
again; after its end it has nothing left to do. The group of the live service is never touched. Such offsets are kept by
the brokers for a week (offsets.retention.minutes) after the last one was committed.

Events carry run_id. One is derived from input, window, --to, model, policy and event settings if none is given; a run
that goes on under a given one must have the same. Delivery is as run's: at least once, and a repeated event has the
same event_id and run_id. What cannot be labeled becomes a dead letter with dlq.run_id, which replay dead-letters leaves
alone. One process a run. The policy is read once, at the start; http.* is not used.

--to cannot be the input or the dead-letter topic. The live output topic needs --allow-live-output: its readers must
know run_id.

rights: Read on the input topic, Write on --to and on the dead-letter topic, Read on the group GROUP-relabel-RUN; one
prefixed right on GROUP-relabel- serves all runs.

exit codes: 0 the window is labeled; 1 it is, and some of its records became dead letters just now; 2 settings, topics
or rights are wrong, or the run was begun with others; 3 not closed in time; 10 to 14 as run's; 128 + N ended by signal
N. After 3, 10 to 14 and signals the same command goes on.
"""


def letters_parser() -> argparse.ArgumentParser:
    """The arguments of ``replay dead-letters``."""
    parser = _parser("dead-letters", LETTERS_PURPOSE, _LETTERS_EPILOG)
    parser.add_argument("--go", action="store_true", help="send; without it this is a dry run")
    parser.add_argument(
        "--since", type=_time, metavar="TIME", help="letters written at or after this time, ISO with zone"
    )
    parser.add_argument("--until", type=_time, metavar="TIME", help="letters written before this time")
    parser.add_argument(
        "--error-type", action="append", default=[], metavar="NAME", help="letters with this dlq.error.type; repeatable"
    )
    parser.add_argument(
        "--stage",
        action="append",
        default=[],
        choices=("decode", "model", "publish"),
        help="letters with this dlq.stage; repeatable",
    )
    parser.add_argument(
        "--partition",
        action="append",
        default=[],
        type=_count(0),
        metavar="N",
        help="letters of records from this partition of the input topic; repeatable",
    )
    parser.add_argument(
        "--max-attempts",
        type=_count(1),
        default=MAX_ATTEMPTS,
        metavar="N",
        help=f"letters of records that failed this often or oftener stay ({MAX_ATTEMPTS} if not given)",
    )
    parser.add_argument(
        "--fetch-stubs",
        action="store_true",
        help="read records that are not whole in their letters from the input topic again, if they are still there; "
        "each is checked by size and SHA-256, or size and timestamp",
    )
    parser.add_argument(
        "--ledger-topic",
        type=_topic,
        metavar="NAME",
        help="compacted topic that notes what was sent; kafka.dead_letter_topic with -replayed after it if not given",
    )
    return parser


def relabel_parser() -> argparse.ArgumentParser:
    """The arguments of ``replay relabel``."""
    parser = _parser("relabel", RELABEL_PURPOSE, _RELABEL_EPILOG)
    parser.add_argument("--to", type=_topic, metavar="TOPIC", help="where the new labels go")
    parser.add_argument("--since", type=_time, metavar="TIME", help="ISO with zone; the topic's beginning if not given")
    parser.add_argument("--until", type=_time, metavar="TIME", help="the topic's end at the start if not given")
    parser.add_argument("--run-id", type=_run_id, metavar="NAME", help="name of this run, in every event")
    parser.add_argument("--allow-live-output", action="store_true", help="let --to be kafka.output_topic")
    return parser


def _parser(name: str, purpose: str, epilog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"comment-consumer replay {name}",
        description=purpose,
        epilog=epilog,
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this and the settings")
    parser.add_argument("--json", action="store_true", help="last line on standard output: one JSON object with counts")
    return parser


def _time(text: str) -> int:
    """Milliseconds since the epoch."""
    try:
        return int(_TIME.validate_python(text).timestamp() * 1000)
    except (ValidationError, OverflowError):
        raise argparse.ArgumentTypeError("give a time with its zone such as 2026-01-31T18:00:00Z") from None


def _topic(text: str) -> str:
    if not re.fullmatch(TOPIC_NAME, text):
        raise argparse.ArgumentTypeError("give a topic name: letters, digits, dots, _ and -")
    return text


def _run_id(text: str) -> str:
    if not RUN_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("give up to 100 letters, digits, dots, _ and -")
    return text


class _count:  # noqa: N801 (argparse shows its name)
    """An integer from ``least`` on."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < self._least:
            raise argparse.ArgumentTypeError(f"give a whole number from {self._least} on")
        return int(text)
