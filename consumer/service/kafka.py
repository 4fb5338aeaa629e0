"""Kafka for the worker: the source and the sink made from settings, watched for metrics and health."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from consumer.delivery.ports import RebalanceListener
from consumer.delivery.records import Partition
from consumer.delivery.row import Row
from consumer.kafka.config import ConfigError, admin_config
from consumer.kafka.consumer import KafkaSource
from consumer.kafka.errors import find_kafka_error
from consumer.kafka.grants import quoted
from consumer.kafka.log_ends import LogEnds
from consumer.kafka.login_errors import explain_refused_option
from consumer.kafka.producer import KafkaSink
from consumer.kafka.settings import CatchUp, Connection, Membership, Outputs, StartPosition
from consumer.kafka.topic_identity import MadeAnew, TopicIdentity
from consumer.kafka.topics import TopicsUnusable, check_topics
from consumer.service.health import Health
from consumer.service.lifecycle import Ending
from consumer.service.metrics import Metrics, read_at_scrape
from consumer.service.secret_rotation import SecretRotation, warn_of_exposed_files
from consumer.service.timed import TimedSink, TimedSource
from consumer.settings import Settings
from consumer.settings.catch_up import CatchUpSettings
from consumer.settings.kafka import KafkaSettings
from consumer.settings.loading import BadSettings

REFRESH = 1.0  # seconds between looks at lag, commits and brokers
PROBE_TIMEOUT = 0.1  # seconds that the poll thread waits, once a refresh, to see whether lost brokers are back
SOURCE_SHARE = 0.8  # of the time to close; the sink has nothing left to wait for after a drain


log = structlog.get_logger()


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
        said = type(error).__name__ if reason is None else explain_refused_option(reason.str())
        raise BadSettings([f"kafka: {said}"]) from None


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
        self._kafka_source = KafkaSource(self._connection, replace(membership_of(settings), catch_up=catch_up))
        self._kafka_sink: KafkaSink[Row] = KafkaSink(
            self._connection, Outputs(settings.output_topic, settings.dead_letter_topic)
        )
        self.source = TimedSource(self._kafka_source, metrics, time.monotonic)
        self.sink = TimedSink(self._kafka_sink, metrics, time.monotonic)
        read_at_scrape({metrics.unacknowledged: partial(getattr, self.sink, "unacknowledged")})
        self._secrets = SecretRotation(settings, self._log_in_as)
        warn_of_exposed_files(settings)
        self._refreshed = time.monotonic()
        self._commits = self._commit_errors = 0
        self.backlog: Mapping[Partition, int] = {}
        self._admin: AdminClient | None = None
        self._ends: LogEnds | None = None
        self._topic: TopicIdentity | None = None

    def join(self, listener: RebalanceListener) -> None:
        """Wait for a broker, check the topics, and join the group.

        Raises:
            BadSettings: a topic or the right to it is missing, or the brokers refuse the login.
            MadeAnew: the group's offsets are of another input topic of this name.
        """
        kafka = self._settings
        topics = {
            "kafka.input_topic": kafka.input_topic,
            "kafka.output_topic": kafka.output_topic,
            "kafka.dead_letter_topic": kafka.dead_letter_topic,
        }
        try:
            check_topics(self._connection, topics, lambda: self._ending.asked, self._sleep, kafka.group_id)
        except TopicsUnusable as unusable:
            raise BadSettings(unusable.lines) from None
        if not self._ending.asked:
            self._know_topic()
            self._kafka_source.join(listener)

    def refresh(self) -> None:
        """Bring the backlog, commits and the brokers' state up to date, once in a while. On the poll thread.

        Raises:
            SourceFailed: the input topic was deleted, or made anew.
        """
        now = time.monotonic()
        if now - self._refreshed < REFRESH:
            return
        self._refreshed = now
        self._secrets.look()
        self._look_after_topic()
        self.backlog = self._kafka_source.lag(self._log_ends())
        self._count_commits()
        if not self._kafka_sink.alive:
            self._health.producer_failed()
        down = self._kafka_source.brokers_down or self._kafka_sink.brokers_down
        reachable = not down or self._reachable()
        self._metrics.brokers_reachable.set(reachable)
        self._health.brokers_are(reachable)

    def close(self, timeout: float) -> bool:
        """Leave the group, committing what is stored; return whether that was done within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        left = self._kafka_source.close(timeout * SOURCE_SHARE)
        self._kafka_sink.close(max(0.0, end - time.monotonic()))
        return left

    def _count_commits(self) -> None:
        counts = self._kafka_source.counts
        self._metrics.commit_errors.inc(counts.commit_errors - self._commit_errors)
        if counts.commits > self._commits:
            self._metrics.commits.inc(counts.commits - self._commits)
            self._metrics.last_commit.set(time.time())
        self._commits, self._commit_errors = counts.commits, counts.commit_errors

    def _know_topic(self) -> None:
        """Learn which topic has the name now, and refuse offsets of an earlier one: they lie somewhere in this one."""
        kafka = self._settings
        self._topic = TopicIdentity(self._asking(), kafka.input_topic, time.monotonic)
        established = self._topic.establish()
        if established is None:
            return  # the brokers do not tell
        topic_id, numbers = established
        try:
            others = self._kafka_source.is_of(topic_id, numbers)
        except KafkaException as failed:
            log.warning("committed offsets are not known yet; not compared", error=type(failed).__name__)
            return
        if others:
            raise MadeAnew(
                f"the topic {kafka.input_topic} was deleted and made anew since the group committed its offsets "
                f"(partitions {', '.join(map(str, others))}): they mean nothing in it. Set them anew, then start: "
                f"kafka-consumer-groups --bootstrap-server {kafka.bootstrap_servers} --group {quoted(kafka.group_id)} "
                f"--topic {quoted(kafka.input_topic)} --reset-offsets --to-earliest --execute",
                topic_id,
            )

    def _look_after_topic(self) -> None:
        if self._topic is None:
            return
        try:
            self._topic.tick()
        except MadeAnew as anew:
            self._kafka_source.begin_anew(anew.topic_id)
            raise

    def _log_ends(self) -> Mapping[Partition, int]:
        """Where the partitions end, asked for while the input is paused: the consumer does not hear of it then."""
        paused = self._kafka_source.paused
        if self._ends is None:
            if not paused:
                return {}
            self._ends = LogEnds(self._asking())
        return self._ends.look(self._kafka_source.partitions, asking=paused)

    def _asking(self) -> AdminClient:
        """A client for questions, made when the first one comes up."""
        if self._admin is None:
            self._admin = AdminClient(admin_config(self._connection))  # type: ignore[arg-type]
        return self._admin

    def _reachable(self) -> bool:
        """Ask: the clients tell when all brokers are lost, and say nothing when one is back."""
        try:
            self._asking().list_topics(self._settings.input_topic, timeout=PROBE_TIMEOUT)
        except KafkaException:
            return False
        self._kafka_source.heard_of_brokers()
        self._kafka_sink.heard_of_brokers()
        return True

    def _log_in_as(self, user: str, password: str) -> None:
        """Every client of this process logs in so from now on, also one that is made later."""
        security = {**self._connection.security, "sasl.password": password}
        self._connection = replace(self._connection, security=security)
        self._kafka_source.set_credentials(user, password)
        self._kafka_sink.set_credentials(user, password)
        if self._admin is not None:
            self._admin.set_sasl_credentials(user, password)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._ending.asked and time.monotonic() < end:
            time.sleep(0.05)


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
        "sasl.oauthbearer.method": "oidc" if settings.sasl_mechanism == "OAUTHBEARER" else None,
        "sasl.oauthbearer.token.endpoint.url": settings.oauth_token_endpoint,
        "sasl.oauthbearer.client.id": settings.oauth_client_id,
        "sasl.oauthbearer.client.secret": settings.oauth_client_secret,
        "sasl.oauthbearer.scope": settings.oauth_scope,
        "sasl.oauthbearer.extensions": settings.oauth_extensions,
        "https.ca.location": settings.oauth_ca_location,
    }
    return Connection(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.client_id,
        security={name: _plain(value) for name, value in security.items() if value is not None},
        options={name: _plain(value) for name, value in settings.extra.items()},
        local_only=settings.security_protocol.endswith("plaintext") and not settings.allow_plaintext,
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
