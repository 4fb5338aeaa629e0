"""Dead letters back to the input topic: read, judge, send in transactions.

Every record is sent back at most once per failure, over any number of runs with any filters, and killed at any moment:
a transaction holds a batch of records together with their markers in the ledger topic (see
:mod:`consumer.replay.ledger`), and a run reads the ledger before it begins. A filter that leaves a letter out writes
no marker, so a later run may take it. What fails again is another record at other coordinates, with its attempt
counted up: it may be sent back again, in a later run, up to ``max_attempts``. Letters written after the start are not
looked at.

A record goes to the partition it was read from, with its own key, value and headers, then ``dlq.origin`` and
``dlq.attempt``. Its timestamp is that of the replay: with its old one, retention could delete it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from consumer.delivery.records import Record
from consumer.delivery.spans import Span
from consumer.replay.bounded import BoundedReader
from consumer.replay.ledger import Ledger, marker
from consumer.replay.letters import Letter, headers_to_send, read_letter
from consumer.replay.progress import Gauge
from consumer.replay.report import NOT_FETCHED, REFUSED, Report
from consumer.replay.selection import Fate, Selection
from consumer.replay.sending import BatchRefused, Outgoing, TransactionalSender
from consumer.replay.sources import Sources, Unobtainable

BATCH_RECORDS: Final = 500  # records in one transaction
BATCH_BYTES: Final = 4 * 1024 * 1024  # bytes of values in one transaction
POLL: Final = 0.2  # seconds to wait for letters


class Stopped(Exception):
    """It was asked to end before everything was done. What was sent is in the ledger."""


class Sendable(NamedTuple):
    """A letter and its record, whole."""

    letter: Letter
    original: Record


class DeadLetterReplay:
    """One run.

    Args:
        reader: The dead-letter topic.
        selection: Which letters go back.
        ledger: What was sent already, as read after the sender was opened.
        ledger_topic: Where the markers go.
        input_partitions: How many partitions the input topic has.
        sources: Fetches what stubs stand for; ``None`` leaves stubs alone.
        sender: Sends; ``None`` is a dry run, which changes nothing anywhere.
        asked_to_stop: Looked at between batches.
        gauge: Shown how far it is.
    """

    def __init__(
        self,
        *,
        reader: BoundedReader,
        selection: Selection,
        ledger: Ledger,
        ledger_topic: str,
        input_partitions: int,
        sources: Sources | None,
        sender: TransactionalSender | None,
        asked_to_stop: Callable[[], bool],
        gauge: Gauge,
    ) -> None:
        self._reader = reader
        self._selection = selection
        self._ledger = ledger
        self._ledger_topic = ledger_topic
        self._input_partitions = input_partitions
        self._sources = sources
        self._sender = sender
        self._asked_to_stop = asked_to_stop
        self._gauge = gauge
        self._batch: list[Sendable] = []
        self._bytes = 0
        self.report = Report(going=sender is not None)

    def run(self, spans: dict[int, Span]) -> None:
        """Go through these spans of the dead-letter topic; :attr:`report` tells what was done, even after an error.

        Raises:
            Stopped: it was asked to end.
            DeliveryStopped: the brokers refuse; the message says what to do.
        """
        total = sum(span.end - span.start for span in spans.values())
        self._reader.begin(spans)
        while not self._reader.done:
            for record in self._reader.read(BATCH_RECORDS, POLL):
                if self._asked_to_stop():
                    raise Stopped
                self._take(record)
                if len(self._batch) >= BATCH_RECORDS or self._bytes >= BATCH_BYTES:
                    self._send()
                self._gauge.update(self.report.letters, total, "dead letters", f"{self.report.total_sent:,} sent back")
            if self._asked_to_stop():
                raise Stopped
            self._send()

    def _take(self, record: Record) -> None:
        self.report.letters += 1
        letter = read_letter(record)
        fate = self._selection.judge(letter, self._ledger)
        if letter is None or fate not in (Fate.SEND, Fate.FETCH):
            self.report.left_alone(fate)
            return
        original = record
        if fate is Fate.FETCH:
            if self._sources is None:
                self.report.is_impossible(NOT_FETCHED)
                return
            try:
                original = self._sources.fetch(letter)
            except Unobtainable as unobtainable:
                self.report.is_impossible(unobtainable.reason)
                return
        self._ledger.add(letter)
        self._batch.append(Sendable(letter, original))
        self._bytes += len(original.value or b"")

    def _send(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        if self._sender is not None:
            try:
                self._sender.send(self._outgoing(batch))
            except BatchRefused:
                self._send_one_by_one(self._sender, batch)
                return
        for each in batch:
            self._count(each)

    def _send_one_by_one(self, sender: TransactionalSender, batch: Sequence[Sendable]) -> None:
        """One of them, or only their sum, is too much for the topic: the others must not suffer for it."""
        for each in batch:
            if self._asked_to_stop():
                raise Stopped
            try:
                sender.send(self._outgoing([each]))
            except BatchRefused:
                self._ledger.remove(each.letter)
                self.report.is_impossible(REFUSED)
            else:
                self._count(each)

    def _count(self, each: Sendable) -> None:
        self.report.sent_back(each.letter, fetched=not each.letter.whole)

    def _outgoing(self, batch: Sequence[Sendable]) -> list[Outgoing]:
        records = []
        for letter, original in batch:
            source = letter.source
            there = source.number < self._input_partitions  # the topic may have been made anew, smaller
            headers = headers_to_send(letter, original.headers or ())
            records.append(
                Outgoing(source.topic, source.number if there else -1, original.key, original.value, headers)
            )
            records.append(Outgoing(self._ledger_topic, -1, *marker(letter), headers=()))
        return records


def read_ledger(reader: BoundedReader, spans: dict[int, Span], asked_to_stop: Callable[[], bool]) -> Ledger:
    """The ledger as it stands now.

    Raises:
        Stopped: it was asked to end.
        DeliveryStopped: it cannot be read.
    """
    ledger = Ledger()
    reader.begin(spans)
    while not reader.done:
        for record in reader.read(1000, POLL):
            ledger.take(record.key, record.value)
        if asked_to_stop():
            raise Stopped
    return ledger
