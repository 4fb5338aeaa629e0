"""The settings of the Kafka connection."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from consumer.kafka.config import checked_options
from consumer.settings.group import Group
from consumer.settings.security import complaints, wrong_url

BROKER = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/,\s]+)):(?P<port>[0-9]{1,5})")
TOPIC_NAME = r"^[A-Za-z0-9._-]{1,249}$"
_TIMESTAMP: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def _position(value: object) -> object:
    if value in ("earliest", "latest"):
        return value
    try:
        return _TIMESTAMP.validate_python(value)
    except ValidationError:
        raise ValueError("give earliest, latest, or a time with its zone such as 2026-01-31T18:00:00Z") from None


StartPosition = Annotated[Literal["earliest", "latest"] | datetime, BeforeValidator(_position)]
SecurityProtocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]


class KafkaSettings(Group):
    """Where comments come from and labels go to."""

    secrets = ("sasl_password", "ssl_key_password", "oauth_client_secret")

    bootstrap_servers: str = Field(
        description="Brokers to start from, HOST:PORT with commas between; two or three are enough."
    )
    group_id: str = Field(
        default="comment-consumer",
        min_length=1,
        description="Consumer group; every copy shares it, and another name reads everything anew.",
    )
    input_topic: str = Field(
        default="comments",
        pattern=TOPIC_NAME,
        description="Topic to read comment events from. Its partitions bound how many copies can work.",
    )
    output_topic: str = Field(
        default="labeled-comments",
        pattern=TOPIC_NAME,
        description="Topic for labeled events. As many partitions as the input is a good start.",
    )
    dead_letter_topic: str = Field(
        default="comments-dead-letters",
        pattern=TOPIC_NAME,
        description="Topic for records that cannot be labeled. One partition and a long retention.",
    )
    client_id: str = Field(
        default="comment-consumer",
        description="Name of this client in the brokers' logs and quotas. The deployment's name.",
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic", description="Rebalance protocol; consumer (KIP-848) needs brokers of version 4.0 or later."
    )
    group_instance_id: str | None = Field(
        default=None,
        description="Static membership: a name that outlives a restart, unique in the group. For StatefulSets only.",
    )
    start_position: StartPosition = Field(
        default="earliest",
        description="Where a group without offsets begins: earliest, latest, or an ISO time with its zone. "
        "earliest loses nothing; latest to skip a history that nobody moderates.",
    )
    out_of_range: Literal["stop", "earliest", "latest"] = Field(
        default="stop",
        description="When committed offsets were deleted before they were read: stop, or go on from there. stop, "
        "because comments were lost: somebody should know.",
    )
    security_protocol: SecurityProtocol = Field(
        default="plaintext",
        description="How to talk to the brokers: ssl or sasl_ssl over any network, plaintext on one host.",
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Allow comments and passwords to cross the network unencrypted. Leave off if TLS is there.",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None,
        description="How to log in, with sasl_plaintext and sasl_ssl: OAUTHBEARER with tokens of an identity provider "
        "(OIDC), else SCRAM-SHA-512 where there is a choice.",
    )
    sasl_username: str | None = Field(
        default=None, description="User name to log in with. One for this program alone, so that its rights can be few."
    )
    sasl_password: SecretStr | None = Field(default=None, description="Password to log in with; better as a file.")
    sasl_password_file: Path | None = Field(
        default=None,
        description="File that holds the password. The best way in a container: a mounted secret, readable by this "
        "user alone. A changed file is used for the next login, without a restart.",
    )
    oauth_token_endpoint: str | None = Field(
        default=None,
        description="Where the identity provider gives tokens for client credentials, an https URL; with "
        "sasl_mechanism OAUTHBEARER.",
    )
    oauth_client_id: str | None = Field(
        default=None,
        description="Client id at the identity provider. One for this program alone, so that its rights can be few.",
    )
    oauth_client_secret: SecretStr | None = Field(default=None, description="Secret of that client; better as a file.")
    oauth_client_secret_file: Path | None = Field(
        default=None,
        description="File that holds the client's secret. Better than the secret itself; read at the start: librdkafka "
        "cannot change it, so a new one needs a restart.",
    )
    oauth_scope: str | None = Field(
        default=None,
        description="Scope to ask for, several with spaces between; only if the identity provider wants it.",
    )
    oauth_extensions: str | None = Field(
        default=None,
        description="SASL extensions for the brokers, NAME=VALUE with commas between; for services that ask for them, "
        "such as a logical cluster's name.",
    )
    oauth_ca_location: Path | None = Field(
        default=None,
        description="Certificates to trust at the token endpoint, PEM; the system's own if not given. Needed for a "
        "private authority; ssl_ca_location is for the brokers only.",
    )
    ssl_ca_location: Path | None = Field(
        default=None,
        description="Certificates to trust, PEM; the system's own if not given. Needed for a private authority. Read "
        "at the start, like all certificates and keys: librdkafka cannot change them, so new ones need a restart.",
    )
    ssl_certificate_location: Path | None = Field(
        default=None,
        description="This client's certificate, PEM, where the brokers ask for one (mTLS). Restart the program when it "
        "was renewed, before the old one expires.",
    )
    ssl_key_location: Path | None = Field(
        default=None, description="This client's private key, PEM; goes with the certificate."
    )
    ssl_key_password: SecretStr | None = Field(
        default=None, description="Password of the private key; better as a file."
    )
    ssl_key_password_file: Path | None = Field(
        default=None, description="File that holds the private key's password. Better than the password itself."
    )
    extra: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        repr=False,
        description="Other librdkafka options by their own names, passed on as given. Leave alone what is not "
        "understood; those that the guarantee rests on are refused.",
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names of ``bootstrap_servers``."""
        matches = (BROKER.fullmatch(server.strip()) for server in self.bootstrap_servers.split(","))
        return tuple(match["v6"] or match["host"] for match in matches if match)

    @field_validator("bootstrap_servers")
    @classmethod
    def _are_brokers(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("give HOST:PORT without a protocol before it: that is security_protocol's to say")
        for server in value.split(","):
            match = BROKER.fullmatch(server.strip())
            if match is None or not 0 < int(match["port"]) < 65536:
                raise ValueError("give HOST:PORT, or several with commas between")
        return value

    @field_validator("extra")
    @classmethod
    def _are_allowed(cls, value: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        checked_options(dict.fromkeys(value, ""))
        return value

    @field_validator("ssl_ca_location", "ssl_certificate_location", "ssl_key_location", "oauth_ca_location")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.exists():
            raise ValueError(f"no such file: {value}")
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError(f"this user may not read it: {value}")
        return value

    @field_validator("oauth_token_endpoint")
    @classmethod
    def _is_endpoint(cls, value: str | None) -> str | None:
        if value is not None and (wrong := wrong_url(value)) is not None:
            raise ValueError(wrong)
        return value

    @field_validator("sasl_password", "ssl_key_password", "oauth_client_secret")
    @classmethod
    def _is_not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().strip():
            raise ValueError("is empty")
        return value

    @model_validator(mode="after")
    def _is_safe_and_complete(self) -> Self:
        topics = (self.input_topic, self.output_topic, self.dead_letter_topic)
        if len(set(topics)) < len(topics):
            raise ValueError("input_topic, output_topic and dead_letter_topic must be three different topics")
        for complaint in complaints(self):
            raise ValueError(complaint)
        return self
