"""The settings of the Kafka connection, and how a secret comes from a file."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from consumer.kafka.config import checked_options

LOCAL_HOSTS = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
BROKER = re.compile(r"(?:\w+://)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/,\s]+)):(?P<port>\d{1,5})")
TOPIC_NAME = r"^[A-Za-z0-9._-]{1,249}$"
_TIMESTAMP: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


class Group(BaseModel):
    """A group of settings. ``secrets`` are fields that may also be given as a file, by ``<field>_file``."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    secrets: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        filled: dict[str, object] = dict(values)
        for name in cls.secrets:
            file = filled.get(f"{name}_file")
            if file is None:
                continue
            if filled.get(name) is not None:
                raise ValueError(f"give {name} or {name}_file, not both")
            try:
                filled[name] = Path(str(file)).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                raise ValueError(f"{name}_file cannot be read ({type(error).__name__}): {file}") from None
        return filled


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

    secrets = ("sasl_password", "ssl_key_password")

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
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None,
        description="How to log in, with sasl_plaintext and sasl_ssl; SCRAM-SHA-512 where there is a choice.",
    )
    sasl_username: str | None = Field(
        default=None, description="User name to log in with. One for this program alone, so that its rights can be few."
    )
    sasl_password: SecretStr | None = Field(default=None, description="Password to log in with; better as a file.")
    sasl_password_file: Path | None = Field(
        default=None, description="File that holds the password. The best way in a container: a mounted secret."
    )
    ssl_ca_location: Path | None = Field(
        default=None,
        description="Certificates to trust, PEM; the system's own if not given. Needed for a private authority.",
    )
    ssl_certificate_location: Path | None = Field(
        default=None, description="This client's certificate, PEM, where the brokers ask for one (mTLS)."
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

    @field_validator("ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.exists():
            raise ValueError(f"no such file: {value}")
        return value

    @model_validator(mode="after")
    def _is_safe_and_complete(self) -> Self:
        topics = (self.input_topic, self.output_topic, self.dead_letter_topic)
        if len(set(topics)) < len(topics):
            raise ValueError("input_topic, output_topic and dead_letter_topic must be three different topics")
        plain = self.security_protocol in ("plaintext", "sasl_plaintext")
        if plain and not self.allow_plaintext and not all(map(LOCAL_HOSTS.fullmatch, self.hosts)):
            raise ValueError(
                f"security_protocol is {self.security_protocol} and the brokers are not on this host: use ssl or "
                "sasl_ssl, or say kafka.allow_plaintext=true if the network is yours alone"
            )
        sasl = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        if self.security_protocol.startswith("sasl") and None in sasl and "sasl.mechanism" not in self.extra:
            raise ValueError(f"{self.security_protocol} needs sasl_mechanism, sasl_username and sasl_password")
        if not self.security_protocol.startswith("sasl") and any(sasl):
            raise ValueError("sasl settings need security_protocol sasl_ssl (or sasl_plaintext)")
        if (self.ssl_certificate_location is None) != (self.ssl_key_location is None):
            raise ValueError("ssl_certificate_location and ssl_key_location go together")
        if plain and (self.ssl_certificate_location or self.ssl_ca_location):
            raise ValueError("ssl settings need security_protocol ssl or sasl_ssl")
        return self
