"""What every group of settings has: it is checked and frozen, and a secret of it may come from a file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from consumer.secret_files import SecretUnreadable, read_secret


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
                filled[name] = read_secret(Path(str(file)))
            except SecretUnreadable as error:
                raise ValueError(f"{name}_file {error}") from None
        return filled
