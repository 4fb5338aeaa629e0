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
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import CliSettingsSource, EnvSettingsSource, SettingsError

from consumer.settings.everything import AnySettings, Settings

SettingsT = TypeVar("SettingsT", bound=AnySettings)
Spelling: TypeAlias = Literal["flag", "variable", "key"]

PREFIX = "CONSUMER_"
DELIMITER = "__"
PRESETS = resources.files("consumer.classifier") / "presets"


class BadSettings(Exception):
    """The settings are wrong: a line for each thing that is, naming the setting. Never holds a setting's value."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class Layer(NamedTuple):
    """What one place says: ``kind`` is flag, environment, file or preset; ``place`` names the file or preset."""

    kind: str
    place: str
    values: Mapping[str, Any]


class Program(NamedTuple):
    """Who reads settings: what the user typed to get here, and what the help text says it does."""

    name: str
    purpose: str


RUN = Program("comment-consumer run", "Read comments, label them, publish the labels, commit offsets only after.")


def load_settings(arguments: Sequence[str], environment: Mapping[str, str], program: str) -> Settings:
    """Read the consumer's settings from everywhere; ``program`` is what the user typed to get here.

    Raises:
        BadSettings: a name is unknown or a value is wrong.
        SystemExit: the help text was asked for and printed.
    """
    return load(Settings, arguments, environment, RUN._replace(name=program))


def load(
    model: type[SettingsT], arguments: Sequence[str], environment: Mapping[str, str], program: Program
) -> SettingsT:
    """Read a command's settings from everywhere.

    Files and variables are shared with the consumer: what is a setting of its but not of this command is left out
    there. A flag must be one of this command's own.

    Args:
        model: Which settings there are.
        arguments: The command line after the program's name.
        environment: Usually ``os.environ``.
        program: For the help text.

    Raises:
        BadSettings: a name is unknown or a value is wrong.
        SystemExit: the help text was asked for and printed.
    """
    layers = read_layers(model, arguments, environment, program)
    try:
        return build(model, layers)
    except BadSettings as wrong:
        raise BadSettings([*wrong.lines, *_near_misses(environment)]) from None


def _near_misses(environment: Mapping[str, str]) -> Iterator[str]:
    """Variables that would be settings with one underscore more. Others make such names too, so alone they are fine."""
    meant = {PREFIX + name.replace(".", "_").upper(): name for name in setting_names() if "." in name}
    for variable in environment:
        if variable.upper() in meant:
            yield f"{variable} is not read: did you mean {spell(meant[variable.upper()], 'variable')}?"


def read_layers(
    model: type[AnySettings], arguments: Sequence[str], environment: Mapping[str, str], program: Program
) -> list[Layer]:
    """What each place says, the strongest first; see :func:`load`."""
    arguments = _flags(arguments, model)
    try:
        flags = _Flags(arguments, model, program)()
        variables = _Environment(environment, model)()
    except SettingsError as error:
        raise BadSettings([_unparsable(str(error))]) from None
    layers = [Layer("flag", "", flags), Layer("environment", "", variables)]
    file = _named("config", layers)
    if file is not None:
        layers.append(Layer("file", str(file), _read_file(Path(str(file)), model)))
    preset = _named("preset", layers)
    if preset is not None:
        layers.append(Layer("preset", str(preset), _read_preset(str(preset), model)))
    return layers


def build(model: type[SettingsT], layers: Sequence[Layer]) -> SettingsT:
    """The settings that these layers make; the first one wins, setting by setting.

    Raises:
        BadSettings: a value is wrong or missing.
    """
    # An absent group that has no default is an empty one, so that the setting missing from it is named, not the group.
    values: dict[str, Any] = {
        name: {} for name, field in model.model_fields.items() if group_of(field) and field.is_required()
    }
    for layer in reversed(layers):
        values = _merged(values, layer.values)
    try:
        return model(**values)
    except ValidationError as error:
        raise BadSettings(
            [_explain(e["loc"], e["type"], e["msg"]) for e in error.errors(include_input=False)]
        ) from None


def _merged(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weaker)
    for key, value in stronger.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _named(setting: str, layers: Sequence[Layer]) -> object:
    return next((layer.values[setting] for layer in layers if layer.values.get(setting) is not None), None)


def setting_names(model: type[BaseModel] = Settings, above: str = "") -> Iterator[str]:
    """The dotted name of every setting, such as ``kafka.group_id``."""
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group is None:
            yield above + name
        else:
            yield from setting_names(group, f"{above}{name}.")


def group_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a group of settings, ``None`` for a single one."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _no_setting(given: str, name: str, spelling: Spelling, model: type[BaseModel] = Settings) -> str:
    """One line for a name that is no setting, with the one that was probably meant."""
    close = difflib.get_close_matches(name, list(setting_names(model)), n=1)
    meant = f"; did you mean {spell(close[0], spelling)}?" if close else ""
    return f"{given}: there is no such setting{meant}"


def spell(name: str, spelling: Spelling) -> str:
    """A setting's dotted name as a flag, a variable, or a key with its sections before it."""
    if spelling == "flag":
        return "--" + name.replace("_", "-")
    return PREFIX + name.replace(".", DELIMITER).upper() if spelling == "variable" else name


def _explain(location: Iterable[int | str], kind: str, message: str) -> str:
    name = ".".join(map(str, location))
    message = message.removeprefix("Value error, ")
    if kind in ("model_type", "dict_type"):
        return f"{name}: give a table of settings, such as [{name}] in a file"
    if kind == "missing":
        section, _, key = name.rpartition(".")
        return (
            f"{name} is missing: give {spell(name, 'flag')}, {spell(name, 'variable')}, "
            f"or {key} under [{section}] in the file named by --config"
        )
    return f"{name}: {message}" if name else message


def _unparsable(message: str) -> str:
    """One line for a flag whose value is no JSON object though its setting takes one. Never holds the value."""
    found = re.search(r"Parsing error encountered for ([\w.]+)", message)
    if found is not None:
        return f'{spell(found[1], "flag")}: give a JSON object, such as \'{{"NAME": "VALUE"}}\''
    return message.removeprefix("error parsing CLI: ")


# ---- Command line ----------------------------------------------------------------------------------------------------


def _flags(arguments: Sequence[str], model: type[BaseModel]) -> list[str]:
    """The arguments with every flag in kebab case.

    Raises:
        BadSettings: a flag is unknown. Done here because argparse would quote what follows it, maybe a password.
    """
    known = {name.replace("_", "-") for name in setting_names(model)} | {"help"}
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
            wrong.append(_no_setting(f"--{name}", name.replace("-", "_"), "flag", model))
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

    def __init__(self, arguments: list[str], model: type[AnySettings], program: Program) -> None:
        super().__init__(
            model,
            cli_prog_name=program.name,
            cli_kebab_case=True,
            cli_exit_on_error=False,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_use_class_docs_for_groups=True,
            formatter_class=_Help,
        )
        self.env_ignore_empty = False  # an empty variable may mean "unset"; whoever types an empty flag means it
        self.root_parser.usage = f"{program.name} [--config FILE] [--preset NAME] [--GROUP.NAME VALUE ...]"
        self.root_parser.description = (
            f"{program.purpose} Every setting is also a variable (--batch.max-wait is CONSUMER_BATCH__MAX_WAIT) and a "
            "key in the file (max_wait under [batch]); flags win over variables, those over the file, the file over "
            "the preset."
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

    def __init__(self, environment: Mapping[str, str], model: type[AnySettings]) -> None:
        self._ours = _variables(environment, model)
        super().__init__(model)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._ours


def _variables(environment: Mapping[str, str], model: type[BaseModel]) -> dict[str, str | None]:
    here = {name.replace(".", DELIMITER) for name in setting_names(model)}
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
            if name in here:
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


def _read_toml(text: str, called: str, model: type[BaseModel]) -> dict[str, Any]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings([f"{called} is not TOML: {error}"]) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets by the thousand
        raise BadSettings([f"{called} is not TOML of settings ({type(error).__name__})"]) from None
    wrong = [_no_setting(f"{name} in {called}", name, "key") for name in _unknown_keys(values, Settings)]
    if wrong:
        raise BadSettings(wrong)
    return {key: value for key, value in values.items() if key in model.model_fields}


def _unknown_keys(values: Mapping[str, Any], model: type[BaseModel], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            yield above + key
        elif (group := group_of(field)) is not None and isinstance(value, dict):
            yield from _unknown_keys(value, group, f"{above}{key}.")


def _read_file(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """The file named by ``--config`` or ``CONSUMER_CONFIG``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadSettings([f"config: {path} cannot be read ({type(error).__name__})"]) from None
    values = _read_toml(text, str(path), model)
    if "config" in values:
        raise BadSettings([f"config in {path}: a file cannot name another one"])
    return values


def _read_preset(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """The shipped file named by ``--preset``, ``CONSUMER_PRESET`` or ``preset`` in the file."""
    there = preset_names()
    if name not in there:
        raise BadSettings([f"preset: there is no {name!r}; there are: {', '.join(there) or 'none'}"])
    return _read_toml((PRESETS / f"{name}.toml").read_text(encoding="utf-8"), f"preset {name}", model)


def preset_names() -> list[str]:
    """The names of the shipped settings files."""
    if not PRESETS.is_dir():
        return []
    return sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir() if file.name.endswith(".toml"))
