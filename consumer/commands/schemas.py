"""``comment-consumer schemas``: what is on the topics, for those who read and write them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from consumer.commands.arguments import split
from consumer.events.conformance import complaints
from consumer.events.mapping import FIELDS, FieldMapping
from consumer.files.lines import Line, Lines, UnreadableInput
from consumer.service.mapped_fields import map_fields
from consumer.settings import Settings
from consumer.settings.loading import BadSettings, Layer, Program, build, read_layers
from schemas.asyncapi import render as render_asyncapi
from schemas.deployment import Deployment
from schemas.export import MODELS, files, render

GOOD: Final = 0
SOME_WRONG: Final = 1
COULD_NOT: Final = 2
MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes; what a topic takes is far less."""
FOLDER: Final = "comment-consumer-schemas"

_USAGE: Final = """comment-consumer schemas export [DIR] [the settings of run]
       comment-consumer schemas show NAME
       comment-consumer schemas check NAME [FILE|-]
       comment-consumer schemas asyncapi [the settings of run]"""
_ABOUT: Final = f"""\
export      write the JSON Schemas and the AsyncAPI document into a folder, ./{FOLDER} if none is named
show        print one JSON Schema (draft 2020-12): {", ".join(MODELS)}
check       read events, one JSON object a line, and tell by line number what is wrong with them; 0 if nothing is
asyncapi    print the AsyncAPI 3 document of the deployment that the settings describe: topics, group, brokers, login,
            schema registry; without settings, of the defaults and a broker on this host
"""
# What the document says nothing of, or can stand without.
_ASSUMED: Final = Layer("assumed", "", {"kafka": {"bootstrap_servers": "localhost:9092"}, "model": {"source": "none"}})


def schemas(arguments: Sequence[str]) -> int:
    """Run a subcommand; return the exit code: 1 if ``check`` found something wrong, 2 if it could not be run."""
    what = arguments[0] if arguments else None
    rest = list(arguments[1:])
    try:
        if what == "show" and len(rest) == 1 and rest[0] in MODELS:
            print(render(rest[0]), end="", flush=True)
            return GOOD
        if what == "check" and 1 <= len(rest) <= 2 and rest[0] in MODELS:
            return _check(rest[0], rest[1] if len(rest) == 2 else "-")
        if what == "asyncapi":
            print(render_asyncapi(_deployment(rest)), end="", flush=True)
            return GOOD
        if what == "export":
            return _export(rest)
    except BadSettings as wrong:
        return _refuse(*wrong.lines)
    except UnreadableInput as error:
        return _refuse(str(error))
    except BrokenPipeError:
        raise  # nobody reads any more; the command line's own affair
    except OSError as error:
        return _refuse(f"{error.filename or 'reading or writing'}: {os.strerror(error.errno or 0)}")
    asked = not {"-h", "--help"}.isdisjoint(arguments)
    print(f"usage: {_USAGE}\n\n{_ABOUT}", end="", file=sys.stdout if asked else sys.stderr)
    return GOOD if asked else COULD_NOT


def deployment_of(settings: Settings) -> Deployment:
    """What the settings say of the topics and of how to reach them. Holds no secret."""
    kafka = settings.kafka
    security = kafka.security_protocol
    return Deployment(
        input_topic=kafka.input_topic,
        output_topic=kafka.output_topic,
        dead_letter_topic=kafka.dead_letter_topic,
        group_id=kafka.group_id,
        client_id=kafka.client_id,
        servers=tuple(server.strip() for server in kafka.bootstrap_servers.split(",")),
        tls=security.endswith("ssl"),
        login=kafka.sasl_mechanism,
        client_certificate=kafka.ssl_certificate_location is not None,
        fields=_places(map_fields(settings.events)),
        includes_text=settings.events.include_text,
        cloudevents=settings.events.cloudevents == "binary",
        coordinates_only=settings.dead_letters.coordinates_only,
        registry=",".join(settings.registry.urls) or None,
    )


def _places(mapping: FieldMapping) -> dict[str, tuple[str, ...]]:
    """Where the input has each field, if it is not in the program's own format; an empty place is nowhere."""
    if mapping == FieldMapping():
        return {}
    return {name: tuple(path.spelled for path in mapping.places.get(name, ())) for name in FIELDS}


def _deployment(arguments: Sequence[str]) -> Deployment:
    program = Program("comment-consumer schemas asyncapi", "Print the AsyncAPI 3 document of this deployment.")
    layers = [*read_layers(Settings, arguments, os.environ, program), _ASSUMED]
    return deployment_of(build(Settings, layers))


def _export(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="comment-consumer schemas export", usage=_USAGE, add_help=False, allow_abbrev=False
    )
    parser.add_argument("folder", nargs="?", default=FOLDER)
    own, rest = split(parser, arguments)
    folder = Path(own.folder)
    wanted = files(folder, _deployment(rest))
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
        print(path)
    return GOOD


def _check(name: str, file: str) -> int:
    if file == "-":
        return _tell(name, sys.stdin.buffer)
    with open(file, "rb", buffering=0) as opened:
        return _tell(name, opened)


def _tell(name: str, stream: BinaryIO) -> int:
    model = MODELS[name]
    read = stream.read1 if hasattr(stream, "read1") else stream.read
    checked = wrong = 0
    for chunk in Lines(read, MAX_LINE).chunks():
        for line in chunk:
            if line.size == 0:
                continue
            checked += 1
            found = [_too_long(line)] if line.content is None else complaints(model, line.content)
            wrong += bool(found)
            for complaint in found:
                print(f"line {line.number}: {complaint}")
    sys.stdout.flush()
    print(f"{checked} lines, {checked - wrong} good, {wrong} wrong", file=sys.stderr)
    return SOME_WRONG if wrong else GOOD


def _too_long(line: Line) -> str:
    return f"{line.size} bytes, more than {MAX_LINE}"


def _refuse(*lines: str) -> int:
    for line in lines:
        print(f"comment-consumer: {line}", file=sys.stderr)
    return COULD_NOT
