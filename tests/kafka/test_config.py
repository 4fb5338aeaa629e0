"""librdkafka's configuration: what is fixed, what is refused, and that the clients take the rest without complaint."""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from consumer.demo.mock_cluster import _load
from consumer.kafka.config import (
    DENIED,
    ConfigError,
    admin_config,
    backlog_config,
    checked_options,
    consumer_config,
    producer_config,
)
from consumer.kafka.settings import Connection, Membership, StartPosition

NOBODY = "127.0.0.1:1"  # nothing listens there; the clients need no broker to judge their configuration
MEMBERSHIPS = {
    "classic": Membership("group", "in"),
    "consumer": Membership("group", "in", protocol="consumer"),
    "static": Membership("group", "in", instance_id="pod-0"),
}


def connection(options: Mapping[str, str] | None = None, security: Mapping[str, str] | None = None) -> Connection:
    return Connection(NOBODY, options=options or {}, security=security or {})


# ---- What is fixed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("membership", MEMBERSHIPS.values(), ids=list(MEMBERSHIPS))
def test_the_consumer_commits_only_what_is_stored_and_never_skips(membership: Membership) -> None:
    config = consumer_config(connection(), membership)
    assert config["enable.auto.commit"] is True
    assert config["enable.auto.offset.store"] is False
    assert config["auto.offset.reset"] == "error"
    assert config["isolation.level"] == "read_committed"
    assert config["check.crcs"] is True


@pytest.mark.parametrize("membership", MEMBERSHIPS.values(), ids=list(MEMBERSHIPS))
def test_the_client_for_backlogs_never_commits_never_skips_and_takes_nobodys_place(membership: Membership) -> None:
    config = backlog_config(connection({"queued.min.messages": "100000"}), membership)
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["auto.offset.reset"] == "error"
    assert config["isolation.level"] == "read_committed"
    assert "group.instance.id" not in config
    Consumer(config).close()


def test_the_producer_is_idempotent_and_never_gives_up() -> None:
    config = producer_config(connection())
    assert config["enable.idempotence"] is True
    assert config["message.timeout.ms"] == 0


def test_no_client_makes_topics() -> None:
    for config in (
        consumer_config(connection(), MEMBERSHIPS["classic"]),
        producer_config(connection()),
        admin_config(connection()),
    ):
        assert config["allow.auto.create.topics"] is False


def test_the_classic_protocol_rebalances_piecewise() -> None:
    config = consumer_config(connection(), MEMBERSHIPS["classic"])
    assert config["partition.assignment.strategy"] == "cooperative-sticky"
    assert "group.instance.id" not in config


def test_a_static_member_has_its_instance_id() -> None:
    assert consumer_config(connection(), MEMBERSHIPS["static"])["group.instance.id"] == "pod-0"


def test_the_newer_protocol_leaves_to_the_broker_what_is_the_brokers() -> None:
    config = consumer_config(connection(), MEMBERSHIPS["consumer"])
    assert config["group.protocol"] == "consumer"
    refused_by_librdkafka = {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"}
    assert not refused_by_librdkafka & config.keys()


# ---- What may be set -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(DENIED))
@pytest.mark.parametrize("spelling", [str, str.upper, " {} ".format], ids=["plain", "upper", "spaced"])
def test_a_denied_option_is_refused_by_name_and_never_by_value(name: str, spelling) -> None:
    option = spelling(name)
    for make in (
        lambda given: checked_options(given.options),
        lambda given: consumer_config(given, MEMBERSHIPS["classic"]),
        producer_config,
        admin_config,
    ):
        with pytest.raises(ConfigError) as refused:
            make(connection({option: "s3cret"}))
        assert name in str(refused.value).lower()
        assert DENIED[name] in str(refused.value)
        assert "s3cret" not in str(refused.value)


GUARANTEES = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "true",
    "auto.offset.reset": "latest",
    "isolation.level": "read_uncommitted",
    "enable.idempotence": "false",
    "acks": "0",
    "request.required.acks": "0",
    "message.timeout.ms": "1000",
    "delivery.timeout.ms": "1000",
    "message.send.max.retries": "0",
    "retries": "0",
    "delivery.report.only.error": "true",
    "transactional.id": "x",
    "partition.assignment.strategy": "range",
    "group.protocol": "consumer",
    "bootstrap.servers": "elsewhere:9092",
    "metadata.broker.list": "elsewhere:9092",
    "group.id": "other",
    "security.protocol": "plaintext",
    "enable.ssl.certificate.verification": "false",
    "test.mock.num.brokers": "1",
    "plugin.library.paths": "/tmp/evil",
    "ssl.engine.location": "/tmp/evil",
    "ssl.providers": "evil",
    "sasl.kerberos.kinit.cmd": "sh",
    "debug": "all",
}


@pytest.mark.parametrize("name", sorted(GUARANTEES))
def test_what_the_guarantee_or_the_safety_rests_on_cannot_be_set(name: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(name)):
        checked_options({name: GUARANTEES[name]})


@pytest.mark.parametrize("name", ["logger", "error_cb", "stats_cb", "on_commit", "on_delivery", "oauth_cb"])
def test_what_the_client_takes_as_a_function_is_refused_before_it_gets_there(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        checked_options({name: "x"})


def test_other_options_pass_and_win_over_our_defaults() -> None:
    options = {"fetch.wait.max.ms": "5", "max.poll.interval.ms": "60000", "linger.ms": "9", "socket.timeout.ms": "7000"}
    consumer = consumer_config(connection(options), MEMBERSHIPS["classic"])
    producer = producer_config(connection(options))
    assert (consumer["fetch.wait.max.ms"], consumer["max.poll.interval.ms"]) == ("5", "60000")
    assert producer["linger.ms"] == "9"
    assert consumer["socket.timeout.ms"] == producer["socket.timeout.ms"] == "7000"
    assert admin_config(connection(options))["socket.timeout.ms"] == "7000"


def test_security_reaches_every_client() -> None:
    security = {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u"}
    for config in (
        consumer_config(connection(security=security), MEMBERSHIPS["classic"]),
        producer_config(connection(security=security)),
        admin_config(connection(security=security)),
    ):
        assert security.items() <= config.items()


# ---- What the clients say to it --------------------------------------------------------------------------------------


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What librdkafka logs about the configuration."""
    caplog.set_level(logging.DEBUG, logger="librdkafka")
    return caplog


def construct(kind: str, config: dict[str, object]) -> None:
    """Make a client and let it say what it has to say about its configuration."""
    client = {"consumer": Consumer, "producer": Producer, "admin": AdminClient}[kind](config)
    client.poll(0.05)
    if kind == "consumer":
        client.close()


def said(complaints: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in complaints.records if "CONFWARN" in record.getMessage()]


def test_a_misplaced_option_would_be_noticed_by_these_tests(complaints: pytest.LogCaptureFixture) -> None:
    construct("consumer", consumer_config(connection(), MEMBERSHIPS["classic"]) | {"batch.size": 5000})
    assert any("batch.size" in line for line in said(complaints))


@pytest.mark.parametrize("membership", MEMBERSHIPS.values(), ids=list(MEMBERSHIPS))
def test_the_consumer_is_made_without_complaint(complaints: pytest.LogCaptureFixture, membership: Membership) -> None:
    construct("consumer", consumer_config(connection(), membership))
    assert said(complaints) == []


def test_the_producer_and_the_admin_client_are_made_without_complaint(complaints: pytest.LogCaptureFixture) -> None:
    construct("producer", producer_config(connection()))
    construct("admin", admin_config(connection()))
    assert said(complaints) == []


@pytest.mark.parametrize("membership", MEMBERSHIPS.values(), ids=list(MEMBERSHIPS))
def test_options_of_one_client_are_kept_from_the_others(
    complaints: pytest.LogCaptureFixture, membership: Membership
) -> None:
    options = {
        "fetch.min.bytes": "2",
        "max.partition.fetch.bytes": "2000000",
        "queued.min.messages": "10",
        "max.poll.interval.ms": "60000",
        "auto.commit.interval.ms": "500",
        "linger.ms": "1",
        "batch.size": "50000",
        "compression.level": "3",
        "queue.buffering.max.messages": "10",
        "sticky.partitioning.linger.ms": "10",
        "request.timeout.ms": "20000",
        "message.max.bytes": "2000000",
    }
    construct("consumer", consumer_config(connection(options), membership))
    construct("producer", producer_config(connection(options)))
    construct("admin", admin_config(connection(options)))
    assert said(complaints) == []


def test_an_unknown_option_is_an_error_of_every_client() -> None:
    for kind, config in (
        ("consumer", consumer_config(connection({"no.such.option": "s3cret"}), MEMBERSHIPS["classic"])),
        ("producer", producer_config(connection({"no.such.option": "s3cret"}))),
    ):
        with pytest.raises(KafkaException, match=r"no\.such\.option"):
            construct(kind, config)


def scopes(folder: Path) -> dict[str, str]:
    """Every property of the installed librdkafka, and whose it is: C, P or *."""
    library, libc = _load(), ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(str(folder / "properties").encode(), b"w"))
    library.rd_kafka_conf_properties_show(file)
    libc.fclose(file)
    rows = ([cell.strip() for cell in line.split("|")] for line in (folder / "properties").read_text().splitlines())
    found = {row[0]: row[1] for row in rows if len(row) > 3 and row[1] in ("C", "P", "*")}
    assert len(found) > 150
    return found


def test_every_property_of_librdkafka_reaches_the_clients_that_understand_it_and_no_other(tmp_path: Path) -> None:
    handled_elsewhere = {"consume_cb", "rebalance_cb", "offset_commit_cb", "dr_cb", "dr_msg_cb", "msg_order_cmp"}
    for name, scope in scopes(tmp_path).items():
        try:
            options = checked_options({name: "x"})
        except ConfigError:
            continue
        if name in handled_elsewhere:
            continue
        in_consumer = consumer_config(connection(options), MEMBERSHIPS["consumer"]).get(name) == "x"
        in_producer = producer_config(connection(options)).get(name) == "x"
        if scope == "C":
            assert (in_consumer, in_producer) == (True, False), name
        elif scope == "P":
            assert (in_consumer, in_producer) == (False, True), name
        else:
            assert in_consumer or in_producer, name


def described(folder: Path) -> str:
    """librdkafka's own list of its properties."""
    scopes(folder)
    return (folder / "properties").read_text()


def test_no_other_name_of_a_denied_option_is_let_through(tmp_path: Path) -> None:
    """Its list says which names are aliases; both names are denied, or neither is."""
    aliases = re.findall(r"^([\w.]+) +\|.*?Alias for `([\w.]+)`", described(tmp_path), re.MULTILINE)
    assert ("acks", "request.required.acks") in aliases
    assert ("sasl.mechanism", "sasl.mechanisms") in aliases
    assert {(name, real) for name, real in aliases if (name in DENIED) is not (real in DENIED)} == set()


def test_options_of_topics_have_no_second_name(tmp_path: Path) -> None:
    """librdkafka takes ``topic.acks`` for ``acks``, without saying so in its list."""
    rows = described(tmp_path).partition("## Topic configuration properties")[2].splitlines()
    names = [line.split("|")[0].strip() for line in rows if line.count("|") > 3]
    assert {"message.timeout.ms", "compression.codec"} <= set(names)
    for name in names:
        for spelling in (f"topic.{name}", f" TOPIC.{name}"):
            with pytest.raises(ConfigError):
                checked_options({spelling: "x"})
    checked_options({"topic.metadata.refresh.interval.ms": "10000"})  # is not an option of topics


def test_what_is_not_told_in_the_list_is_denied_or_harmless(tmp_path: Path) -> None:
    """Found in the library by trying every string in it as a name; a new version is to be tried again."""
    hidden = {"enable_sasl_queue", "test.mock.num.brokers", "test.mock.broker.rtt"}
    harmless = {"client.software.name", "client.software.version", "enable.sparse.connections"}
    library = _load()
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    conf, error = ctypes.c_void_p(library.rd_kafka_conf_new()), ctypes.create_string_buffer(512)
    shown = described(tmp_path)
    for name in hidden | harmless:
        assert library.rd_kafka_conf_set(conf, name.encode(), b"1", error, 512) != -2, f"{name} is unknown by now"
        assert f"\n{name} " not in shown
    library.rd_kafka_conf_destroy(conf)
    for name in hidden:
        with pytest.raises(ConfigError):
            checked_options({name: "1"})


def test_every_option_that_takes_no_text_is_denied(tmp_path: Path) -> None:
    typed = re.findall(r"^([\w.]+) +\|.*\*Type: (?:see dedicated API|pointer)\*", described(tmp_path), re.MULTILINE)
    assert "socket_cb" in typed
    for name in typed:
        with pytest.raises(ConfigError):
            checked_options({name: "x"})


# ---- The settings themselves -----------------------------------------------------------------------------------------


def test_settings_are_frozen_and_hide_what_may_be_secret() -> None:
    given = connection({"ssl.key.password": "s3cret"}, {"sasl.password": "s3cret"})
    assert "s3cret" not in repr(given)
    with pytest.raises(FrozenInstanceError):
        given.bootstrap_servers = "elsewhere"  # type: ignore[misc]


def test_a_membership_stops_rather_than_skips_unless_told_otherwise() -> None:
    membership = Membership("group", "in")
    assert membership.out_of_range == "stop"
    assert membership.start == StartPosition("earliest")
    assert membership.protocol == "classic"
