"""A new password reaches the clients; other secrets that change are told; files that all may read are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from consumer.service import kafka
from consumer.service.health import Health
from consumer.service.lifecycle import Ending
from consumer.service.metrics import Metrics
from consumer.service.secret_rotation import SecretRotation, exposed_files
from consumer.settings.kafka import KafkaSettings

OLD, NEW = "0ld-s3cret", "n3w-s3cret"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(OLD)
    path.chmod(0o600)
    return path


def scram(file: Path, **more: object) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": "localhost:1",
            "security_protocol": "sasl_ssl",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "labels",
            "sasl_password_file": file,
        }
        | more
    )


def test_a_new_password_is_handed_on_once_and_never_logged(file: Path) -> None:
    used: list[tuple[str, str]] = []
    rotation = SecretRotation(scram(file), lambda *login: used.append(login))
    with capture_logs() as logs:
        rotation.look()
        file.write_text(NEW)
        for _ in range(4):
            rotation.look()
    assert used == [("labels", NEW)]
    assert [line["log_level"] for line in logs] == ["info"]
    assert OLD not in str(logs)
    assert NEW not in str(logs)


@pytest.mark.parametrize("spoil", [lambda f: f.write_text(""), lambda f: f.unlink(), lambda f: f.write_bytes(b"\xff")])
def test_a_file_without_a_password_is_told_and_the_old_one_goes_on(file: Path, spoil) -> None:
    used: list[tuple[str, str]] = []
    rotation = SecretRotation(scram(file), lambda *login: used.append(login))
    spoil(file)
    with capture_logs() as logs:
        rotation.look()
    assert used == []
    assert [line["log_level"] for line in logs] == ["warning"]
    assert logs[0]["setting"] == "kafka.sasl_password_file"


def test_what_the_client_cannot_change_asks_for_a_restart(tmp_path: Path, file: Path) -> None:
    settings = scram(
        file,
        sasl_mechanism="OAUTHBEARER",
        sasl_username=None,
        sasl_password_file=None,
        oauth_token_endpoint="https://provider.example/token",
        oauth_client_id="labels",
        oauth_client_secret_file=file,
    )
    used: list[tuple[str, str]] = []
    rotation = SecretRotation(settings, lambda *login: used.append(login))
    file.write_text(NEW)
    with capture_logs() as logs:
        for _ in range(3):
            rotation.look()
    assert used == []
    (line,) = logs
    assert "restart" in line["event"]
    assert line["setting"] == "kafka.oauth_client_secret_file"


def test_a_password_that_is_no_file_is_not_watched() -> None:
    settings = scram(Path("unused"), sasl_password_file=None, sasl_password=OLD)
    rotation = SecretRotation(settings, lambda *login: pytest.fail("nothing changed"))
    rotation.look()


def test_files_that_everybody_may_read_are_named(file: Path, tmp_path: Path) -> None:
    assert exposed_files(scram(file)) == []
    file.chmod(0o644)
    certificate, key = tmp_path / "c", tmp_path / "k"
    for path in (certificate, key):
        path.write_text("x")
        path.chmod(0o644)
    settings = scram(file, ssl_certificate_location=certificate, ssl_key_location=key)
    assert exposed_files(settings) == [("kafka.sasl_password_file", str(file)), ("kafka.ssl_key_location", str(key))]


def test_a_new_password_reaches_every_client_of_the_connection(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients are real ones; what they are told is written down on its way."""
    told: list[tuple[str, str, str]] = []

    class Telling:
        def __init__(self, client: object, name: str) -> None:
            self._client, self._name = client, name

        def __getattr__(self, name: str) -> object:
            return getattr(self._client, name)

        def set_sasl_credentials(self, user: str, password: str) -> None:
            self._client.set_sasl_credentials(user, password)  # type: ignore[attr-defined]
            told.append((self._name, user, password))

    monkeypatch.setattr(kafka, "REFRESH", 0.0)
    monkeypatch.setattr(kafka, "PROBE_TIMEOUT", 0.01)
    metrics = Metrics(CollectorRegistry())
    connection = kafka.KafkaConnection(scram(file), metrics, Health(lambda: 0.0), Ending(1.0))
    connection._kafka_source._consumer = Telling(connection._kafka_source._consumer, "consumer")
    connection._kafka_sink._producer = Telling(connection._kafka_sink._producer, "producer")
    assert connection._reachable() is False  # makes the probe
    connection._admin = Telling(connection._admin, "probe")
    try:
        file.write_text(NEW)
        connection.refresh()
        connection.refresh()
    finally:
        connection.close(5)
    assert told == [(name, "labels", NEW) for name in ("consumer", "producer", "probe")]
    assert connection._connection.security["sasl.password"] == NEW
    assert NEW not in repr(connection._connection)
