"""What logs look like and what never gets into them."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog

from consumer.service.logs import configure_logging

SECRET = "something a viewer wrote"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_each_line_is_one_json_object():
    stream = io.StringIO()
    configure_logging("info", "auto", stream)
    structlog.get_logger().info("summary", received=3, name="加油")
    (line,) = lines(stream)
    assert line.pop("timestamp")
    assert line == {"event": "summary", "level": "info", "received": 3, "name": "加油"}


def test_on_a_terminal_it_is_text():
    stream = Terminal()
    configure_logging("info", "auto", stream)
    structlog.get_logger().info("summary", received=3)
    assert "summary" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(stream)


def test_the_format_can_be_chosen():
    stream = Terminal()
    configure_logging("info", "json", stream)
    structlog.get_logger().info("summary")
    assert lines(stream)[0]["event"] == "summary"


def test_lower_levels_are_not_shown():
    stream = io.StringIO()
    configure_logging("warning", "json", stream)
    structlog.get_logger().info("summary")
    structlog.get_logger().warning("beware")
    assert [line["event"] for line in lines(stream)] == ["beware"]


def test_other_libraries_come_out_the_same_way_from_warnings_on():
    stream = io.StringIO()
    configure_logging("debug", "json", stream)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("beware of %s", "this")
    warnings.warn("old thing", stacklevel=1)
    # The root logger is the whole process's: what an earlier test left behind may log here too.
    ours = [line for line in lines(stream) if line["logger"] in ("some.library", "py.warnings")]
    assert [(line["level"], line["logger"]) for line in ours] == [
        ("warning", "some.library"),
        ("warning", "py.warnings"),
    ], ours
    assert ours[0]["event"] == "beware of this"
    assert "old thing" in str(ours[1]["event"])


@pytest.mark.parametrize("library", ["transformers", "huggingface_hub"])
def test_a_library_that_brings_a_handler_of_its_own_comes_out_the_same_way(library: str):
    code = (
        f"import sys, logging, {library}.utils.logging\n"
        f"{library}.utils.logging.get_logger('{library}.part')\n"
        "from consumer.classifier.library_logs import adopt\n"
        "from consumer.service.logs import configure_logging\n"
        "configure_logging('info', 'json', sys.stderr)\n"
        f"adopt('{library}')\n"
        f"logging.getLogger('{library}.part').warning('beware')\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # transformers looks at it
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "beware"


@pytest.mark.parametrize("library", [True, False])
def test_an_exception_can_be_shown_on_a_terminal_and_says_as_little(library: bool):
    stream = Terminal()
    configure_logging("info", "auto", stream)
    try:
        raise ValueError(SECRET)
    except ValueError:
        if library:
            logging.getLogger("some").exception("failed")
        else:
            structlog.get_logger().exception("failed")
    assert "ValueError" in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize("library", [True, False])
def test_an_exception_is_reduced_to_types_and_places(library: bool):
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    try:
        try:
            comment = SECRET
            raise ValueError(comment)
        except ValueError as error:
            raise RuntimeError(f"bad: {SECRET}") from error
    except RuntimeError:
        if library:
            logging.getLogger("some").exception("failed")
        else:
            structlog.get_logger().exception("failed")
    (line,) = lines(stream)
    assert SECRET not in stream.getvalue()
    exception = line["raised"]
    assert isinstance(exception, dict)
    assert exception["types"] == ["RuntimeError", "ValueError"]
    assert any("test_logs.py" in place for place in exception["places"])


def test_a_warning_that_comes_again_at_once_is_written_once():
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    for _ in range(50):
        structlog.get_logger().warning("kafka producer", error="_TRANSPORT")
        structlog.get_logger().warning("kafka producer", error="_ALL_BROKERS_DOWN")
        logging.getLogger("librdkafka").error("FAIL: connection refused")
        structlog.get_logger().info("summary")
    events = [(line["event"], line.get("error")) for line in lines(stream)]
    assert events.count(("summary", None)) == 50
    assert len(events) == 53


def test_what_json_cannot_hold_is_written_as_text():
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    structlog.get_logger().info("odd", value={1})
    structlog.get_logger().info("odd", big=2**70, text="\ud800")
    assert [line["event"] for line in lines(stream)] == ["odd", "odd"]
    assert lines(stream)[0]["value"] == "{1}"
