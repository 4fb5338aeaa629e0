"""The settings of the classifier."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from consumer.classifier.preprocessing import preset
from consumer.settings.group import Group


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
