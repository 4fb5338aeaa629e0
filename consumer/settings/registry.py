"""The settings of the Confluent Schema Registry."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from consumer.kafka.hosts import is_local
from consumer.settings.group import Group


class RegistrySettings(Group):
    """Confluent Schema Registry (extra `registry`): labeled events are framed with the id of their JSON Schema.

    The subject is the output topic's name and `-value`. Framed comments are read with and without these settings.
    """

    secrets = ("password",)

    url: str | None = Field(
        default=None,
        description="Address of the registry, https://HOST:PORT, or several with commas between; no frames are "
        "written if not given. Give it where the readers of the output use a registry's deserialisers.",
    )
    username: str | None = Field(
        default=None, min_length=1, description="User name, or API key, to log in with; goes with a password."
    )
    password: SecretStr | None = Field(
        default=None, description="Password, or API secret, to log in with; better as a file."
    )
    password_file: Path | None = Field(
        default=None, description="File that holds the password. The best way in a container: a mounted secret."
    )
    ssl_ca_location: Path | None = Field(
        default=None,
        description="Certificates to trust, PEM; the usual ones if not given. Needed for a private authority.",
    )
    auto_register: bool = Field(
        default=False,
        description="Register the schema at the start if it is not there. Off where schemas are registered by whoever "
        "reviews them: print it with comment-consumer schemas show labeled.",
    )

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses; none if there is no registry."""
        return tuple(url.strip() for url in (self.url or "").split(",") if url.strip())

    @field_validator("url")
    @classmethod
    def _are_addresses(cls, value: str | None) -> str | None:
        for url in (value or "").split(",") if value is not None else ():
            try:
                parts = urlsplit(url.strip())
                good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                good = False
            if not good or parts.query or parts.fragment:
                raise ValueError("give https://HOST:PORT, or several with commas between")
            if "@" in parts.netloc:
                raise ValueError("a login does not belong into the address: use username and password_file")
        return value

    @field_validator("ssl_ca_location")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.exists():
            raise ValueError(f"no such file: {value}")
        return value

    @model_validator(mode="after")
    def _is_safe_and_complete(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password (or password_file) go together")
        if self.url is None and (self.username is not None or self.auto_register or self.ssl_ca_location is not None):
            raise ValueError("url is missing: without it there is no registry")
        plain = [parts for url in self.urls if (parts := urlsplit(url)).scheme == "http"]
        if self.password is not None and not all(is_local(parts.hostname or "") for parts in plain):
            raise ValueError("the password would cross the network unencrypted: use https")
        return self
