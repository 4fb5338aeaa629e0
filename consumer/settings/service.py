"""The settings of what the process tells about itself."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from consumer.settings.group import Group


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
        if url.scheme not in ("http", "https") or not url.hostname or url.username is not None or url.query:
            raise ValueError(
                "give http://HOST:PORT or https://HOST:PORT, without user name and query: they would be logged. "
                "Headers for the collector are given by OTEL_EXPORTER_OTLP_HEADERS"
            )
        return value if url.path.strip("/") else url._replace(path="/v1/traces").geturl()
