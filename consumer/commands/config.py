"""``comment-consumer config``: what holds and why, and what there is to set."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import orjson

from consumer.commands.arguments import split
from consumer.commands.terminal import console
from consumer.service.catalogue_page import page
from consumer.settings import Settings
from consumer.settings.loading import BadSettings, Program, build, read_layers
from consumer.settings.reference import reference
from consumer.settings.shown import as_json, as_table, as_toml, show_settings

_USAGE = """comment-consumer config show [--json|--toml] [the settings of run]
       comment-consumer config reference
       comment-consumer config metrics"""
_ABOUT = """\
show        every setting, its value, and where it came from: default, preset, file, environment or flag. Secrets are
            hidden. --toml prints a file for --config.
reference   all settings with type, default and advice, in Markdown
metrics     all metrics with type, unit, labels and what they are for, in Markdown
"""


def config(arguments: Sequence[str]) -> int:
    """Run a subcommand; return the exit code: 2 if the settings are wrong."""
    what = arguments[0] if arguments else None
    if what == "reference" and len(arguments) == 1:
        print(reference(), end="")
        return 0
    if what == "metrics" and len(arguments) == 1:
        print(page(), end="")
        return 0
    if what == "show":
        return _show(arguments[1:])
    asked = what in ("-h", "--help")
    print(f"usage: {_USAGE}\n\n{_ABOUT}", end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def _show(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="comment-consumer config show", usage=_USAGE, add_help=False)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--toml", action="store_true")
    own, rest = split(parser, arguments)
    program = Program("comment-consumer config show", "Show every setting, its value, and where it came from.")
    try:
        layers = read_layers(Settings, rest, os.environ, program)
        shown = show_settings(build(Settings, layers), layers)
    except BadSettings as wrong:
        for line in wrong.lines:
            print(f"comment-consumer: {line}", file=sys.stderr)
        return 2
    if own.json:
        print(orjson.dumps(as_json(shown), option=orjson.OPT_INDENT_2).decode())
    elif own.toml:
        print(as_toml(shown), end="")
    else:
        console().print(as_table(shown))
    return 0
