"""``comment-consumer classify``: label the comments of a file or a pipe, without Kafka."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from consumer.commands.arguments import split
from consumer.commands.signals import StopOnSignal
from consumer.settings.classify import ClassifySettings
from consumer.settings.loading import BadSettings, Program, load

DONE = 0
SOME_REJECTED = 1
COULD_NOT = 2

_PURPOSE = "Label the comments of a file, without Kafka."
_EPILOG = """
exit codes: 0 every comment was labeled or skipped; 1 some lines were rejected, all others are done; 2 it could not
be done; 13 the model fails; 128 + N ended by signal N. With --out, a run that was ended or killed goes on where it
stopped when the same command is given again.
"""


def classify(arguments: Sequence[str]) -> int:
    """Label a file as the arguments say; return the exit code."""
    parser = _parser()
    own, rest = split(parser, arguments)
    program = Program("comment-consumer classify [FILE|-] [--out FILE]", _PURPOSE)
    if own.help:
        print(parser.format_help() + "\nThe settings:\n")
        load(ClassifySettings, ["--help"], {}, program)
    try:
        settings = load(ClassifySettings, rest, os.environ, program)
    except BadSettings as wrong:
        return _refuse(wrong.lines)

    # Only now: torch takes seconds to import, and a wrong setting is told at once.
    from consumer.delivery.errors import ModelBroken  # noqa: PLC0415
    from consumer.files.job import Stopped  # noqa: PLC0415
    from consumer.files.journal import SUFFIX, CannotResume  # noqa: PLC0415
    from consumer.files.lines import UnreadableInput  # noqa: PLC0415
    from consumer.files.run import Plan, run  # noqa: PLC0415

    stop = StopOnSignal()
    plan = Plan(
        given=own.file,
        out=own.out,
        report=own.report,
        input_format=None if own.input_format == "auto" else own.input_format,
        output_format=own.output_format,
    )
    try:
        finished = run(plan, settings, stop.asked)
    except BadSettings as wrong:
        return _refuse(wrong.lines)
    except (UnreadableInput, CannotResume) as error:
        return _refuse([str(error)])
    except ModelBroken as broken:
        _refuse([str(broken)])
        return broken.exit_code
    except BrokenPipeError:
        raise  # nobody reads any more; the command line's own affair
    except OSError as error:
        begun = own.out is not None and Path(own.out + SUFFIX).exists()
        again = "; the same command goes on from here" if begun else ""
        return _refuse([f"{error.filename or 'reading or writing'}: {os.strerror(error.errno or 0)}{again}"])
    except Stopped:
        again = ": the same command goes on from here" if own.out and own.file != "-" else ""
        print(f"comment-consumer: stopped{again}", file=sys.stderr)
        return 128 + stop.number
    return SOME_REJECTED if finished.rejected else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comment-consumer classify",
        usage="comment-consumer classify [FILE|-] [--out FILE] [--report FILE] [--input-format FORMAT] "
        "[--output-format FORMAT] [--config FILE] [--preset NAME] [--GROUP.NAME VALUE ...]",
        description=_PURPOSE,
        epilog=_EPILOG,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this and the settings")
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="what to label; - is standard input")
    parser.add_argument("--out", metavar="FILE", help="where to; standard output if not given")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="where lines that hold no comment are listed, by number and reason; OUT.rejected.jsonl if not given",
    )
    parser.add_argument(
        "--input-format",
        choices=("auto", "jsonl", "csv", "parquet", "text"),
        default="auto",
        help="auto goes by the file's name, then by its first bytes; text is one comment a line",
    )
    parser.add_argument(
        "--output-format", choices=("jsonl", "csv"), help="by the name of --out, else jsonl, if not given"
    )
    return parser


def _refuse(lines: Sequence[str]) -> int:
    for line in lines:
        print(f"comment-consumer: {line}", file=sys.stderr)
    return COULD_NOT
