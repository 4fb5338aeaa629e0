"""Kafka for the worker: the source and the sink made from settings, watched for metrics and health."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Generic

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from consumer.delivery.ports import Acknowledgement, Clock, RebalanceListener, ReceiptT, Sink
from consumer.delivery.records import Message, Partition
from consumer.delivery.row import Row
from consumer.kafka.config import ConfigError, admin_config
from consumer.kafka.consumer import KafkaSource
from consumer.kafka.errors import find_kafka_error
from consumer.kafka.producer import KafkaSink
from consumer.kafka.settings import CatchUp, Connection, Membership, Outputs, StartPosition
from consumer.kafka.topics import TopicsUnusable, check_topics
from consumer.service.health import Health
from consumer.service.lifecycle import Ending
from consumer.service.metrics import Metrics
from consumer.settings import Settings
from consumer.settings_catch_up import CatchUpSettings
from consumer.settings_kafka import KafkaSettings
from consumer.settings_loading import BadSettings

REFRESH = 1.0  # seconds between looks at lag, commits and brokers
PROBE_TIMEOUT = 0.1  # seconds that the poll thread waits, once a refresh, to see whether lost brokers are back
TIMED = 16  # one message in so many has its acknowledgement timed
SOURCE_SHARE = 0.8  # of the time to close; the sink has nothing left to wait for after a drain


def connect_to_kafka(settings: Settings, metrics: Metrics, health: Health, ending: Ending) -> KafkaConnection:
    """Make the clients; no broker is asked for anything yet.

    Raises:
        BadSettings: librdkafka refuses an option.
    """
    try:
        return KafkaConnection(settings.kafka, metrics, health, ending, catch_up_of(settings.catch_up))
    except ConfigError as error:
        raise BadSettings([f"kafka.extra: {error}"]) from None
    except KafkaException as error:
        reason = find_kafka_error(error)
        raise BadSettings([f"kafka: {reason.str() if reason is not None else type(error).__name__}"]) from None


class KafkaConnection:
    """Implements :class:`consumer.service.worker.Connection`."""

    def __init__(
        self,
        settings: KafkaSettings,
        metrics: Metrics,
        health: Health,
        ending: Ending,
        catch_up: CatchUp | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._ending = ending
        self._connection = connection_of(settings)
        self.source = KafkaSource(self._connection, replace(membership_of(settings), catch_up=catch_up))
        self._kafka_sink: KafkaSink[Row] = KafkaSink(
            self._connection, Outputs(settings.output_topic, settings.dead_letter_topic)
        )
        self.sink = TimedSink(self._kafka_sink, metrics, time.monotonic)
        self._refreshed = time.monotonic()
        self._commit_errors = 0
        self._lags: Mapping[Partition, int] = {}
        self._probe: AdminClient | None = None

    def join(self, listener: RebalanceListener) -> None:
        """Wait for a broker, check the topics, and join the group.

        Raises:
            BadSettings: a topic or the right to it is missing, or the brokers refuse the login.
        """
        kafka = self._settings
        topics = {
            "kafka.input_topic": kafka.input_topic,
            "kafka.output_topic": kafka.output_topic,
            "kafka.dead_letter_topic": kafka.dead_letter_topic,
        }
        try:
            check_topics(self._connection, topics, lambda: self._ending.asked, self._sleep)
        except TopicsUnusable as unusable:
            raise BadSettings(unusable.lines) from None
        if not self._ending.asked:
            self.source.join(listener)

    def refresh(self) -> None:
        """Bring lag, commit errors and the brokers' state up to date, once in a while. On the poll thread."""
        now = time.monotonic()
        if now - self._refreshed < REFRESH:
            return
        self._refreshed = now
        lags = self.source.lag()
        for gone in self._lags.keys() - lags.keys():
            self._metrics.lag_records.remove(str(gone.number))
        for partition, lag in lags.items():
            self._metrics.lag_records.labels(str(partition.number)).set(lag)
        self._lags = lags
        if lags and not any(lags.values()):
            self._metrics.lag_seconds.set(0)
        errors = self.source.counts.commit_errors
        self._metrics.commit_errors.inc(errors - self._commit_errors)
        self._commit_errors = errors
        if not self._kafka_sink.alive:
            self._health.producer_failed()
        self._health.brokers_are(not (self.source.brokers_down or self._kafka_sink.brokers_down) or self._reachable())

    def close(self, timeout: float) -> bool:
        """Leave the group, committing what is stored; return whether that was done within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        left = self.source.close(timeout * SOURCE_SHARE)
        self._kafka_sink.close(max(0.0, end - time.monotonic()))
        return left

    def _reachable(self) -> bool:
        """Ask: the clients tell when all brokers are lost, and say nothing when one is back."""
        if self._probe is None:
            self._probe = AdminClient(admin_config(self._connection))  # type: ignore[arg-type]
        try:
            self._probe.list_topics(self._settings.input_topic, timeout=PROBE_TIMEOUT)
        except KafkaException:
            return False
        self.source.heard_of_brokers()
        self._kafka_sink.heard_of_brokers()
        return True

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._ending.asked and time.monotonic() < end:
            time.sleep(0.05)


class TimedSink(Generic[ReceiptT]):
    """A sink that times the acknowledgement of some of its messages."""

    def __init__(self, sink: Sink[ReceiptT], metrics: Metrics, clock: Clock) -> None:
        self._sink = sink
        self._metrics = metrics
        self._clock = clock
        self._count = 0
        self._began: dict[int, float] = {}  # by the receipt's identity; the sink keeps the receipt until then

    def publish(self, message: Message, receipt: ReceiptT) -> None:
        """See :meth:`consumer.delivery.ports.Sink.publish`."""
        self._count += 1
        if self._count % TIMED == 0:
            self._began[id(receipt)] = self._clock()
        self._sink.publish(message, receipt)

    def acknowledgements(self, timeout: float) -> Sequence[Acknowledgement[ReceiptT]]:
        """See :meth:`consumer.delivery.ports.Sink.acknowledgements`."""
        known = self._sink.acknowledgements(timeout)
        if known and self._began:
            now = self._clock()
            began = [self._began.pop(id(each.receipt), None) for each in known]
            self._metrics.acknowledge_seconds.observe([now - each for each in began if each is not None])
        return known


def connection_of(settings: KafkaSettings) -> Connection:
    """How to reach the cluster."""
    security: dict[str, object] = {
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password,
        "ssl.ca.location": settings.ssl_ca_location,
        "ssl.certificate.location": settings.ssl_certificate_location,
        "ssl.key.location": settings.ssl_key_location,
        "ssl.key.password": settings.ssl_key_password,
    }
    return Connection(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.client_id,
        security={name: _plain(value) for name, value in security.items() if value is not None},
        options={name: _plain(value) for name, value in settings.extra.items()},
    )


def membership_of(settings: KafkaSettings) -> Membership:
    """Which group reads which topic, and how."""
    return Membership(
        group_id=settings.group_id,
        topic=settings.input_topic,
        protocol=settings.group_protocol,
        instance_id=settings.group_instance_id,
        start=start_of(settings.start_position),
        out_of_range=settings.out_of_range,
    )


def catch_up_of(settings: CatchUpSettings) -> CatchUp | None:
    """How partitions that are far behind are caught up with; ``None``: as all others."""
    return CatchUp(settings.behind, settings.chunk) if settings.order == "newest_first" else None


def start_of(position: str | datetime) -> StartPosition:
    """Where a group without offsets begins."""
    if isinstance(position, datetime):
        return StartPosition("timestamp", int(position.timestamp() * 1000))
    return StartPosition("latest" if position == "latest" else "earliest")


def _plain(value: object) -> str:
    """As librdkafka writes it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
