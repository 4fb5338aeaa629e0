"""Which settings of the Kafka connection go together, and how plain text is kept on this host. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from consumer.kafka.hosts import is_local

if TYPE_CHECKING:
    from consumer.settings.kafka import KafkaSettings

# With these the token is asked for in another way than by client id and secret.
_OTHER_GRANTS = ("sasl.oauthbearer.grant.type", "sasl.oauthbearer.metadata.authentication.type")


def wrong_url(url: str) -> str | None:
    """What is wrong with the address of a token endpoint, or ``None``."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or any(sign <= " " for sign in url):
        return "give an https URL"
    if parts.username is not None or parts.password is not None or parts.query:
        return (
            "a URL with a user, a password or a query in it would be logged; give oauth_client_id and "
            "oauth_client_secret"
        )
    if parts.scheme == "http" and not is_local(parts.hostname):
        return "the client secret would cross the network in plain text: use https"
    return None


def complaints(kafka: KafkaSettings) -> Iterator[str]:
    """What does not go together, one line each."""
    protocol = kafka.security_protocol
    plain = protocol in ("plaintext", "sasl_plaintext")
    if plain and not kafka.allow_plaintext and not all(map(is_local, kafka.hosts)):
        yield (
            f"security_protocol is {protocol} and the brokers are not on this host: use ssl or "
            "sasl_ssl, or say kafka.allow_plaintext=true if the network is yours alone"
        )
    yield from _login(kafka)
    yield from _token(kafka)
    if (kafka.ssl_certificate_location is None) != (kafka.ssl_key_location is None):
        yield "ssl_certificate_location and ssl_key_location go together"
    elif kafka.ssl_key_password is not None and kafka.ssl_key_location is None and "ssl.key.pem" not in kafka.extra:
        yield "ssl_key_password needs ssl_key_location"
    if plain and (kafka.ssl_certificate_location or kafka.ssl_ca_location):
        yield "ssl settings need security_protocol ssl or sasl_ssl"


def _login(kafka: KafkaSettings) -> Iterator[str]:
    by_token = kafka.sasl_mechanism == "OAUTHBEARER"
    named = kafka.sasl_username is not None or kafka.sasl_password is not None
    if not kafka.security_protocol.startswith("sasl"):
        if named or kafka.sasl_mechanism is not None:
            yield "sasl settings need security_protocol sasl_ssl (or sasl_plaintext)"
    elif kafka.sasl_mechanism is None:
        yield f"{kafka.security_protocol} needs sasl_mechanism, and what that needs"
    elif by_token and named:
        yield "sasl_mechanism OAUTHBEARER logs in with a token: leave out sasl_username and sasl_password"
    elif not by_token and (not kafka.sasl_username or kafka.sasl_password is None):
        yield f"sasl_mechanism {kafka.sasl_mechanism} needs sasl_username and sasl_password (or sasl_password_file)"


def _token(kafka: KafkaSettings) -> Iterator[str]:
    needed = {
        "oauth_token_endpoint": kafka.oauth_token_endpoint,
        "oauth_client_id": kafka.oauth_client_id,
        "oauth_client_secret": kafka.oauth_client_secret,
    }
    given = [name for name, value in needed.items() if value is not None]
    others = {
        "oauth_scope": kafka.oauth_scope,
        "oauth_extensions": kafka.oauth_extensions,
        "oauth_ca_location": kafka.oauth_ca_location,
    }
    given += [name for name, value in others.items() if value is not None]
    if kafka.sasl_mechanism != "OAUTHBEARER":
        if given:
            yield f"{given[0]} needs sasl_mechanism OAUTHBEARER"
        return
    missing = [name for name, value in needed.items() if not value]
    if missing and not any(option in kafka.extra for option in _OTHER_GRANTS):
        yield f"sasl_mechanism OAUTHBEARER needs {', '.join(missing)}"
    if kafka.oauth_ca_location is not None and not (kafka.oauth_token_endpoint or "").startswith("https:"):
        yield "oauth_ca_location needs an oauth_token_endpoint that begins with https:"
