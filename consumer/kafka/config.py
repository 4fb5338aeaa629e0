"""librdkafka's configuration, for the consumer and the producer. Pure functions.

What is fixed here is what the delivery guarantee rests on; everything else may be set through
``Connection.options``, minus :data:`DENIED`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from consumer.kafka.settings import Connection, Membership

LIBRARY_LOG = logging.getLogger("librdkafka")


def _hide_answer(record: logging.LogRecord) -> bool:
    """librdkafka logs what a token endpoint answered, which may be anything: keep the line, drop the answer."""
    said = record.getMessage()
    if "OIDC token from" in said:
        record.msg, record.args = said.partition("OIDC token from")[0] + "OIDC token", ()
    return True


LIBRARY_LOG.addFilter(_hide_answer)

ConfigValue = str | int | float | bool | logging.Logger

MAX_POLL_INTERVAL_MS = 300_000
COMMIT_INTERVAL_MS = 1_000

_GUARANTEE = "the delivery guarantee rests on it"
_CODE = "it would load code or run a command"
_OWN = "it has a setting of its own"
_VALUE = "it takes a function, not a value"
_KERBEROS = "Kerberos runs a command through a shell"
_LIBRARY = "the program and the client library rely on how it is"
DENIED: Mapping[str, str] = MappingProxyType(
    {
        "plugin.library.paths": _CODE,
        "ssl.engine.location": _CODE,
        "ssl.engine.id": _CODE,
        "ssl.providers": _CODE,
        "sasl.kerberos.kinit.cmd": _CODE,
        "sasl.kerberos.principal": _KERBEROS,
        "sasl.kerberos.keytab": _KERBEROS,
        "sasl.kerberos.service.name": _KERBEROS,
        "sasl.kerberos.min.time.before.relogin": _KERBEROS,
        "test.mock.num.brokers": "it would silently replace the cluster by a mock",
        "test.mock.broker.rtt": "it is for tests of librdkafka",
        "debug": "it logs what the brokers send",
        "enable.ssl.certificate.verification": "it would turn TLS into decoration",
        "ssl.endpoint.identification.algorithm": "it would turn TLS into decoration",
        "enable.sasl.oauthbearer.unsecure.jwt": "it would log in with an unsigned token",
        "enable.auto.commit": _GUARANTEE,
        "enable.auto.offset.store": _GUARANTEE,
        "auto.commit.enable": _GUARANTEE,
        "auto.offset.reset": _GUARANTEE,
        "offset.store.method": _GUARANTEE,
        "isolation.level": _GUARANTEE,
        "enable.idempotence": _GUARANTEE,
        "transactional.id": _GUARANTEE,
        "acks": _GUARANTEE,
        "request.required.acks": _GUARANTEE,
        "message.timeout.ms": _GUARANTEE,
        "delivery.timeout.ms": _GUARANTEE,
        "retries": _GUARANTEE,
        "message.send.max.retries": _GUARANTEE,
        "delivery.report.only.error": _GUARANTEE,
        "enable.partition.eof": "the program needs it to tell how far behind it is",
        "allow.auto.create.topics": "a mistyped topic would be made where it should be told",
        "topic.blacklist": "it would hide topics from the program",
        "enabled_events": _LIBRARY,
        "enable_sasl_queue": _LIBRARY,
        "internal.termination.signal": _LIBRARY,
        "log.queue": _LIBRARY,
        "interceptors": _VALUE,
        "opaque": _VALUE,
        "default_topic_conf": _VALUE,
        "ssl_key": _VALUE,
        "ssl_certificate": _VALUE,
        "ssl_ca": _VALUE,
        "ssl_engine_callback_data": _VALUE,
        "msg_order_cmp": _VALUE,
        "logger": _VALUE,
        "on_commit": _VALUE,
        "on_delivery": _VALUE,
        "default.topic.config": "set its options by themselves",
        "partition.assignment.strategy": "the program relies on cooperative rebalancing",
        "bootstrap.servers": _OWN,
        "metadata.broker.list": _OWN,
        "group.id": _OWN,
        "group.instance.id": _OWN,
        "group.protocol": _OWN,
        "client.id": _OWN,
        "security.protocol": _OWN,
        "sasl.mechanism": _OWN,
        "sasl.mechanisms": _OWN,
        "sasl.username": _OWN,
        "sasl.password": _OWN,
        "sasl.oauthbearer.method": _OWN,
        "sasl.oauthbearer.client.id": _OWN,
        "sasl.oauthbearer.client.secret": _OWN,
        "sasl.oauthbearer.client.credentials.client.id": _OWN,
        "sasl.oauthbearer.client.credentials.client.secret": _OWN,
        "sasl.oauthbearer.token.endpoint.url": _OWN,
        "sasl.oauthbearer.scope": _OWN,
        "sasl.oauthbearer.extensions": _OWN,
        "https.ca.location": _OWN,
        "ssl.ca.location": _OWN,
        "ssl.certificate.location": _OWN,
        "ssl.key.location": _OWN,
        "ssl.key.password": _OWN,
    }
)

# Options that only one kind of client understands; the other would warn about them.
_CONSUMER_ONLY = (
    "fetch.", "max.partition.fetch.", "queued.", "session.", "heartbeat.", "max.poll.", "partition.assignment.",
    "check.crcs", "auto.commit.", "offset.store.", "consume.", "share.", "group.", "coordinator.",
)  # fmt: skip
_PRODUCER_ONLY = (
    "queue.buffering.", "linger.", "batch.", "compression.", "partitioner", "sticky.", "message.send.", "retries",
    "request.timeout.ms", "enable.gapless.", "transaction.", "queuing.", "produce.",
)  # fmt: skip


class ConfigError(ValueError):
    """An option that may not be set; the message says which and why, never its value."""


def checked_options(options: Mapping[str, str]) -> Mapping[str, str]:
    """Return ``options``, or say which of them is denied.

    Raises:
        ConfigError: an option is on the deny list.
    """
    for name in options:
        plain = name.strip().lower()
        reason = _VALUE if plain.endswith("_cb") else DENIED.get(plain)
        if reason is None and plain.startswith("topic.") and not plain.startswith("topic.metadata."):
            # librdkafka takes every option of topics with this before it too: topic.message.timeout.ms.
            reason = "give options of topics without topic. before them"
        if reason is not None:
            raise ConfigError(f"the librdkafka option {name} cannot be set: {reason}")
    return options


def consumer_config(connection: Connection, membership: Membership) -> dict[str, ConfigValue]:
    """The consumer's configuration.

    Raises:
        ConfigError: an option is on the deny list.
    """
    config: dict[str, ConfigValue] = {
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 20,
        "fetch.error.backoff.ms": 100,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 16_384,  # also what one poll can bring at the most, before the flow limits see it
        "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
        "auto.commit.interval.ms": COMMIT_INTERVAL_MS,
        "check.crcs": True,
    }
    if membership.protocol == "classic":
        config |= {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 45_000,
            "heartbeat.interval.ms": 3_000,
        }
    config |= _common(connection, skip=_PRODUCER_ONLY)
    config |= {
        "group.id": membership.group_id,
        "group.protocol": membership.protocol,
        "enable.auto.commit": True,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # a missing offset is answered by KafkaSource, never silently
        "isolation.level": "read_committed",
        "enable.partition.eof": True,  # else nothing is known of a partition that has delivered no record yet
    }
    if membership.instance_id is not None:
        config["group.instance.id"] = membership.instance_id
    return config


def backlog_config(connection: Connection, membership: Membership) -> dict[str, ConfigValue]:
    """The configuration of the client that reads backlogs: it is told what to read, and neither joins nor commits.

    Raises:
        ConfigError: an option is on the deny list.
    """
    return consumer_config(connection, replace(membership, instance_id=None)) | {
        "enable.auto.commit": False,
        "enable.partition.eof": True,  # the end of the newest chunk may be the end of the log
        "queued.min.messages": 2_000,  # what is fetched beyond a chunk's end is thrown away
        "queued.max.messages.kbytes": 4_096,
        "fetch.wait.max.ms": 20,
    }


def producer_config(connection: Connection) -> dict[str, ConfigValue]:
    """The producer's configuration: idempotent, and it outlasts any broker outage.

    Raises:
        ConfigError: an option is on the deny list.
    """
    config: dict[str, ConfigValue] = {
        "linger.ms": 2,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # as the Java clients do, so that topics keyed alike are partitioned alike
        "queue.buffering.max.messages": 100_000,
        "queue.buffering.max.kbytes": 262_144,
    }
    config |= _common(connection, skip=_CONSUMER_ONLY)
    config |= {
        "enable.idempotence": True,
        "message.timeout.ms": 0,  # no limit: giving up would mean dropping or doubling
        "retry.backoff.max.ms": 1_000,
    }
    return config


def admin_config(connection: Connection) -> dict[str, ConfigValue]:
    """The configuration of a client that only asks.

    Raises:
        ConfigError: an option is on the deny list.
    """
    return _common(connection, skip=_CONSUMER_ONLY + _PRODUCER_ONLY)


def _common(connection: Connection, skip: tuple[str, ...]) -> dict[str, ConfigValue]:
    options = checked_options(connection.options)
    config: dict[str, ConfigValue] = {
        "bootstrap.servers": connection.bootstrap_servers,
        "client.id": connection.client_id,
        "allow.auto.create.topics": False,  # holds for producers and questions too, whatever the warning says
        "enable.metrics.push": False,
        "reconnect.backoff.max.ms": 5_000,
        "log.connection.close": False,
        "logger": LIBRARY_LOG,
    }
    config |= connection.security
    config |= options
    return {name: value for name, value in config.items() if not name.startswith(skip)}
