"""A replay of dead letters put together: topics, rights, clients, ledger."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException

from consumer.kafka.config import LIBRARY_LOG, ConfigError
from consumer.kafka.settings import Connection
from consumer.replay.bounded import ASK_TIMEOUT, BoundedReader, kafka_trouble, reader_config, whole_topic
from consumer.replay.dead_letters import DeadLetterReplay, Stopped, read_ledger
from consumer.replay.ledger import Ledger
from consumer.replay.progress import Gauge, display_on_stderr
from consumer.replay.report import Report
from consumer.replay.selection import Filters, Selection
from consumer.replay.sending import TransactionalSender
from consumer.replay.sources import Sources
from consumer.replay.topics import check_ledger, check_usable
from consumer.service.kafka import connection_of
from consumer.service.logs import configure_logging
from consumer.settings.kafka import KafkaSettings
from consumer.settings.loading import BadSettings


@dataclass(frozen=True)
class Plan:
    """What the command line says beside the settings. ``going`` is False for a dry run."""

    filters: Filters
    going: bool
    max_attempts: int
    fetch_stubs: bool
    ledger_topic: str


def replay_dead_letters(
    plan: Plan, kafka: KafkaSettings, asked_to_stop: Callable[[], bool], tell: Callable[[Report], None]
) -> Report:
    """Send dead letters back, or find out what would be; progress goes to standard error.

    ``tell`` is given the report whatever happens, once there is something to report.

    Raises:
        BadSettings: a topic or a right is missing, or the client refuses an option.
        Stopped: it was asked to end.
        DeliveryStopped: the brokers refuse, or another run has taken over.
    """
    configure_logging("warning", "auto", sys.stderr)
    LIBRARY_LOG.addFilter(lambda line: line.levelno < logging.CRITICAL)  # what is fatal is told by what is raised
    connection = connection_of(kafka)
    group = f"{kafka.group_id}-replay"
    dead_letters, inputs = kafka.dead_letter_topic, kafka.input_topic
    with ExitStack() as stack:
        try:
            ledger_exists = _check(plan, kafka, connection, asked_to_stop)
            if asked_to_stop():
                raise Stopped
            sender = TransactionalSender(connection, plan.ledger_topic) if plan.going else None
            if sender is not None:
                stack.callback(sender.close)
                sender.open()
            reader = _reader(stack, connection, group, dead_letters)
            ledger = Ledger()
            if ledger_exists:
                markers = _reader(stack, connection, group, plan.ledger_topic)
                ledger = read_ledger(markers, whole_topic(markers.consumer, plan.ledger_topic), asked_to_stop)
            sources = Sources(connection, group, inputs) if plan.fetch_stubs else None
            if sources is not None:
                stack.callback(sources.close)
            spans = whole_topic(reader.consumer, dead_letters)
            partitions = len(reader.consumer.list_topics(inputs, timeout=ASK_TIMEOUT).topics[inputs].partitions)
        except ConfigError as error:
            raise BadSettings([f"kafka.extra: {error}"]) from None
        except KafkaException as failed:
            raise BadSettings([f"kafka: {kafka_trouble(failed, topic=dead_letters, group=group)}"]) from failed
        display = display_on_stderr()
        stack.enter_context(display)
        if not ledger_exists:
            display.say(f"there is no topic {plan.ledger_topic} yet: nothing was sent back before")
        replay = DeadLetterReplay(
            reader=reader,
            selection=Selection(plan.filters, inputs, plan.max_attempts),
            ledger=ledger,
            ledger_topic=plan.ledger_topic,
            input_partitions=partitions,
            sources=sources,
            sender=sender,
            asked_to_stop=asked_to_stop,
            gauge=Gauge(display),
        )
        try:
            replay.run(spans)
        finally:
            stack.close()  # the bar is gone before the report comes
            tell(replay.report)
        return replay.report


def _reader(stack: ExitStack, connection: Connection, group: str, topic: str) -> BoundedReader:
    consumer = Consumer(reader_config(connection, group, topic))
    stack.callback(consumer.close)
    return BoundedReader(consumer, topic, None)


def _check(plan: Plan, kafka: KafkaSettings, connection: Connection, asked_to_stop: Callable[[], bool]) -> bool:
    """See that the topics may be used as this run will use them; return whether there is a ledger topic."""
    topics = {"kafka.dead_letter_topic": kafka.dead_letter_topic}
    reads = ["kafka.dead_letter_topic"]
    if plan.going:
        topics["kafka.input_topic"] = kafka.input_topic
    if plan.fetch_stubs:
        topics["--fetch-stubs from kafka.input_topic"] = kafka.input_topic
        reads.append("--fetch-stubs from kafka.input_topic")
    check_usable(connection, topics, reads, asked_to_stop)
    return not asked_to_stop() and check_ledger(
        connection, plan.ledger_topic, going=plan.going, asked_to_stop=asked_to_stop
    )
