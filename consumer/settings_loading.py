"""Where settings come from: flag, then environment, then file, then preset, then default; the first one wins.

All of these name the same fields: ``--kafka.group-id``, ``CONSUMER_KAFKA__GROUP_ID``, and ``group_id`` under
``[kafka]`` in a TOML file. A name that is no setting is an error in each of them. Environment variables that start
with ``CONSUMER_`` but hold no ``__`` are not ours (Kubernetes makes ``CONSUMER_SERVICE_HOST``), but for
``CONSUMER_CONFIG`` and ``CONSUMER_PRESET``.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from argparse import ArgumentParser, HelpFormatter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    CliSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from consumer.settings import Settings

PREFIX = "CONSUMER_"
DELIMITER = "__"
PRESETS = resources.files("consumer.classifier") / "presets"


class BadSettings(Exception):
    """The settings are wrong: a line for each thing that is, naming the setting. Never holds a setting's value."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load_settings(arguments: Sequence[str], environment: Mapping[str, str], program: str) -> Settings:
    """Read the settings from everywhere.

    Args:
        arguments: The command line after the program's name.
        environment: Usually ``os.environ``.
        program: What the user typed to get here, for the help text.

    Raises:
        BadSettings: a name is unknown or a value is wrong.
        SystemExit: the help text was asked for and printed.
    """
    arguments = _flags(arguments)
    try:
        sources = (
            _Flags(arguments, program),
            _Environment(environment),
            _File(Settings),
            _Preset(Settings),
            # So that a setting missing from an absent group is named, and not its group.
            InitSettingsSource(Settings, {"kafka": {}, "model": {}}),
        )
        return Settings(**cast("dict[str, Any]", {"_build_sources": (sources, {})}))
    except ValidationError as error:
        raise BadSettings(
            [_explain(e["loc"], e["type"], e["msg"]) for e in error.errors(include_input=False)]
        ) from None
    except SettingsError as error:
        raise BadSettings([str(error).removeprefix("error parsing CLI: ")]) from None


def setting_names(model: type[BaseModel] = Settings, above: str = "") -> Iterator[str]:
    """The dotted name of every setting, such as ``kafka.group_id``."""
    for name, field in model.model_fields.items():
        group = _group(field)
        if group is None:
            yield above + name
        else:
            yield from setting_names(group, f"{above}{name}.")


def _group(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _no_setting(given: str, name: str, spell: str) -> str:
    """One line for a name that is no setting, with the one that was probably meant."""
    close = difflib.get_close_matches(name, list(setting_names()), n=1)
    meant = f"; did you mean {_spell(close[0], spell)}?" if close else ""
    return f"{given}: there is no such setting{meant}"


def _spell(name: str, spell: str) -> str:
    if spell == "flag":
        return "--" + name.replace("_", "-")
    return PREFIX + name.replace(".", DELIMITER).upper() if spell == "variable" else name


def _explain(location: Iterable[int | str], kind: str, message: str) -> str:
    name = ".".join(map(str, location))
    message = message.removeprefix("Value error, ")
    if kind == "missing":
        section, _, key = name.rpartition(".")
        return (
            f"{name} is missing: give {_spell(name, 'flag')}, {_spell(name, 'variable')}, "
            f"or {key} under [{section}] in the file named by --config"
        )
    return f"{name}: {message}" if name else message


# ---- Command line ----------------------------------------------------------------------------------------------------


def _flags(arguments: Sequence[str]) -> list[str]:
    """The arguments with every flag in kebab case.

    Raises:
        BadSettings: a flag is unknown. Done here because argparse would quote what follows it, maybe a password.
    """
    known = {name.replace("_", "-") for name in setting_names()} | {"help"}
    flags, wrong = [], []
    after_flag = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not argument.startswith("--"):
            if not after_flag and argument != "-h":
                wrong.append("an argument stands where a flag such as --kafka.group-id is expected")
            after_flag = False
            flags.append(argument)
            continue
        name = name[2:].replace("_", "-")
        if name not in known:
            wrong.append(_no_setting(f"--{name}", name.replace("-", "_"), "flag"))
        after_flag = not equals
        flags.append(f"--{name}{equals}{value}")
    if wrong:
        raise BadSettings(wrong)
    return flags


class _Help(HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=112)


class _Flags(CliSettingsSource[ArgumentParser]):
    """The command line, and the help text."""

    def __init__(self, arguments: list[str], program: str) -> None:
        super().__init__(
            Settings,
            cli_prog_name=program,
            cli_kebab_case=True,
            cli_exit_on_error=False,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_use_class_docs_for_groups=True,
            formatter_class=_Help,
        )
        self.root_parser.usage = f"{program} [--config FILE] [--preset NAME] [--GROUP.NAME VALUE ...]"
        self.root_parser.description = (
            "Read comments, label them, publish the labels, commit offsets only after. Every setting is also a "
            "variable (--kafka.group-id is CONSUMER_KAFKA__GROUP_ID) and a key in the file (group_id under [kafka]); "
            "flags win over variables, those over the file, the file over the preset."
        )
        self(args=arguments)

    def _metavar_format_recurse(self, obj: Any) -> str:  # noqa: ANN401
        plain = super()._metavar_format_recurse(obj)
        if plain.startswith("{"):
            return "{" + plain.replace("{", "").replace("}", "") + "}"
        if plain in _METAVARS.values():
            return plain
        return next((word for start, word in _METAVARS.items() if plain.startswith(start)), "TEXT")

    def _help_format(self, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        text = super()._help_format(*args, **kwargs)
        return re.sub(r" \(default(: None|: {}| factory: .*)\)$", "", text)


_METAVARS = {"int": "N", "float": "NUMBER", "bool": "true|false", "Path": "FILE", "dict": "JSON", "tuple": "NAMES"}


# ---- Environment -----------------------------------------------------------------------------------------------------


class _Environment(EnvSettingsSource):
    """Our variables out of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._ours = _variables(environment)
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._ours


def _variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    known = {name.replace(".", DELIMITER) for name in setting_names()}
    maps = {name.replace(".", DELIMITER) for name in ("kafka.extra", "policy.thresholds", "events.fields")}
    ours: dict[str, str | None] = {}
    wrong = []
    for variable, value in environment.items():
        if not variable.upper().startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        if name in known:
            if not value:
                continue
            if name in maps and not _is_object(value):
                wrong.append(f"{variable}: give a JSON object")
            ours[variable.lower()] = value
        elif DELIMITER in name:
            wrong.append(_no_setting(variable, name.replace(DELIMITER, "."), "variable"))
    if wrong:
        raise BadSettings(wrong)
    return ours


def _is_object(value: str) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


# ---- Files -----------------------------------------------------------------------------------------------------------


class _Toml(PydanticBaseSettingsSource):
    """A TOML file that a stronger source may name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the file is read as a whole."""
        raise NotImplementedError

    def _read(self, text: str, called: str) -> dict[str, Any]:
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadSettings([f"{called} is not TOML: {error}"]) from None
        wrong = [_no_setting(f"{name} in {called}", name, "key") for name in _unknown_keys(values, Settings)]
        if wrong:
            raise BadSettings(wrong)
        return values


def _unknown_keys(values: Mapping[str, Any], model: type[BaseModel], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            yield above + key
        elif (group := _group(field)) is not None and isinstance(value, dict):
            yield from _unknown_keys(value, group, f"{above}{key}.")


class _File(_Toml):
    """The file named by ``--config`` or ``CONSUMER_CONFIG``."""

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get("config")
        if path is None:
            return {}
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise BadSettings([f"config: {path} cannot be read ({type(error).__name__})"]) from None
        values = self._read(text, str(path))
        if "config" in values:
            raise BadSettings([f"config in {path}: a file cannot name another one"])
        return values


class _Preset(_Toml):
    """The shipped file named by ``--preset``, ``CONSUMER_PRESET`` or ``preset`` in the file."""

    def __call__(self) -> dict[str, Any]:
        name = self.current_state.get("preset")
        if name is None:
            return {}
        there = preset_names()
        if name not in there:
            raise BadSettings([f"preset: there is no {name!r}; there are: {', '.join(there) or 'none'}"])
        return self._read((PRESETS / f"{name}.toml").read_text(encoding="utf-8"), f"preset {name}")


def preset_names() -> list[str]:
    """The names of the shipped settings files."""
    if not PRESETS.is_dir():
        return []
    return sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir() if file.name.endswith(".toml"))
