"""Every setting of the program, in one model; :mod:`consumer.settings.loading` says where the values come from.

Making a :class:`Settings` here reads nothing from outside: no environment, no file, no command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from consumer.settings.catch_up import CatchUpSettings
from consumer.settings.events import DeadLetterSettings, EventSettings, PolicySettings
from consumer.settings.kafka import KafkaSettings
from consumer.settings.model import ModelSettings
from consumer.settings.pace import BatchSettings, CacheSettings, DeliverySettings, FlowSettings
from consumer.settings.registry import RegistrySettings
from consumer.settings.service import HttpSettings, LogSettings, TracingSettings


class AnySettings(BaseSettings):
    """What every command's settings have: they are checked and frozen, and a file or a preset may give them."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="CONSUMER_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )

    config: Path | None = Field(
        default=None, description="TOML file with settings; flags and environment win over it. For what stays the same."
    )
    preset: str | None = Field(
        default=None,
        description="Shipped settings for a known model, such as tvl-general-layer; everything else wins over it.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but the arguments; :func:`consumer.settings.loading.load_settings` reads the rest."""
        return (init_settings,)


class Settings(AnySettings):
    """All settings of the consumer."""

    kafka: KafkaSettings
    model: ModelSettings
    batch: BatchSettings = BatchSettings()
    flow: FlowSettings = FlowSettings()
    delivery: DeliverySettings = DeliverySettings()
    catch_up: CatchUpSettings = CatchUpSettings()
    cache: CacheSettings = CacheSettings()
    policy: PolicySettings = PolicySettings()
    events: EventSettings = EventSettings()
    registry: RegistrySettings = RegistrySettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.flow.max_records < self.batch.max_comments:
            raise ValueError("flow.max_records must not be below batch.max_comments: no batch could ever fill")
        if self.flow.max_tokens < self.batch.max_tokens:
            raise ValueError("flow.max_tokens must not be below batch.max_tokens: no batch could ever fill")
        if self.delivery.revoke_timeout >= self.delivery.drain_timeout:
            raise ValueError("delivery.revoke_timeout must be below delivery.drain_timeout")
        return self
