"""Telling a command's own arguments from settings, which are flags with one value each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def split(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse what is the parser's own; return the rest, which :mod:`consumer.settings.loading` reads.

    A flag that the parser does not know is taken for a setting, with the argument after it for its value, so that no
    message of argparse ever quotes a value.

    Raises:
        SystemExit: an own argument is wrong; told on standard error.
    """
    own: list[str] = []
    rest: list[str] = []
    known = parser._option_string_actions
    waiting: list[str] | None = None  # where the value of the last flag goes
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if waiting is not None and not (argument.startswith("--") and waiting is rest):
            waiting.append(argument)
            waiting = None
        elif not argument.startswith("-") or argument == "-":
            own.append(argument)
        elif name in known:
            own.append(argument)
            waiting = own if known[name].nargs is None and not equals else None
        else:
            rest.append(argument)
            waiting = None if equals else rest
    return parser.parse_args(own), rest
