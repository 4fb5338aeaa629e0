"""Why brokers and this client do not come to terms: certificates, passwords, tokens.

librdkafka tells a wrong host name and an unknown authority by the same words, and what is wrong with a client's
certificate only as the number of an alert (RFC 8446, section 6.2). The words that it uses were seen with 2.16.0.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from confluent_kafka import KafkaError

from consumer.kafka.settings import Connection

DIAGNOSIS_TIMEOUT: Final = 3.0  # seconds for a handshake of our own

_ALERT: Final = re.compile(r"SSL alert number (\d+)")
_SERVER: Final = re.compile(r"://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d+)")
_TOKEN: Final = "Failed to acquire SASL OAUTHBEARER token"
_TOKEN_ERROR: Final = re.compile(r'"error"\s*:\s*"([\w.-]{1,64})"')

# Java's brokers answer 42 where there is no certificate or one of an unknown authority, 46 where it has expired.
_ALERTS: Mapping[int, str] = MappingProxyType(
    {
        42: "its authority is not one that they trust, or it is not meant for clients",
        43: "it is of a kind that they do not take",
        44: "it was revoked",
        45: "it has expired",
        46: "most likely it has expired: see openssl x509 -noout -enddate -in {certificate}",
        48: "its authority is not one that they trust",
        49: "they do not let its owner in",
    }
)
_CERTIFICATE_NEEDED: Final = 116
_VERIFIED: Mapping[int, str] = MappingProxyType(  # OpenSSL's X509_V_ERR_*
    {
        9: "the certificate of {server} is not valid yet: look at the clocks",
        10: "the certificate of {server} has expired: renew it there",
        18: "{server} has a certificate that it signed itself: name that certificate as kafka.ssl_ca_location",
        19: "{unknown}",
        20: "{unknown}",
        21: "{unknown}",
        62: "{name}",
        63: "{name}",
        64: "{name}",
    }
)
_UNKNOWN: Final = "the certificate of {server} is not signed by an authority in {trusted}"
_NAME: Final = (
    "the certificate of {server} is for another host name: give kafka.bootstrap_servers as the certificate names them"
)
_MADE: Mapping[str, str] = MappingProxyType(
    {
        "no certificate or crl found": "the file holds no certificate in PEM",
        "key values mismatch": "certificate and private key do not belong together",
        "PEM lib": "the file holds no PEM, or kafka.ssl_key_password is missing or wrong",
        "bad decrypt": "kafka.ssl_key_password is wrong",
    }
)


def explain_login(error: KafkaError, connection: Connection) -> str | None:
    """One line if this error is a no to who we are or who they are; ``None`` if it may pass by itself.

    Asks the server that the error names for its certificate when it could not be verified: a short handshake.
    """
    code, said = error.code(), error.str()
    alert = _ALERT.search(said)
    if alert is not None:
        line = _explain_alert(int(alert[1]), connection.security)
        if line is not None:
            return line
    if code == KafkaError._SSL:
        if "certificate verify failed" in said or "could not be verified" in said:
            server = _SERVER.search(said)
            found = None if server is None else ask_server(server[1].strip("[]"), int(server[2]), connection.security)
            return found or f"the brokers' certificate cannot be verified: {_tidied(said)}"
        return f"TLS with the brokers fails: {_tidied(said)}"
    if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        return _explain_refusal(said, connection.security)
    return None


def first_explanation(errors: Iterable[KafkaError], connection: Connection) -> str | None:
    """The first line that one of these errors gives; clients repeat themselves, so equal ones are looked at once."""
    seen: set[tuple[int, str]] = set()
    for error in errors:
        what = error.code(), re.sub(r"\d+ms", "", error.str())
        if what not in seen and (line := explain_login(error, connection)) is not None:
            return line
        seen.add(what)
    return None


def explain_refused_option(said: str) -> str:
    """What librdkafka says when it refuses to make a client, with what is behind it where that is known."""
    behind = next((meaning for words, meaning in _MADE.items() if words in said), "")
    return f"{said}; {behind}" if behind else said


def _explain_alert(number: int, security: Mapping[str, str]) -> str | None:
    certificate = security.get("ssl.certificate.location")
    if number == _CERTIFICATE_NEEDED or (number in _ALERTS and certificate is None):
        return (
            "the brokers ask for a client certificate and got none: give kafka.ssl_certificate_location and "
            "kafka.ssl_key_location"
        )
    why = _ALERTS.get(number)
    if why is None:
        return None
    return f"the brokers refuse the client certificate {certificate}: {why.format(certificate=certificate)}"


def _explain_refusal(said: str, security: Mapping[str, str]) -> str | None:
    mechanism = security.get("sasl.mechanism", "")
    if _TOKEN in said:
        return _explain_token(said)
    if "Unsupported SASL mechanism" in said:
        there = said.partition("supported mechanisms:")[2].partition("(")[0].strip()
        return f"the brokers do not take kafka.sasl_mechanism={mechanism}; they take {there or 'none'}"
    if "not valid in current SASL state" in said:
        return "the brokers want no SASL login on this port: use kafka.security_protocol=ssl, or their port for SASL"
    if mechanism == "OAUTHBEARER":
        return f"the brokers refuse the token: {_tidied(said)}; check audience, issuer and scope on both sides"
    return f"the brokers refuse the login by {mechanism}: check the user name and its password"


def _explain_token(said: str) -> str | None:
    """A refusal by the identity provider; one that does not answer may come back, like a broker."""
    refused = _TOKEN_ERROR.search(said)
    if refused is not None:
        return (
            f"the token endpoint refuses: {refused[1]}; check kafka.oauth_client_id, its secret and kafka.oauth_scope"
        )
    if re.search(r"trust anchors|certificate|SSL peer|self.signed", said, re.IGNORECASE):
        return (
            "the token endpoint's certificate cannot be verified: name its authority by kafka.oauth_ca_location, and "
            "the endpoint as its certificate does"
        )
    return None


def ask_server(host: str, port: int, security: Mapping[str, str]) -> str | None:
    """Shake hands with a server as librdkafka did; say what is wrong with its certificate, ``None`` if nothing is."""
    trusted = security.get("ssl.ca.location")
    try:
        context = _trusting(trusted)
        with (
            socket.create_connection((host, port), timeout=DIAGNOSIS_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        meaning = _VERIFIED.get(error.verify_code)
        if meaning is None:
            return None
        server = f"{host}:{port}"
        known = f"kafka.ssl_ca_location={trusted}" if trusted else "this system's store: give kafka.ssl_ca_location"
        return meaning.format(
            server=server, unknown=_UNKNOWN.format(server=server, trusted=known), name=_NAME.format(server=server)
        )
    except (OSError, ValueError):
        return None


def _trusting(location: str | None) -> ssl.SSLContext:
    if location is None:
        return ssl.create_default_context()
    if Path(location).is_dir():
        return ssl.create_default_context(capath=location)
    return ssl.create_default_context(cafile=location)


def _tidied(said: str) -> str:
    """Without the address before and the timing after it."""
    said = re.sub(r"^\w+://\S+: ", "", said)
    return re.sub(r" \(after \d+ms in state \w+\)$", "", said)
