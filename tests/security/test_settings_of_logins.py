"""Which settings of a login go together, what is refused, and how plain text is kept on this host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from consumer.kafka.hosts import is_local
from consumer.service.kafka import connection_of
from consumer.settings import Settings
from consumer.settings.kafka import KafkaSettings
from consumer.settings.loading import RUN, BadSettings, build, load, read_layers
from consumer.settings.security import wrong_url
from consumer.settings.shown import HIDDEN, as_toml, show_settings

ENDPOINT = "https://provider.example/token"
SCRAM = {
    "security_protocol": "sasl_ssl",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "labels",
    "sasl_password": "hunter2",
}
TOKEN = {
    "security_protocol": "sasl_ssl",
    "sasl_mechanism": "OAUTHBEARER",
    "oauth_token_endpoint": ENDPOINT,
    "oauth_client_id": "labels",
    "oauth_client_secret": "hunter2",
}
EXTRA_GRANT = {"sasl.oauthbearer.grant.type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}


def made(servers: str = "one.example:9093", **settings: object) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": servers} | settings)


def refused(servers: str = "one.example:9093", **settings: object) -> str:
    with pytest.raises(ValidationError) as refusal:
        made(servers, **settings)
    (error,) = refusal.value.errors(include_input=False, include_context=False)
    assert "hunter2" not in str(refusal.value) + repr(refusal.value)
    return f"{'.'.join(map(str, error['loc']))}: {error['msg'].removeprefix('Value error, ')}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("content")
    return path


class TestTogether:
    @pytest.mark.parametrize(
        "settings",
        [
            {"security_protocol": "ssl"},
            SCRAM,
            SCRAM | {"sasl_mechanism": "PLAIN"},
            SCRAM | {"security_protocol": "sasl_plaintext", "allow_plaintext": True},
            TOKEN,
            TOKEN | {"oauth_scope": "a b", "oauth_extensions": "a=b"},
            TOKEN | {"oauth_token_endpoint": "http://localhost:8080/token"},
            TOKEN | {"oauth_token_endpoint": "http://[::1]:8080/token"},
            {"security_protocol": "sasl_ssl", "sasl_mechanism": "OAUTHBEARER", "extra": EXTRA_GRANT},
        ],
    )
    def test_what_goes_together_is_taken(self, settings: dict[str, object]) -> None:
        made(**settings)

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"security_protocol": "sasl_ssl"}, "sasl_ssl needs sasl_mechanism"),
            (SCRAM | {"sasl_username": None}, "SCRAM-SHA-512 needs sasl_username and sasl_password"),
            (SCRAM | {"sasl_password": None}, "SCRAM-SHA-512 needs sasl_username and sasl_password"),
            (SCRAM | {"sasl_username": ""}, "needs sasl_username"),
            (SCRAM | {"sasl_password": " "}, "sasl_password: is empty"),
            (SCRAM | {"security_protocol": "ssl"}, "sasl settings need security_protocol sasl_ssl"),
            (SCRAM | {"oauth_scope": "x"}, "oauth_scope needs sasl_mechanism OAUTHBEARER"),
            (SCRAM | {"oauth_client_secret": "hunter2"}, "oauth_client_secret needs sasl_mechanism OAUTHBEARER"),
            (TOKEN | {"sasl_username": "labels"}, "leave out sasl_username and sasl_password"),
            (TOKEN | {"sasl_password": "hunter2"}, "leave out sasl_username and sasl_password"),
            (TOKEN | {"oauth_client_id": None}, "OAUTHBEARER needs oauth_client_id"),
            (TOKEN | {"oauth_client_secret": None}, "OAUTHBEARER needs oauth_client_secret"),
            (TOKEN | {"oauth_token_endpoint": None}, "OAUTHBEARER needs oauth_token_endpoint"),
            (TOKEN | {"oauth_client_secret": ""}, "oauth_client_secret: is empty"),
            (TOKEN | {"oauth_token_endpoint": "http://provider.example/token"}, "in plain text: use https"),
            (TOKEN | {"oauth_token_endpoint": "http://localhost.evil.example/token"}, "in plain text: use https"),
            ({"security_protocol": "ssl", "ssl_key_password": "hunter2"}, "ssl_key_password needs ssl_key_location"),
            ({"sasl_mechanism": "PLAIN", "security_protocol": "ssl"}, "sasl settings need security_protocol"),
        ],
    )
    def test_what_does_not_is_one_line(self, settings: dict[str, object], line: str) -> None:
        assert line in refused(**settings)

    def test_a_certificate_goes_with_its_key(self, file: Path) -> None:
        made(security_protocol="ssl", ssl_certificate_location=file, ssl_key_location=file)
        assert "go together" in refused(security_protocol="ssl", ssl_certificate_location=file)
        assert "need security_protocol ssl" in refused(
            "localhost:1", ssl_certificate_location=file, ssl_key_location=file
        )

    def test_an_authority_for_the_endpoint_needs_an_endpoint_with_tls(self, file: Path) -> None:
        made(**TOKEN, oauth_ca_location=file)
        local = TOKEN | {"oauth_token_endpoint": "http://localhost:1/token", "oauth_ca_location": file}
        assert "begins with https:" in refused(**local)

    def test_a_secret_in_a_file_is_as_good(self, file: Path) -> None:
        settings = made(**TOKEN | {"oauth_client_secret": None, "oauth_client_secret_file": file})
        assert settings.oauth_client_secret is not None
        assert settings.oauth_client_secret.get_secret_value() == "content"
        assert "content" not in repr(settings) + str(settings)

    @pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b"hunter2\xff", "is not UTF-8")])
    def test_a_file_without_a_secret_is_refused_by_its_setting(self, file: Path, content: bytes, why: str) -> None:
        file.write_bytes(content)
        assert f"sasl_password_file {why}" in refused(**SCRAM | {"sasl_password": None, "sasl_password_file": file})


@pytest.mark.parametrize(
    "url",
    [
        "provider.example/token",
        "ftp://provider.example/token",
        "https://",
        "https://a b/token",
        "https://x:99999/token",
        "https://labels:hunter2@provider.example/token",
        "http://127.0.0.1.evil.example/token",
        "http://localhost@evil.example/token",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_safe_token_endpoint_is_refused(url: str) -> None:
    assert wrong_url(url) is not None
    assert "hunter2" not in (wrong_url(url) or "")


class TestPlainText:
    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.255.255.254", "::1", "0:0:0::0:1"])
    def test_this_host(self, host: str) -> None:
        assert is_local(host)

    @pytest.mark.parametrize(
        "host",
        [
            "localhost.evil.example",
            "localhost.",
            "127.0.0.1.evil.example",
            "127.999.0.1",
            "127.1",
            "0177.0.0.1",
            "2130706433",
            "0.0.0.0",
            "::",
            "10.0.0.1",
            "fe80::1",
            "evil.example",
            "",
            "ⓛocalhost",
        ],
    )
    def test_any_other(self, host: str) -> None:
        assert not is_local(host)

    @pytest.mark.parametrize("protocol", ["plaintext", "sasl_plaintext"])
    @pytest.mark.parametrize(
        "servers", ["one.example:1", "localhost:1,one.example:1", "127.0.0.1.evil.example:1", "[fe80::1]:1", "[::]:1"]
    )
    def test_it_stays_on_this_host_with_and_without_a_login(self, protocol: str, servers: str) -> None:
        settings = {"security_protocol": protocol} | (
            {} if protocol == "plaintext" else {**SCRAM, "security_protocol": protocol}
        )
        assert "allow_plaintext=true" in refused(servers, **settings)
        made(servers, **settings, allow_plaintext=True)
        for local in ("localhost:1", "127.0.0.1:1,[::1]:1"):
            made(local, **settings)

    def test_the_clients_are_told_whether_it_must_stay(self) -> None:
        assert connection_of(made("localhost:1")).local_only
        assert not connection_of(made("localhost:1", allow_plaintext=True)).local_only
        assert not connection_of(made("localhost:1", security_protocol="ssl")).local_only

    @pytest.mark.parametrize("scheme", ["PLAINTEXT", "plaintext", "SSL", "SASL_SSL", "http"])
    def test_no_address_brings_a_protocol_of_its_own(self, scheme: str) -> None:
        assert "security_protocol's to say" in refused(f"{scheme}://one.example:9092", **SCRAM)
        assert "security_protocol's to say" in refused(f"one.example:1,{scheme}://localhost:9092", **SCRAM)

    @pytest.mark.parametrize(
        "option",
        ["security.protocol", "Security.Protocol", "sasl.mechanism", "sasl.mechanisms", "SASL.MECHANISMS ",
         "sasl.username", "sasl.password", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.method",
         "sasl.oauthbearer.client.credentials.client.secret", "enable.ssl.certificate.verification",
         "ssl.endpoint.identification.algorithm", "https.ca.location", "ssl.ca.location"],
    )  # fmt: skip
    def test_no_other_option_undoes_it(self, option: str) -> None:
        line = refused(**SCRAM, extra={option: "hunter2"})
        assert re.match(r"extra: the librdkafka option .* cannot be set", line)


SECRETS = {
    "--kafka.sasl-password": "hunter2",
    "--kafka.extra": '{"ssl.key.pem": "hunter2", "sasl.oauthbearer.assertion.private.key.passphrase": "hunter2", '
    '"ssl.keystore.password": "hunter2", "sasl.oauthbearer.config": "hunter2"}',
}


def test_config_show_hides_every_secret() -> None:
    flags = [
        "--kafka.bootstrap-servers",
        "one.example:1",
        "--model.source",
        "m",
        "--kafka.security-protocol",
        "sasl_ssl",
    ]
    flags += ["--kafka.sasl-mechanism", "SCRAM-SHA-512", "--kafka.sasl-username", "labels"]
    flags += [word for pair in SECRETS.items() for word in pair]
    layers = read_layers(Settings, flags, {}, RUN)
    settings = build(Settings, layers)
    shown = show_settings(settings, layers)
    assert "hunter2" not in repr(settings) + str(shown) + as_toml(shown)
    assert {each.name: each.value for each in shown}["kafka.oauth_client_secret"] is None
    assert {each.name: each.value for each in shown}["kafka.sasl_password"] == HIDDEN


@pytest.mark.parametrize("flag", ["--kafka.oauth-client-secret", "--kafka.sasl-password", "--kafka.ssl-key-password"])
def test_a_wrong_setting_beside_a_secret_does_not_show_it(flag: str) -> None:
    needed = ["--kafka.bootstrap-servers", "one.example:1", "--model.source", "m", flag, "hunter2"]
    with pytest.raises(BadSettings) as refusal:
        load(Settings, needed, {}, RUN)
    error: BaseException | None = refusal.value
    while error is not None:
        assert "hunter2" not in repr(error) + str(error)
        error = error.__cause__ or error.__context__
