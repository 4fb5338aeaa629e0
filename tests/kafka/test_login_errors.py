"""What librdkafka says about a login that fails, and what we say then. The texts are as it gave them (2.16.0)."""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from consumer.kafka.config import LIBRARY_LOG
from consumer.kafka.login_errors import ask_server, explain_login, explain_refused_option, first_explanation
from consumer.kafka.settings import Connection
from tests.support.certificates import Authority

TRANSPORT, AUTHENTICATION, TLS = KafkaError._TRANSPORT, KafkaError._AUTHENTICATION, KafkaError._SSL
AT = "sasl_ssl://localhost:9093/bootstrap: "
TOKEN = "Failed to acquire SASL OAUTHBEARER token: "
WITH_CERTIFICATE = {"ssl.certificate.location": "/c.crt"}
SCRAM = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "labels", "sasl.password": "hunter2"}
BEARER = {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.client.secret": "hunter2"}


def explained(code: int, said: str, security: dict[str, str] | None = None) -> str | None:
    return explain_login(KafkaError(code, said), Connection("localhost:9093", security=security or {}))


def alert(number: int) -> str:
    return (
        f"{AT}Receive failed: error:0A000412:SSL routines::some words: SSL alert number {number} (after 0ms in state X)"
    )


@pytest.mark.parametrize(
    ("code", "said", "security", "line"),
    [
        (TRANSPORT, alert(42), {}, "got none"),
        (TRANSPORT, alert(116), WITH_CERTIFICATE, "got none"),
        (TRANSPORT, alert(42), WITH_CERTIFICATE, "client certificate /c.crt: its authority is not one"),
        (TRANSPORT, alert(48), WITH_CERTIFICATE, "its authority is not one"),
        (TRANSPORT, alert(44), WITH_CERTIFICATE, "it was revoked"),
        (TRANSPORT, alert(45), WITH_CERTIFICATE, "it has expired"),
        (TRANSPORT, alert(46), WITH_CERTIFICATE, "openssl x509 -noout -enddate -in /c.crt"),
        (TRANSPORT, alert(49), WITH_CERTIFICATE, "do not let its owner in"),
        (TLS, f"{AT}SSL handshake failed: error:0A000102:unsupported protocol (after 1ms in state X)", {}, "TLS with"),
        (AUTHENTICATION, f"{AT}SASL authentication error: Authentication failed", SCRAM, "login by SCRAM-SHA-512"),
        (
            AUTHENTICATION,
            f"{AT}SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported "
            "mechanisms: SCRAM-SHA-512 (after 3ms in state AUTH_HANDSHAKE)",
            {"sasl.mechanism": "PLAIN"},
            "do not take kafka.sasl_mechanism=PLAIN; they take SCRAM-SHA-512",
        ),
        (AUTHENTICATION, f'{TOKEN}{{"error": "invalid_scope"}}', BEARER, "the token endpoint refuses: invalid_scope"),
        (AUTHENTICATION, f"{TOKEN}error adding trust anchors from file: /x", BEARER, "kafka.oauth_ca_location"),
        (AUTHENTICATION, f"{TOKEN}SSL certificate problem: self-signed", BEARER, "kafka.oauth_ca_location"),
    ],
)
def test_a_no_is_explained(code: int, said: str, security: dict[str, str], line: str) -> None:
    explanation = explained(code, said, security)
    assert explanation is not None
    assert line in explanation
    assert "\n" not in explanation
    assert "after " not in explanation
    assert "{" not in explanation
    assert "hunter2" not in explanation


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (TRANSPORT, f"{AT}Connect to ipv4#127.0.0.1:9093 failed: Connection refused"),
        (TRANSPORT, alert(80)),  # an internal error there
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"),
        (KafkaError._RESOLVE, f"{AT}Failed to resolve"),
        (AUTHENTICATION, f"{TOKEN}Failed to connect to provider.example:443 after 0 ms: Could not connect to server"),
        (AUTHENTICATION, f"{TOKEN}Could not resolve host: provider.example"),
        (AUTHENTICATION, f"{TOKEN}Operation timed out"),
        (AUTHENTICATION, f"{TOKEN}upstream connect error"),
    ],
)
def test_what_may_pass_by_itself_is_waited_for(code: int, said: str) -> None:
    assert explained(code, said, BEARER) is None


def test_what_a_token_endpoint_answers_is_not_repeated() -> None:
    said = explained(AUTHENTICATION, f'{TOKEN}{{"error": "denied", "error_description": "Basic aHVudGVyMg== hunter2"}}')
    assert said is not None
    assert "denied" in said
    assert "hunter2" not in said
    assert "aHVu" not in said


def test_nor_is_it_in_librdkafkas_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=LIBRARY_LOG.name):
        LIBRARY_LOG.error(
            "%s [%s] Failed to retrieve OIDC token from %s",
            "OIDC",
            "client",
            '"https://x/?s=hunter2": {"a":"hunter2"} (401)',
        )
        LIBRARY_LOG.error("FAIL %s", "something else")
    assert [record.getMessage() for record in caplog.records] == [
        "OIDC [client] Failed to retrieve OIDC token",
        "FAIL something else",
    ]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "ssl.ca.location failed: error:05800088:x509 certificate routines::no certificate or crl found",
            "no certificate",
        ),
        ("ssl.key.location failed: error:05800074:x509 certificate routines::key values mismatch", "belong together"),
        ("ssl.key.location failed: error:0A080009:SSL routines::PEM lib", "kafka.ssl_key_password"),
    ],
)
def test_an_option_that_librdkafka_refuses_is_explained_after_its_own_words(said: str, line: str) -> None:
    assert explain_refused_option(said).startswith(said)
    assert line in explain_refused_option(said)
    assert explain_refused_option("something else") == "something else"


def test_of_many_errors_the_first_that_is_a_no_is_told() -> None:
    errors = [
        KafkaError(TRANSPORT, "Connection refused"),
        KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"),
        KafkaError(AUTHENTICATION, f"{AT}Authentication failed (after 3ms in state X)"),
    ]
    connection = Connection("localhost:9093", security=SCRAM)
    assert "login by SCRAM-SHA-512" in (first_explanation(errors, connection) or "")
    assert first_explanation(errors[:2], connection) is None
    assert first_explanation([], connection) is None


# ---- Asking a server for its certificate -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ours() -> Authority:
    return Authority("ours")


@pytest.fixture(params=["good", "expired", "misnamed", "self-signed"])
def server(request: pytest.FixtureRequest, ours: Authority, tmp_path: Path) -> Iterator[tuple[str, int]]:
    issuer = Authority("another") if request.param == "self-signed" else ours
    names = ["another.example"] if request.param == "misnamed" else ["localhost"]
    pair = issuer.issue("server", names, expired=request.param == "expired").write(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    listening = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield request.param, listening.server_port
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_a_server_is_asked_what_is_wrong_with_its_certificate(
    server: tuple[str, int], ours: Authority, tmp_path: Path
) -> None:
    kind, port = server
    ca = tmp_path / "ours.crt"
    ca.write_bytes(ours.certificate)
    security = {"ssl.ca.location": str(ca)}
    said = ask_server("localhost", port, security)
    if kind == "good":
        assert said is None
        assert "is for another host name" in (ask_server("127.0.0.1", port, security) or "")
        assert "this system's store" in (ask_server("localhost", port, {}) or "")
    else:
        expected = {
            "expired": "has expired",
            "misnamed": "is for another host name",
            "self-signed": f"is not signed by an authority in .*{ca}",
        }
        assert re.search(expected[kind], said or "")


def test_a_server_that_is_not_there_tells_nothing() -> None:
    assert ask_server("127.0.0.1", 1, {}) is None
    assert ask_server("127.0.0.1", 1, {"ssl.ca.location": "/nowhere"}) is None
