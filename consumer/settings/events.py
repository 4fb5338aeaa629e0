"""The settings of what is read, decided and written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from consumer.events.mapping import check_overrides
from consumer.events.shipped import check_name
from consumer.settings.group import Group


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
