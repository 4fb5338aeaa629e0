"""Every setting of the program, in one model; :mod:`consumer.settings_loading` says where the values come from.

Making a :class:`Settings` here reads nothing from outside: no environment, no file, no command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from consumer.classifier.preprocessing import preset
from consumer.events.mapping import check_overrides
from consumer.events.shipped import check_name
from consumer.settings_catch_up import CatchUpSettings
from consumer.settings_kafka import Group, KafkaSettings
from consumer.settings_registry import RegistrySettings


def _split_names(value: object) -> object:
    """Names may come as one text with commas between them, as in an environment variable."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


class ModelSettings(Group):
    """The classifier. A preset fills these in for a known model (--preset)."""

    source: str = Field(
        min_length=1,
        description="Checkpoint folder, or Hugging Face hub id with model.revision. A folder in production: "
        "nothing to fetch.",
    )
    revision: str | None = Field(
        default=None, description="Commit of the hub's repository, 40 hex digits; for a folder, a name of your own."
    )
    label_names: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_split_names)] = Field(
        default=None,
        description="Label names in logit order, with commas between; the checkpoint's own if not given. Give "
        "them where the checkpoint says LABEL_0.",
    )
    problem_type: Literal["multi_label_classification", "single_label_classification"] | None = Field(
        default=None,
        description="Whether labels are independent or exclude each other; config.json's if not given. Set it where "
        "config.json is silent or wrong.",
    )
    preprocessing: str = Field(
        default="none",
        description="What is done to a text before the tokeniser, by preset name: none, or seed for models "
        "trained on texts prepared like the seed's. As the training did it; another one changes the "
        "scores.",
    )
    max_tokens: int | None = Field(
        default=None,
        ge=3,
        description="Longest input in tokens; longer texts are cut. The model's own limit if not given; a lower "
        "one bounds the time that a long comment takes.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where to run; auto takes a GPU if there is one. Name it where a missing GPU should be an error.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the forward pass; auto takes bfloat16 where the device has it. float32 "
        "where scores must be the same on every machine.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPU threads of the forward pass; all cores this process may use if not given. Fewer where others "
        "share the cores.",
    )
    allow_download: bool = Field(
        default=False,
        description="Fetch the pinned revision from the hub if it is not on disk. For a first try; not in production.",
    )

    @field_validator("preprocessing")
    @classmethod
    def _is_known(cls, value: str) -> str:
        preset(value)
        return value

    @field_validator("label_names")
    @classmethod
    def _are_distinct_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not all(value) or len(set(value)) < len(value)):
            raise ValueError("label names are not empty and all different")
        return value


class BatchSettings(Group):
    """When a batch closes: at the first of these bounds."""

    max_comments: int = Field(
        default=128, ge=1, description="Most comments in a batch. 64 to 256 on a CPU, 512 to 4096 on a GPU."
    )
    max_tokens: int = Field(
        default=2048,
        ge=1,
        description="Most tokens in a batch; about half a second of work on two CPU cores with a BERT of base size: "
        "more is no faster there, and slower to answer under load. 16384 and more on a GPU.",
    )
    max_wait: float = Field(
        default=0.05,
        ge=0,
        le=60,
        description="Seconds the oldest comment waits for company while the model is busy. Lower for latency under "
        "light load; under full load batches fill before it passes.",
    )
    idle_dispatch: bool = Field(
        default=True,
        description="Hand over what there is as soon as the model has nothing to do: lowest latency. Off for fewer, "
        "fuller batches on a GPU that others share.",
    )


class FlowSettings(Group):
    """How much may be on its way at once; at a limit, reading pauses."""

    max_records: int = Field(
        default=4096,
        ge=1,
        description="Records in flight: also the most that a crash makes anyone see twice. Some ten times "
        "batch.max_comments.",
    )
    max_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        description="Bytes in flight, as received. Bounds memory where comments are large.",
    )
    max_tokens: int = Field(
        default=128 * 1024,
        ge=1,
        description="Tokens in flight, by the bound known before tokenising. At least a few times batch.max_tokens.",
    )
    low_mark: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the limits at which a paused reader goes on. Lower pauses less often and refetches less.",
    )


class DeliverySettings(Group):
    """How long things may take to end."""

    drain_timeout: float = Field(
        default=25.0,
        gt=0,
        le=3600,
        description="Seconds from SIGTERM to the end of the process, at most; Kubernetes' grace period must be longer.",
    )
    revoke_timeout: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds a partition that moves away may wait for the batch that holds it. Some batches' "
        "time; longer delays the whole group's rebalance.",
    )


class CacheSettings(Group):
    """Results kept for texts that come again."""

    max_entries: int = Field(
        default=50_000,
        ge=0,
        description="Results kept, about 500 bytes each; 0 keeps none. Live chat repeats itself: a "
        "larger one saves forward passes as long as memory is there.",
    )


class PolicySettings(Group):
    """From scores to labels and actions: a policy file, or thresholds alone."""

    file: Path | None = Field(
        default=None,
        description="Policy file (.toml, .yaml): thresholds, actions, reasons, review bands, overrides by channel and "
        "language. Read again when it changes and on SIGHUP. Where labels are acted on; thresholds alone need none.",
    )
    name: str = Field(
        default="default",
        min_length=1,
        description="Name of this policy in the labeled events, beside its digest. One that people know it by.",
    )
    default_threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Score from which a label is flagged. Higher flags less; choose it by an evaluation.",
    )
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        description='Threshold (score) of single labels by name, such as {"Chat": 0.8}; wins over the default.',
    )

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        beside = [
            name
            for name in ("name", "default_threshold", "thresholds")
            if getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True)
        ]
        if self.file is not None and beside:
            raise ValueError(f"policy.file says all of it: leave out {' and '.join(beside)}, or say it in the file")
        return self


class EventSettings(Group):
    """What is read and written."""

    max_bytes: int = Field(
        default=262_144,
        ge=256,
        description="Largest value in bytes that is decoded; larger ones become dead letters. "
        "Well above the longest comment of the platform.",
    )
    mapping: str | None = Field(
        default=None,
        description="How somebody else's JSON is read: youtube-live-chat, twitch-eventsub-chat, kafka-connect-row, "
        "cloudevents-structured, cloudevents-binary, or the path of a TOML file of your own like those in "
        "consumer/events/mappings. Not for the program's own format.",
    )
    fields: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Where single fields stand in the input's JSON, over events.mapping, such as "
        '{"text": "snippet.displayMessage"}; of a list of paths the first that leads to something counts, and an empty '
        "path says that there is no such field. For what the mapping, or the program's own format, has elsewhere.",
    )
    include_text: bool = Field(
        default=False,
        description="Put the comment's text into the labeled event. It is personal data: only where readers need it.",
    )
    cloudevents: Literal["off", "binary"] = Field(
        default="off",
        description="Whether what is published are CloudEvents 1.0: binary adds their attributes as ce_ headers and "
        "leaves keys and values as they are. For routers and functions that ask for them.",
    )
    cloudevents_source: str = Field(
        default="/comment-consumer",
        pattern=r"^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$",
        max_length=255,
        description="Their source attribute (ce_source), a URI or a path. One for each Kafka cluster whose events meet "
        "somewhere: event ids name topic, partition and offset alone.",
    )

    @field_validator("mapping")
    @classmethod
    def _is_there(cls, value: str | None) -> str | None:
        if value is not None:
            check_name(value)
        return value

    @field_validator("fields")
    @classmethod
    def _are_paths(cls, value: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        check_overrides(value)
        return value


class DeadLetterSettings(Group):
    """What a dead letter holds, and how many are too many: then the program stops."""

    coordinates_only: bool = Field(
        default=False,
        description="Write where the record is and why it failed, without its key, value and headers: where dead "
        "letters may not hold personal data.",
    )
    model_run: int = Field(
        default=10,
        ge=0,
        description="Most texts in a row that may break the model; 0: any. A few: more is a broken model.",
    )
    model_ratio: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Largest share of the last texts that may break the model; 0: any. A few percent.",
    )
    decode_run: int = Field(
        default=0,
        ge=0,
        description="Most malformed records in a row; 0: any. Set it where a producer's mistake should stop this "
        "program.",
    )
    decode_ratio: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Largest share of malformed records among the last ones; 0: any. As dead_letters.decode_run.",
    )
    window: int = Field(
        default=1000,
        ge=1,
        description="How many of the last records (or texts) the shares are taken of. Larger is calmer and slower"
        " to stop.",
    )


class HttpSettings(Group):
    """The health and metrics endpoint: /livez, /readyz and /metrics."""

    enabled: bool = Field(
        default=True,
        description="Whether it is there at all. Kubernetes needs it; off where nobody asks and ports are scarce.",
    )
    host: str = Field(default="0.0.0.0", description="Address to listen on; 127.0.0.1 for this host alone.")
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes a free one. The one that the probes and the scraper are told.",
    )


class LogSettings(Group):
    """What is logged, to standard error. Never texts, keys or header values."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is shown. debug only to look for something."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="JSON lines or text; auto is text on a terminal. json where logs are collected."
    )
    summary_interval: float = Field(
        default=10.0, ge=1, description="Seconds between summary lines. Longer where logs are paid for by the line."
    )


class TracingSettings(Group):
    """OpenTelemetry traces; needs the extra: pip install "comment-consumer[tracing]". Off without an endpoint.

    Headers and certificates for the collector come from the exporter's own variables (OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_CERTIFICATE and so on), more about this process from OTEL_RESOURCE_ATTRIBUTES.
    """

    endpoint: str | None = Field(
        default=None,
        description="URL of a collector that takes OTLP over HTTP, such as http://localhost:4318; /v1/traces is added "
        "where no path is given. Best one on the same host or node.",
    )
    sample_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of the batches that are traced though nobody asked: those that hold a comment with a "
        "sampled traceparent always are. 1 to try it out, 0 to leave it to the producers of comments.",
    )
    service_name: str = Field(
        default="comment-consumer",
        min_length=1,
        description="Name of this service in the traces, service.name. One for each deployment.",
    )
    max_queue: int = Field(
        default=4096,
        ge=1,
        description="Most spans that wait for the collector; what comes on top is dropped and counted. A few seconds' "
        "worth: seven for each traced batch, one for each sampled comment.",
    )
    timeout: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds the collector may take to accept spans, retries included. Short: they are given up then.",
    )

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
            raise ValueError("give http://HOST:PORT or https://HOST:PORT, without a user name")
        return value if url.path.strip("/") else url._replace(path="/v1/traces").geturl()


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
        """Read nothing but the arguments; :func:`consumer.settings_loading.load_settings` reads the rest."""
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
