"""Logs to standard error: JSON lines, or text on a terminal. Other libraries' warnings come out the same way.

What a comment says never gets here: callers log counts and coordinates, and an exception is reduced to its types and
the places it came through, because messages and local variables may hold a payload.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Literal, TextIO, TypeAlias

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REPEAT = 10.0  # seconds

Level: TypeAlias = Literal["debug", "info", "warning", "error"]


def configure_logging(level: Level, form: Literal["auto", "json", "console"], stream: TextIO) -> None:
    """Send structlog's and the standard library's logs to ``stream``; the latter from warnings on."""
    terminal = stream.isatty()
    seldom = _Seldom()
    console = form == "console" or (form == "auto" and terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _reduce_exception,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=terminal)
        if console
        else structlog.processors.JSONRenderer(serializer=_to_json)
    )
    structlog.configure(
        processors=[seldom, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(seldom.filter)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            keep_exc_info=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    logging.captureWarnings(True)


class _Seldom:
    """Lets a warning through once in :data:`REPEAT` seconds: clients repeat themselves while brokers are away.

    A filter for the standard library's handlers and a processor for structlog.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], float] = {}

    def _is_due(self, *what: object) -> bool:
        now = time.monotonic()
        if now - self._last.get(what, -REPEAT) < REPEAT:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[what] = now
        return True

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the standard library's handler should write this."""
        return self._is_due(record.name, record.levelno, record.getMessage()[:60])

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let structlog drop it."""
        if method == "warning" and not self._is_due(event.get("event"), event.get("error")):
            raise structlog.DropEvent
        return event


def _to_json(event: Mapping[str, object], **_: object) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # an enormous number, or text that is not UTF-8: a log line must not end the program
        plain = {name: str(value).encode("utf-8", "replace").decode() for name, value in event.items()}
        return orjson.dumps(plain).decode()


def _reduce_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace an exception by its types and places; not as ``exception``, which the console takes for a text."""
    info = event.pop("exc_info", None)
    error: BaseException | None
    if isinstance(info, BaseException):
        error = info
    elif isinstance(info, tuple):
        error = info[1]
    elif info:
        error = sys.exc_info()[1]
    else:
        return event
    if error is not None:
        event["raised"] = describe_exception(error)
    return event


def describe_exception(error: BaseException) -> dict[str, list[str]]:
    """The types of an exception and of what caused it, and the places it came through; nothing that it says."""
    types: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(types) < 10:
        types.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return {"types": types, "places": places[-20:]}
